"""Taps: every MODEL that a job samples with is recorded, if the job asks for it, and the user's graph stays as it is.

The host hands each prompt to its handlers before it is checked. A job asks by `guidance_geometry: {record: true}` in
its extra data, or, from the editor, in the `extra` of its workflow.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from comfy.cli_args import args

from ..trace.faults import line_of
from .adapter import KEY, prompt_server
from .afterwards import MOST_UNCOND
from .jobs import within, workflow_id_of, workflow_key_of, workflow_of
from .recording import CAPTURES
from .run_store import STORE
from .users import guarding_our_routes, noting_who_asks, user_who_asks

TAP = "GGTap"
SAMPLED = {"LATENT", "GUIDER", "IMAGE", "VIDEO", "AUDIO"}  # who reads a MODEL and gives one of these samples with it
STARTS = {"LATENT", "NOISE"}  # what a run starts from, beside a seed
OWN = ("GGGuidedSampler", "GGInspectedSampler", "GGRecord", TAP)  # they record by themselves
TAPPED = ("MODEL", "*", "COMFY_MATCHTYPE_V3")  # outputs that may carry one: behind others the error would name the tap
MOST_TOLD = 256  # faults of classes that are remembered as told


@dataclass(frozen=True)
class NodeType:
    """What a node class declares.  outputs: types. inputs: gives the type of each input"""

    outputs: tuple[str, ...]
    inputs: Callable[[], Mapping[str, str]]

    @property
    def gives_samples(self) -> bool:
        """Whether a MODEL may be sampled with here."""
        return not SAMPLED.isdisjoint(self.outputs)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of the MODEL inputs that it samples with: whoever hands a MODEL on must start from something, too."""
        inputs = self.inputs()
        starts = any("seed" in name or kind in STARTS for name, kind in inputs.items())
        samples = self.gives_samples and (starts or "MODEL" not in self.outputs)
        return tuple(name for name, kind in inputs.items() if kind == "MODEL") if samples else ()


@dataclass(frozen=True)
class Wanted:
    """What a job asks for.

    capture: as in Record Guidance. uncond_steps: steps at which a run without u evaluates it afterwards. epoch: changes
    when the host's cache has outlived the records, so that its samplers run again.
    """

    capture: str = "pictures"
    uncond_steps: int = 3
    epoch: int = 0


def watch_prompts() -> None:
    """Let the host's server hand every prompt to `on_prompt`; without one nobody asks."""
    server = prompt_server()
    if server is not None:
        server.app.middlewares.extend((guarding_our_routes, noting_who_asks))
        server.add_on_prompt_handler(on_prompt)


