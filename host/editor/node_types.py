"""What node classes of any pack declare, and which of their types hold a MODEL inside."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from comfy_api.latest import io

from ... import trace
from .wires import CARRIED

MODEL = "MODEL"
SAMPLED = {"LATENT", "GUIDER", "IMAGE", "VIDEO", "AUDIO"}  # who reads a MODEL and gives one of these samples with it
STARTS = {"LATENT", "NOISE"}  # what a run starts from, beside a seed
ANY = ("*", "COMFY_MATCHTYPE_V3")  # types of what passes anything on
MOST_TOLD = 256  # faults of classes that are remembered as told


@dataclass(frozen=True)
class NodeType:
    """What a node class declares.  outputs: types. inputs: gives the type of each input"""

    outputs: tuple[str, ...]
    inputs: Callable[[], Mapping[str, str]]

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        """The type of each input."""
        return self.inputs()

    @property
    def gives_samples(self) -> bool:
        """Whether a MODEL may be sampled with here."""
        return not SAMPLED.isdisjoint(self.outputs)

    @property
    def is_seeded(self) -> bool:
        """Whether it draws random numbers."""
        return any("seed" in name for name in self.kinds)

    def starts_from(self, kinds: set[str]) -> bool:
        """Whether it starts from a seed, or is given one of these types."""
        return self.is_seeded or not kinds.isdisjoint(self.kinds.values())

    @property
    def samples(self) -> bool:
        """Whether it samples with a MODEL that it is given: whoever hands one on must start from something, too."""
        return self.gives_samples and (MODEL not in self.outputs or self.starts_from(STARTS))

    @property
    def only_samples(self) -> bool:
        """Whether it can be nothing but a sampler: it hands no MODEL on, and reads conditions and a seed beside one."""
        needs = {MODEL, "CONDITIONING"} <= {*self.kinds.values()} and self.is_seeded
        return needs and self.gives_samples and MODEL not in self.outputs

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the MODEL inputs that it samples with."""
        return tuple(name for name, kind in self.kinds.items() if kind == MODEL) if self.samples else ()

    def takes(self, name: str, kind: str) -> bool:
        """Whether an input takes this type; an input that is not declared the host does not check."""
        return not {kind, *ANY}.isdisjoint(self.kinds.get(name, kind).split(","))


def is_opaque(kind: str) -> bool:
    """Whether a type is one of another pack, so that a MODEL may be inside."""
    return _types_without_models().isdisjoint(kind.split(","))


@cache
def _types_without_models() -> frozenset[str]:
    """All types of the host, in which a MODEL is a MODEL, and of this pack."""
    declared_there = (getattr(getattr(io, name), "io_type", None) for name in dir(io))
    return frozenset({*ANY, *CARRIED, *(kind for kind in declared_there if isinstance(kind, str))})


def is_pipe(kind: str) -> bool:
    """Whether some installed node puts a MODEL into this type, and some node takes it out again."""
    return is_opaque(kind) and kind in _pipes(tuple(_classes()))


@lru_cache(1)
def _pipes(kinds: tuple[str, ...]) -> frozenset[str]:
    classes = [declared for declared in map(_declaration_of, kinds) if declared is not None]
    openers = [node for node in classes if MODEL in node.outputs and MODEL not in node.kinds.values()]
    sources = {kind for opener in openers for kind in opener.kinds.values() if is_opaque(kind)}
    packers = (node for node in classes if not sources.isdisjoint(node.outputs) and MODEL in node.kinds.values())
    return frozenset(sources.intersection(kind for packer in packers for kind in packer.outputs))


def _classes() -> Mapping[str, Any]:
    return sys.modules["nodes"].NODE_CLASS_MAPPINGS  # the host's; this pack has a module of that name too


def declaration_of(kind: str) -> NodeType | None:
    """What an installed node class declares; None for one that is not there, or does not tell."""
    return _declaration_of(kind, lambda fault: _left_out(kind, trace.faults.line_of(fault)))


def _declaration_of(kind: str, failed: Callable[[Exception], None] = lambda fault: None) -> NodeType | None:
    node_type = _classes().get(kind)
    if node_type is None:
        return None
    kinds = lambda: getattr(node_type, "RETURN_TYPES", None) or ()  # noqa: E731  any class of any pack
    outputs = _ask_class(lambda: tuple(str(kind) if isinstance(kind, str) else "COMBO" for kind in kinds()), (), failed)
    return NodeType(outputs, lambda: _ask_class(lambda: _inputs(node_type), {}, failed))


def limits_of(kind: str, name: str) -> tuple[float, float]:
    """The smallest and the largest number that an input of an installed node class takes; infinite where none is."""
    facts = _ask_class(lambda: _specs(_classes()[kind])[name][1], {}, lambda fault: None)
    ends = (facts.get(end) if isinstance(facts, Mapping) else None for end in ("min", "max"))
    low, high = (float(end) if isinstance(end, int | float) else math.nan for end in ends)
    return -math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high


def _specs(declaration: Any) -> dict[str, Any]:
    inputs = declaration.INPUT_TYPES()
    return {name: spec for part in ("required", "optional") for name, spec in (inputs.get(part) or {}).items()}


def _inputs(declaration: Any) -> dict[str, str]:
    named = _specs(declaration)
    kinds = ((name, spec[0]) for name, spec in named.items() if isinstance(spec, list | tuple) and spec)
    return {name: kind for name, kind in kinds if isinstance(kind, str)}  # the others are lists to choose from


def _ask_class(ask: Callable[[], Any], nothing: Any, failed: Callable[[Exception], None]) -> Any:
    """What a class of any pack answers, nothing where it raises."""
    try:
        return ask()
    except Exception as fault:  # noqa: BLE001  any fault of any pack
        failed(fault)
        return nothing


@lru_cache(MOST_TOLD)
def _left_out(kind: str, why: str) -> None:
    """Say so in the log, once."""
    logging.warning("Guidance Geometry: samplers of class %s are not recorded: what it declares raises %s", kind, why)
