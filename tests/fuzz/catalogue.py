"""The nodes of a running host as it describes them itself: inputs with their types, ranges and defaults, outputs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
# A prompt costs well under a second, and asks for no step or sample that is not there.
SMALL = {"steps": 5, "step": -1, "batch_size": 2, "sample": 0, "width": 32, "height": 32, "pictures": 2}


class Slot(NamedTuple):
    """One input of a node.  kind: a wire type, or one of WIDGETS. facts: min, max, default, options"""

    name: str
    kind: str
    required: bool
    facts: Mapping[str, Any]

    @property
    def is_widget(self) -> bool:
        """Whether a value stands in the graph itself."""
        return self.kind in WIDGETS

    def usual(self) -> Any:
        """The default, or the first option, or the least; small where the size is the work."""
        if self.kind == "COMBO":
            return self.facts.get("default") or next(iter(self.facts["options"]), "")
        if self.kind == "INT" and self.name in SMALL:
            return min(max(SMALL[self.name], self.facts.get("min", 0)), self.facts.get("max", 1 << 30))
        return self.facts.get("default", self.facts.get("min", "" if self.kind == "STRING" else 0))


class NodeKind(NamedTuple):
    """One node class.  ours: whether this pack brings it"""

    name: str
    inputs: Mapping[str, Slot]
    outputs: tuple[str, ...]
    is_output: bool
    ours: bool

    def wires_of(self, kind: str) -> list[str]:
        """The inputs that take this type over a wire."""
        return [slot.name for slot in self.inputs.values() if slot.kind == kind]


class Named(dict):
    """A table that is not printed whole: hypothesis prints what strategies are given."""

    def __repr__(self):
        return f"{len(self)} of them"


def catalogue_of(object_info: Mapping[str, Any], pack: str) -> dict[str, NodeKind]:
    """All node classes of a host.  object_info: what it answers at /object_info. pack: the pack's folder name there"""
    return Named({name: _kind(name, facts, f"custom_nodes.{pack}") for name, facts in object_info.items()})


def _kind(name: str, facts: Mapping[str, Any], module: str) -> NodeKind:
    claims = [
        (key, claim, group == "required")
        for group in ("required", "optional")
        for key, claim in (facts["input"].get(group) or {}).items()
    ]
    inputs = {key: _slot(key, claim, required) for key, claim, required in claims}
    outputs = tuple(kind if isinstance(kind, str) else "COMBO" for kind in facts["output"])
    return NodeKind(name, inputs, outputs, facts["output_node"], facts["python_module"] == module)


def _slot(name: str, claim: list, required: bool) -> Slot:
    kind, facts = claim[0], claim[1] if len(claim) > 1 else {}
    if isinstance(kind, list):  # how older nodes state the options of a combo
        return Slot(name, "COMBO", required, {**facts, "options": kind})
    return Slot(name, kind, required, facts)