def on_prompt(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request with taps where it asks for them, and with its user; a fault of ours costs it its records alone."""
    try:
        wanted = wanted_of(body)
        return _with_ours(body, {}) if wanted is None else _tapped(body, wanted)
    except Exception:
        logging.warning("Guidance Geometry: this job is not recorded", exc_info=True)
        return _with_ours(body, {})


def wanted_of(body: Mapping[str, Any]) -> Wanted | None:
    """What a request asks for, None where it does not ask; what it says wrongly counts as not said."""
    extra = body.get("extra_data")
    said = within(extra, KEY) or within(workflow_of(extra), "extra", KEY)
    if within(said, "record") is not True:
        return None
    capture, steps = within(said, "capture"), within(said, "uncond_steps")
    counted = isinstance(steps, int) and not isinstance(steps, bool) and 0 <= steps <= MOST_UNCOND
    return Wanted(
        capture if capture in CAPTURES else Wanted.capture,
        steps if counted else Wanted.uncond_steps,
        STORE.epoch(workflow_id_of(extra), workflow_key_of(extra)),
    )


def _tapped(body: Mapping[str, Any], wanted: Wanted) -> Mapping[str, Any]:
    prompt, _ = with_taps(body["prompt"], declared, asdict(wanted))
    return _with_ours({**body, "prompt": prompt}, {"record": True, **asdict(wanted)})


def _with_ours(body: Mapping[str, Any], said: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request with this under our key, and the user who asks: nothing of what it says there itself is kept."""
    extra = within(body, "extra_data") or {}
    if not isinstance(body, Mapping) or not isinstance(extra, Mapping):
        return body  # the host refuses it
    ours = {KEY: {**said, "user": user_who_asks()}} if said or args.multi_user else {}
    if not ours and KEY not in extra:
        return body
    return {**body, "extra_data": {name: value for name, value in extra.items() if name != KEY} | ours}


def with_taps(
    prompt: Mapping[str, Any], type_of: Callable[[str], NodeType | None], inputs: Mapping[str, Any]
) -> tuple[dict, list[str]]:
    """The prompt with one tap on each MODEL output that a sampling node reads, and the ids of the taps.

    prompt: in API form. type_of: what a class declares, None for one that is not installed. inputs: of every tap beside
    its model.
    """
    found, made, known = dict(prompt), {}, cache(type_of)
    for name, node in prompt.items():
        for given, source, slot in _edges(prompt, node, known):
            tap = made.setdefault((source, slot), _free_id(found, source, slot))
            found[tap] = {"class_type": TAP, "inputs": {"model": [source, slot], **inputs}}
            found[name] = {**found[name], "inputs": {**found[name]["inputs"], given: [tap, 0]}}
    return found, list(made.values())


def _edges(prompt: Mapping[str, Any], node: Any, type_of: Callable[[str], NodeType | None]) -> list[tuple]:
    """Of a node that samples: its MODEL inputs that are wired to a MODEL, each with the wire's source and slot."""
    kind, inputs = within(node, "class_type"), within(node, "inputs")
    declares = type_of(kind) if isinstance(kind, str) and kind not in OWN and isinstance(inputs, Mapping) else None
    if declares is None or not declares.gives_samples:
        return []
    wires = [(name, *value) for name, value in inputs.items() if _is_wire(value)]
    carrying = [(name, source, slot) for name, source, slot in wires if _carries_model(prompt, source, slot, type_of)]
    models = declares.models if carrying else ()  # asked last: a class may list folders to answer
    return [wire for wire in carrying if wire[0] in models]


def _is_wire(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _carries_model(prompt: Mapping[str, Any], source: str, slot: int, type_of) -> bool:
    kind = within(prompt, source, "class_type")
    declares = type_of(kind) if isinstance(kind, str) and kind != TAP else None
    return declares is not None and 0 <= slot < len(declares.outputs) and declares.outputs[slot] in TAPPED


def _free_id(taken: Mapping[str, Any], source: str, slot: int) -> str:
    name = f"gg-{source.replace(':', '-')}-{slot}"
    while name in taken:
        name += "-"
    return name


def declared(kind: str) -> NodeType | None:
    """What an installed node class declares; None for one that is not there, or does not tell."""
    found = sys.modules["nodes"].NODE_CLASS_MAPPINGS.get(kind)  # the host's; this pack has a module of that name too
    if found is None:
        return None
    outputs = _told(kind, lambda: tuple(map(str, getattr(found, "RETURN_TYPES", None) or ())), ())
    return NodeType(outputs, lambda: _told(kind, lambda: _inputs(found), {}))


def _inputs(found: Any) -> dict[str, str]:
    inputs = found.INPUT_TYPES()
    named = {name: spec for part in ("required", "optional") for name, spec in (inputs.get(part) or {}).items()}
    told = ((name, spec[0]) for name, spec in named.items() if isinstance(spec, list | tuple) and spec)
    return {name: kind for name, kind in told if isinstance(kind, str)}  # the others are lists to choose from


def _told(kind: str, ask: Callable[[], Any], nothing: Any) -> Any:
    """What a class of any pack answers, nothing where it raises."""
    try:
        return ask()
    except Exception as fault:  # noqa: BLE001  any fault of any pack
        _left_out(kind, line_of(fault))
        return nothing


@lru_cache(MOST_TOLD)
def _left_out(kind: str, why: str) -> None:
    """Say so in the log, once."""
    logging.warning("Guidance Geometry: samplers of class %s are not recorded: what it declares raises %s", kind, why)
