"""A user's picks, shown to browsers and scripts, added to, and forgotten; and reports that are made anew with them.

All work on files is done in a thread: the host answers its browsers meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from aiohttp import web
from torch import Tensor

from ...files.claims import json_of
from ...files.places import PICKS, TAB_FOLDER
from ...trace.file import load
from ...verdict.picks import LARGEST, Picks, picks_of, read_picks, write_picks
from .knowledge import make_report, place_of
from .panel_record import temporary_folder
from .run_store import STORE, StoredRun
from .shown_pictures import shown_pictures
from .users import JSON, require_known, user_of

FRESH = {"Cache-Control": "no-store"}
CHANGING = Lock()  # between reading a file and writing it
SENT = "What was sent"
MOST_MODELS = 1000  # of one user


async def answer_picks(server: Any, request: web.Request) -> web.Response:
    """The picks of a model: shown, with those that a POST sends, or without those that a DELETE names."""
    user, query = require_known(user_of(server, request)), request.query
    about = user, query.get("key") or ""
    if request.method == "POST":
        return await respond(add_picks, *about, await body_of(request))
    if request.method == "DELETE":
        which = query.get("sampler_class"), query.get("knob"), query.getall("value", [])
        return await respond(forget_picks, *about, *which)
    return await respond(show_picks, *about)


async def answer_report(server: Any, request: web.Request) -> web.Response:
    """The report on a kept run."""
    user, query = require_known(user_of(server, request)), request.query
    nodes = query.getall("shown", [""])  # of the run, and of the half where it showed its pictures at another one
    look = partial(shown_pictures, server.prompt_queue)
    looks = partial(look, node=nodes[0]), partial(look, node=nodes[-1])
    return await respond(report_on, user, request.match_info["run"], query.get("half"), looks)


async def body_of(request: web.Request) -> bytes:
    """What was sent.  Raises 413 where it is more than picks can be, which is not read then."""
    try:
        return await request.clone(client_max_size=LARGEST).read()
    except web.HTTPRequestEntityTooLarge:
        words = json.dumps({"error": f"{SENT} has more than {LARGEST:,} bytes. Send fewer picks."})
        raise web.HTTPRequestEntityTooLarge(LARGEST, text=words, content_type=JSON) from None


async def respond(act: Callable[..., Mapping | None], *given: Any) -> web.Response:
    """What `act` says, as JSON; 204 for nothing, and a sentence for what is wrong."""
    try:
        answer, status = await asyncio.to_thread(act, *given), 200
    except ValueError as error:
        answer, status = {"error": str(error)}, 400
    except FileNotFoundError:  # the run was let go between the look for it and its reading
        answer, status = None, 204
    except OSError as error:
        answer, status = {"error": error.strerror or str(error)}, 500
    body = None if answer is None else json.dumps(answer, allow_nan=False).encode()
    status = 204 if body is None else status
    return web.Response(body=body, status=status, content_type="application/json", headers=FRESH)


def show_picks(user: str, key: str) -> Mapping | None:
    """The picks of a model as their file says them, and their ranges by sampler class; None where there are none."""
    path = _place(user, key)
    return picks_for_browsers(read_picks(path)) if path.is_file() else None


def add_picks(user: str, key: str, body: bytes) -> Mapping:
    """Add the picks of a body, which is such a file; those of today that do not say when.

    Raises ValueError for what is no such file, NotWritten.
    """
    claims = json_of(SENT, body, "Send the picks as a JSON object.")
    path, sent, today = _place(user, key), picks_of(claims, SENT), date.today().isoformat()
    if sent.key != key:
        raise ValueError(f"{SENT} is of model {sent.key!r}, the address of {key!r}. Send the picks of this model.")
    with CHANGING:
        if not path.is_file() and sum(1 for _ in path.parent.glob("*.json")) >= MOST_MODELS:
            raise ValueError(f"Picks of {MOST_MODELS:,} models are kept, and no more. Forget those of one model first.")
        before = read_picks(path) if path.is_file() else Picks(sent.name, key)
        after = before.merge(replace(pick, when=pick.when or today) for pick in sent.picks)
        write_picks(after, path)
    return picks_for_browsers(after)


def forget_picks(
    user: str, key: str, sampler_class: str | None, knob: str | None = None, values: Sequence[str] = ()
) -> Mapping | None:
    """Forget one class of samplers, or of it one knob, or all that is known of a model, even in a damaged file.

    values: of these values of the knob alone, where there are any. Raises ValueError for one that is no number.
    """
    path, numbers = _place(user, key), [*map(float, values)]
    with CHANGING:
        after = None
        if sampler_class and path.is_file():
            with suppress(ValueError):  # nothing of a damaged file can be kept
                after = read_picks(path).without(sampler_class, knob, numbers)
        if after is None or not after.picks:
            path.unlink(missing_ok=True)
            return None
        write_picks(after, path)
    return picks_for_browsers(after)


def picks_for_browsers(picks: Picks) -> Mapping:
    """With the good values by sampler class: "ranges" of cfg, "knobs" of every knob."""
    return picks.as_json() | {"ranges": picks.ranges(), "knobs": picks.ranges_by_knob()}


def report_on(user: str, run: str, half: str | None, looks: Sequence[Callable[[str], Tensor | None]]) -> Mapping | None:
    """The report on a kept run with what is known of its model now.

    half: id of a run at half its scale, or None. looks: what the job of each showed of its pictures.
    Raises ValueError for a run whose numbers could not be kept.
    """
    runs = [stored for name in (run, half) if name and (stored := own_run(user, name))]
    if lost := next((stored.lost for stored in runs if stored.lost), ""):
        raise ValueError(f"{lost[0].upper()}{lost[1:]}.")
    files = [name for stored in runs for name in stored.files if name.endswith(".safetensors")]
    if len(files) < (2 if half else 1):
        return None
    trace, *halved = (load(temporary_folder(TAB_FOLDER) / name) for name in files)
    if not halved:
        return make_report(trace, user=user).as_json()
    first, second = (look(stored.place.prompt_id) for look, stored in zip(looks, runs, strict=True))
    shown = None if first is None or second is None else (first, second)
    return make_report(trace, halved[0], user=user, shown=shown).as_json()


def own_run(user: str, run: str) -> StoredRun | None:
    """A kept run of this user, None where it is gone.  Raises 404 for one of somebody else's."""
    run_record = STORE.find_run(user, run)
    if run_record is None and run in STORE.runs:
        raise web.HTTPNotFound()
    return run_record


def _place(user: str, key: str) -> Path:
    path = place_of(PICKS, key, user) if key else None
    if path is None:
        raise ValueError("The address needs ?key= of a model, and a user whom the host knows.")
    return path
