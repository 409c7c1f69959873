"""What the server still holds of a run, for panels that ask for it.

Whatever is gone is answered with 204, no content: an address without a file would be an error in the browser's console.
What is somebody else's is answered with 404, and with 401 to whom the host does not know.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ...files.places import FOLDER, TAB_FOLDER
from .choices import own_run
from .jobs import MOST_LETTERS, owner_of, text_or_none, within
from .panel_record import READERS, temporary_folder
from .run_store import STORE, list_unreached
from .users import require_known, user_of

if TYPE_CHECKING:
    from execution import PromptQueue

STORE_SETTING = "GuidanceGeometry.Tab.Megabytes"
FRESH = {"Cache-Control": "no-store"}


async def answer_run(server: Any, request: web.Request) -> web.StreamResponse:
    """The record that a node showed in a job."""
    user = require_known(user_of(server, request))
    return run_of(server.prompt_queue, user, request.match_info["job"], request.match_info["node"])


async def answer_record(server: Any, request: web.Request) -> web.StreamResponse:
    """A record that was too large for its node's output.  Raises 404 for one of somebody else's."""
    user, name = require_known(user_of(server, request)), request.match_info["name"]
    response = record_named(name)
    may_read = user in READERS.get(name, ()) or was_shown(server.prompt_queue, user, name)
    if response.status != 204 and not may_read:
        raise web.HTTPNotFound()
    return response


async def answer_tab_runs(server: Any, request: web.Request) -> web.StreamResponse:
    """The kept runs of a workflow or a job, and the samplers that left none."""
    user, query = require_known(user_of(server, request)), request.query
    STORE.set_bound(user, server.user_manager.settings.get_settings(request).get(STORE_SETTING))
    which = (user, query.get("workflow_id"), query.get("prompt_id"))
    runs = await asyncio.to_thread(STORE.list_runs, *which)
    missed = await asyncio.to_thread(list_unreached, STORE, server.prompt_queue, *which)
    return json_response(json.dumps({"runs": runs, "unreached": missed}).encode())


async def answer_tab_run(server: Any, request: web.Request) -> web.StreamResponse:
    """The record of a kept run."""
    user = require_known(user_of(server, request))
    run = await asyncio.to_thread(own_run, user, request.match_info["run"])
    return answer(json.loads(run.record), TAB_FOLDER) if run and run.is_listed else web.Response(status=204)


async def answer_fresh_run(server: Any, request: web.Request) -> web.StreamResponse:
    """Let the next job of a workflow sample again, although the host has its results in its cache."""
    user, query = require_known(user_of(server, request)), request.query
    STORE.begin_epoch(user, text_or_none(query.get("workflow_id")), text_or_none(query.get("key"), MOST_LETTERS))
    return web.Response(status=204)


def run_of(queue: PromptQueue, user: str, job: str, node: str) -> web.StreamResponse:
    """The record that an inspector showed in a job; null where it was not in it, 204 where the job is forgotten.

    Of several, which an inspector shows that is given a list of traces, the first: the panel shows that too.
    Raises 404 for the job of somebody else.
    """
    jobs = queue.get_history(prompt_id=job, map_function=_owner_and_outputs)
    if job not in jobs:
        return web.Response(status=204)
    owner, outputs = jobs[job]
    if owner != user:
        raise web.HTTPNotFound()
    shown = within(outputs, node, "gg_record")
    return answer(shown[0] if isinstance(shown, list) and shown and isinstance(shown[0], dict) else None)


def _owner_and_outputs(entry: dict) -> tuple[str, dict]:
    return owner_of(entry["prompt"][3]), entry["outputs"]


def was_shown(queue: PromptQueue, user: str, name: str) -> bool:
    """Whether a job of this user showed the record of this name, made by whatever job: the host keeps outputs."""
    jobs = queue.get_history(map_function=_owner_and_outputs).values()
    outputs_of_user = (outputs for owner, outputs in jobs if owner == user and isinstance(outputs, dict))
    shown = (within(outputs, node, "gg_record") for outputs in outputs_of_user for node in outputs)
    lists = (records for records in shown if isinstance(records, list))  # other nodes leave what they like
    return any(within(record, "file", "filename") == name for records in lists for record in records)


def answer(record: dict | None, subfolder: str = FOLDER) -> web.StreamResponse:
    """A record, from its file where it has one; 204 where it is none that a browser reads."""
    if record and "file" in record:
        return record_named(within(record, "file", "filename"), subfolder)
    try:
        return json_response(json.dumps(record, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError):
        return web.Response(status=204)


def record_named(name: Any, subfolder: str = FOLDER) -> web.StreamResponse:
    """A record that was too large for its node's output; 204 where its file is gone, or has never been.

    The server sends the file outside its event loop: a long run has one of 30 MB.
    """
    files = {file.name: file for file in temporary_folder(subfolder).glob("*.json")}  # no name leads out of the folder
    if not isinstance(name, str) or name not in files:
        return web.Response(status=204)
    return web.FileResponse(files[name], headers=FRESH | {"Content-Type": "application/json"})


def json_response(record: bytes) -> web.Response:
    """JSON that no browser keeps: a job may be forgotten."""
    return web.Response(body=record, content_type="application/json", headers=FRESH)
