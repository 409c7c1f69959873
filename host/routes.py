"""What the server still holds of a run, for panels that ask for it.

Whatever is gone is answered with 204, no content: an address without a file would be an error in the browser's console.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from .adapter import prompt_server
from .panel_record import temporary_folder

RUNS = "/guidance_geometry/runs/{job}/{node}"
RECORDS = "/guidance_geometry/records/{name}"
FRESH = {"Cache-Control": "no-store"}


def answer_panels() -> None:
    """Let the host's server answer at RUNS and RECORDS; without one nobody asks."""
    server = prompt_server()
    if server is None:
        return

    async def run(request: web.Request) -> web.StreamResponse:
        return run_of(server.prompt_queue, request.match_info["job"], request.match_info["node"])

    async def record(request: web.Request) -> web.StreamResponse:
        return record_named(request.match_info["name"])

    server.routes.get(RUNS)(run)
    server.routes.get(RECORDS)(record)


def run_of(queue, job: str, node: str) -> web.StreamResponse:
    """The record that an inspector showed in a job; null where it was not in it, 204 where the job is forgotten.

    Of several, which an inspector shows that is given a list of traces, the first: the panel shows that too.
    """
    outputs = queue.get_history(prompt_id=job, map_function=lambda entry: entry["outputs"])
    if job not in outputs:
        return web.Response(status=204)
    shown = within(outputs[job], node, "gg_record")
    record = shown[0] if isinstance(shown, list) and shown and isinstance(shown[0], dict) else None
    if record and "file" in record:
        return record_named(within(record, "file", "filename"))
    try:
        return said(json.dumps(record, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError):  # no record of this pack, and nothing that a browser reads
        return web.Response(status=204)


def within(value: Any, *names: str) -> Any:
    """What lies under some names, one in the other; None where one is missing: histories hold what any node wrote."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def record_named(name: Any) -> web.StreamResponse:
    """A record that was too large for its node's output; 204 where its file is gone, or has never been.

    The server sends the file outside its event loop: a long run has one of 30 MB.
    """
    known = {file.name: file for file in temporary_folder().glob("*.json")}  # no name leads out of the folder
    if not isinstance(name, str) or name not in known:
        return web.Response(status=204)
    return web.FileResponse(known[name], headers=FRESH | {"Content-Type": "application/json"})


def said(record: bytes) -> web.Response:
    """JSON that no browser keeps: a job may be forgotten."""
    return web.Response(body=record, content_type="application/json", headers=FRESH)
