"""The wires of a job's prompt: walked from its sampler back, with the types that the node classes declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .jobs import MOST_NODES, RunningJob, within
from .node_types import declaration_of


def walk(job: RunningJob | None, leads: Callable[[str, str, str], bool]) -> Iterator[str]:
    """The sampler's node and those behind it along some wires, each once.  leads: asked with reader, input and type"""
    waiting, seen = [job.display] if job else [], set()
    while job and waiting and len(seen) < MOST_NODES:
        node = waiting.pop(0)
        inputs = within(job.prompt, node, "inputs")
        if node in seen or not isinstance(inputs, Mapping):
            continue
        seen.add(node)
        yield node
        waiting += [source for name, source, kind in wires_of(job, node) if leads(node, name, kind)]


def wires_of(job: RunningJob, node: str) -> Iterator[tuple[str, str, str]]:
    """Each wire into a node: the input, the node that it comes from, and what it carries."""
    for name, wire in (within(job.prompt, node, "inputs") or {}).items():
        if isinstance(wire, list) and len(wire) == 2:
            yield name, str(wire[0]), _kind(job, str(wire[0]), wire[1])


def _kind(job: RunningJob, source: str, slot: Any) -> str:
    """The type of an output; empty where its class does not tell."""
    declares = declaration_of(class_of(job, source) or "")
    outputs = declares.outputs if declares else ()
    return outputs[slot] if isinstance(slot, int) and 0 <= slot < len(outputs) else ""


def class_of(job: RunningJob | None, node: str) -> str | None:
    """The class of a node."""
    kind = within(job.prompt, node, "class_type") if job else None
    return kind if isinstance(kind, str) else None


def given_of(job: RunningJob | None, node: str, name: str) -> Any:
    """What an input of a node is given: a value, or a wire."""
    return within(job.prompt, node, "inputs", name) if job else None
