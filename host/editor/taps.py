"""Taps: every MODEL that a job samples with is recorded, if the job asks for it, and the user's graph stays as it is.

The host hands each prompt to its handlers before it is checked. A job asks by `guidance_geometry: {record: true}` in
its extra data, or, from the editor, in the `extra` of its workflow.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from comfy.cli_args import args

from ... import host
from ...trace import CAPTURES
from ..limits import MOST_DRAWS, MOST_UNCOND
from ..server import KEY, prompt_server
from .jobs import SAMPLERS, within, workflow_id_of, workflow_key_of, workflow_of
from .users import guarding_our_routes, noting_who_asks, user_who_asks


@dataclass(frozen=True)
class Wanted:
    """What a job asks for.

    capture: as in Record Guidance. uncond_steps: steps at which a run without u evaluates it afterwards. epoch: changes
    when the host's cache has outlived the records, so that its samplers run again; odd for a job that shares
    none with others. measure: how often the model is asked about every finished picture.
    """

    capture: str = "pictures"
    uncond_steps: int = 3
    epoch: int = 0
    measure: int = 0


def watch_prompts() -> None:
    """Let the host's server hand every prompt to `handle_prompt`; without one nobody asks."""
    server = prompt_server()
    if server is not None:
        server.app.middlewares.extend((guarding_our_routes, noting_who_asks))
        server.add_on_prompt_handler(handle_prompt)


def handle_prompt(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request with taps where it asks for them, and with its user; a fault of ours costs it its records alone."""
    try:
        wanted = requested_taps(body)
        return _add_our_facts(body, {}) if wanted is None else _tap_prompt(body, wanted)
    except Exception:
        logging.warning("Guidance Geometry: this job is not recorded", exc_info=True)
        return _add_our_facts(body, {})


def requested_taps(body: Mapping[str, Any]) -> Wanted | None:
    """What a request asks for, None where it does not ask; what it says wrongly counts as not said."""
    extra = body.get("extra_data")
    request = within(extra, KEY) or within(workflow_of(extra), "extra", KEY)
    if within(request, "record") is not True:
        return None
    capture = within(request, "capture")
    epoch = host.editor.run_store.STORE.epoch(user_who_asks(), workflow_id_of(extra), workflow_key_of(extra))
    return Wanted(
        capture if capture in CAPTURES else Wanted.capture,
        _counted(within(request, "uncond_steps"), MOST_UNCOND, Wanted.uncond_steps),
        2 * epoch + (within(request, "apart") is True),
        _counted(within(request, "measure"), MOST_DRAWS, Wanted.measure),
    )


def _counted(value: Any, most: int, usual: int) -> int:
    """A count that a request says, else the usual one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else usual


def _tap_prompt(body: Mapping[str, Any], wanted: Wanted) -> Mapping[str, Any]:
    prompt, _ = host.editor.tap_places.add_taps(body["prompt"], host.editor.node_types.declaration_of, asdict(wanted))
    places = host.editor.tap_places.Places(body["prompt"], cache(host.editor.node_types.declaration_of))
    samplers = [node for node in body["prompt"] if places.may_sample(node)]
    prompt = host.editor.tap_places.set_epoch(prompt, wanted.epoch, wanted.measure)
    return _add_our_facts({**body, "prompt": prompt}, {"record": True, **asdict(wanted), SAMPLERS: samplers})


def _add_our_facts(body: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request with this under our key, and the user who asks: nothing of what it says there itself is kept."""
    extra = within(body, "extra_data") or {}
    if not isinstance(body, Mapping) or not isinstance(extra, Mapping):
        return body  # the host refuses it
    ours = {KEY: {**facts, "user": user_who_asks()}} if facts or args.multi_user else {}
    if not ours and KEY not in extra:
        return body
    return {**body, "extra_data": {name: value for name, value in extra.items() if name != KEY} | ours}
