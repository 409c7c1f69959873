"""Where taps go: on every wire by which a MODEL comes to what samples with it, alone or inside of something.

A pipe, out of which nodes take a MODEL, is opened where a sampler reads it. What else may hold a MODEL is never opened:
the wires into its maker are tapped, so that it is made with a recorded one. What is made to sample with is given
conditions, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from .jobs import within
from .node_types import ANY, MODEL, STARTS, NodeType, is_opaque, is_pipe

TAP, PIPE_TAP = "GGTap", "GGPipeTap"
NOTHING = NodeType((), dict)  # what a class declares that is not asked, or not there
SELF_RECORDING = ("GGGuidedSampler", "GGInspectedSampler")
OWN = (*SELF_RECORDING, "GGRecord", TAP, PIPE_TAP)  # they record by themselves


class Wire(NamedTuple):
    """One wire of a prompt.  reader, name: the input it leads into. source, slot: the output. kind: its type"""

    reader: str
    name: str
    source: str
    slot: int
    kind: str


@dataclass(frozen=True)
class Places:
    """The places of a prompt.  type_of: what a class declares, None for one that is not installed"""

    prompt: Mapping[str, Any]
    type_of: Callable[[str], NodeType | None]

    def wires_to_tap(self, node: str) -> list[Wire]:
        """The wires to tap for a node to be recorded; none where it does not sample."""
        declares = self._node_type(node)
        wires = self._wires_into(node) if declares.gives_samples else []
        if not wires or not declares.samples:  # asked last: a class may list folders to answer
            return []
        direct = [wire for wire in wires if is_pipe(wire.kind) or (wire.kind == MODEL and wire.name in declares.models)]
        begins = "GUIDER" in declares.outputs or declares.starts_from(STARTS | {"VAE"})  # it makes latents of pictures
        return direct + (list(self._behind(wires)) if begins else [])

    def may_sample(self, node: str) -> bool:
        """Whether a node could be a sampler: one that is tapped for, or makes latents of something that is shut."""
        declares = self._node_type(node)
        latents = "LATENT" in declares.outputs and any(is_opaque(wire.kind) for wire in self._wires_into(node))
        return (latents and declares.is_seeded) or bool(self.wires_to_tap(node))

    def _behind(self, wires: list[Wire]) -> Iterator[Wire]:
        """The wires to tap behind these: into the makers of what is not opened, and into what those are made with."""
        waiting, seen = [wire for wire in wires if self._is_shut(wire)], set()
        while waiting:
            source = waiting.pop().source
            for wire in self._wires_into(source) if source not in seen else []:
                if self._is_shut(wire):
                    waiting.append(wire)
                elif wire.kind != MODEL or "CONDITIONING" in self._node_type(source).kinds.values():
                    yield wire
            seen.add(source)

    def _is_shut(self, wire: Wire) -> bool:
        return wire.kind != MODEL and not is_pipe(wire.kind)

    def _node_type(self, node: str) -> NodeType:
        kind, inputs = within(self.prompt, node, "class_type"), within(self.prompt, node, "inputs")
        is_foreign = isinstance(kind, str) and kind not in OWN and isinstance(inputs, Mapping)
        return (self.type_of(kind) if is_foreign else None) or NOTHING

    def _wires_into(self, node: str) -> list[Wire]:
        """Those that may carry a MODEL, alone or inside of something."""
        declares = self._node_type(node)
        inputs = self.prompt[node]["inputs"] if declares is not NOTHING else {}
        pairs = ((name, value) for name, value in inputs.items() if isinstance(value, list) and len(value) == 2)
        ends = [(name, *end) for name, end in pairs if isinstance(end[0], str) and isinstance(end[1], int)]
        wires = [Wire(node, name, source, slot, self._kind_of(node, name, source, slot)) for name, source, slot in ends]
        return [wire for wire in wires if wire.kind and declares.takes(wire.name, wire.kind)]

    def _kind_of(self, node: str, name: str, source: str, slot: int) -> str:
        """The type of a wire, as its reader says where its source gives anything; empty where it holds no MODEL."""
        kind = within(self.prompt, source, "class_type")
        maker = self.type_of(kind) if isinstance(kind, str) and kind not in (TAP, PIPE_TAP) else None
        if maker is None or not 0 <= slot < len(maker.outputs):
            return ""
        carries = maker.outputs[slot]
        carries = self._node_type(node).kinds.get(name, carries) if carries in ANY else carries
        return carries if carries == MODEL or carries in ANY or is_opaque(carries) else ""


def add_taps(
    prompt: Mapping[str, Any], type_of: Callable[[str], NodeType | None], inputs: Mapping[str, Any]
) -> tuple[dict, list[str]]:
    """The prompt with one tap on each output by which a MODEL comes to a sampling node, and the ids of the taps.

    prompt: in API form. type_of: what a class declares, None for one that is not installed. inputs: of every tap beside
    its model.
    """
    tapped, made, places = dict(prompt), {}, Places(prompt, cache(type_of))
    for wire in dict.fromkeys(wire for node in prompt for wire in places.wires_to_tap(node)):
        kind, given = (TAP, "model") if wire.kind == MODEL else (PIPE_TAP, "pipe")
        tap = made.setdefault((kind, wire.source, wire.slot), _free_id(tapped, wire))
        tapped[tap] = {"class_type": kind, "inputs": {given: [wire.source, wire.slot], **inputs}}
        reader = tapped[wire.reader]
        tapped[wire.reader] = {**reader, "inputs": {**reader["inputs"], wire.name: [tap, 0]}}
    return tapped, list(made.values())


def set_epoch(prompt: Mapping[str, Any], epoch: int, measure: int = 0) -> dict:
    """The prompt with an epoch on whatever records: in another one the host samples again.

    That is what records by itself, which has no tap, and the taps of an earlier job that is queued once more. The
    host's cache compares all inputs; the node never sees one that it does not declare. measure: as of a tap.
    """
    settings = {"epoch": epoch, "measure": measure}
    wanted = {name: value for name, value in settings.items() if value}

    def add_settings(node: Any) -> Any:
        kind, inputs = within(node, "class_type"), within(node, "inputs")
        given = settings if kind in (TAP, PIPE_TAP) else wanted if kind in SELF_RECORDING else {}
        return {**node, "inputs": {**inputs, **given}} if given and isinstance(inputs, Mapping) else node

    return {name: add_settings(node) for name, node in prompt.items()}


def _free_id(taken: Mapping[str, Any], wire: Wire) -> str:
    name = f"gg-{wire.source.replace(':', '-')}-{wire.slot}"
    while name in taken:
        name += "-"
    return name
