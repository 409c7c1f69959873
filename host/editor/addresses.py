"""The addresses at which the host's server answers for this pack; the room is imported when it is first asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ... import host
from ..server import prompt_server

Answer = Callable[[Any, web.Request], Awaitable[web.StreamResponse]]  # of the host's server to a request
RUNS = "/guidance_geometry/tab/runs"
PICKS = "/guidance_geometry/picks"
CURVES = "/guidance_geometry/measured"
ANSWERS: tuple[tuple[str, str, Callable[[], Answer]], ...] = (
    ("get", "/guidance_geometry/runs/{job}/{node}", lambda: host.editor.routes.answer_run),
    ("get", "/guidance_geometry/records/{name}", lambda: host.editor.routes.answer_record),
    ("get", RUNS, lambda: host.editor.routes.answer_tab_runs),  # ?workflow_id= or ?prompt_id=
    ("get", f"{RUNS}/{{run}}", lambda: host.editor.routes.answer_tab_run),
    ("get", f"{RUNS}/{{run}}/report", lambda: host.editor.choices.answer_report),  # ?half= another run, ?shown= node
    ("post", RUNS, lambda: host.editor.routes.answer_fresh_run),  # ?workflow_id= and &key=
    ("get", PICKS, lambda: host.editor.choices.answer_picks),  # ?key= of `model_key`
    ("post", PICKS, lambda: host.editor.choices.answer_picks),
    ("delete", PICKS, lambda: host.editor.choices.answer_picks),
    ("get", CURVES, lambda: host.editor.model_curves.answer_curves),  # ?key= of `model_key`
    ("post", CURVES, lambda: host.editor.model_curves.answer_curves),
    ("delete", CURVES, lambda: host.editor.model_curves.answer_curves),
)


def answer_panels() -> None:
    """Let the host's server answer at ANSWERS; without one nobody asks."""
    server = prompt_server()
    if server is None:
        return
    for method, address, answer_of in ANSWERS:
        getattr(server.routes, method)(address)(_handler(server, answer_of))


def _handler(server: Any, answer_of: Callable[[], Answer]) -> Callable:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = await asyncio.to_thread(answer_of)  # the host answers its browsers while modules are imported
        return await answer(server, request)

    return handle
