"""Whether a condition of a run was made from any words, as the queue's prompt shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .jobs import MOST_NODES, within
from .node_types import ANY, declaration_of, is_opaque

WORDED = ("CONDITIONING", "STRING", *ANY)  # types that words may come in


def has_words(prompt: Mapping[str, Any], sampler: str, name: str) -> bool | None:
    """Whether any text stands in the nodes from which an input of the sampler, or of its guider, gets a condition.

    prompt: in API form. None where that cannot be told: where a condition comes inside something else, as a pipe.
    """
    start = _source_of(prompt, sampler, name)
    if start is None:
        return None
    waiting, seen = [start], set()
    while waiting and len(seen) < MOST_NODES:
        node = waiting.pop()
        inputs = _inputs_of(prompt, node)
        if inputs is None:
            return None
        if any(kind == "STRING" and isinstance(value, str) and value.strip() for kind, value in inputs):
            return True
        seen.add(node)
        sources = [(kind, _node_of(value)) for kind, value in inputs]
        if any(source and is_opaque(kind) for kind, source in sources):
            return None
        waiting += [source for kind, source in sources if kind in WORDED and source and source not in seen]
    return False


def _source_of(prompt: Mapping[str, Any], node: str | None, name: str) -> str | None:
    """The node that is wired to an input of a node, or of the guider that is wired to it; None where none is."""
    seen: set[str] = set()
    while node and node not in seen:
        seen.add(node)
        inputs = within(prompt, node, "inputs") or {}
        if source := _node_of(inputs.get(name)):
            return source
        node = _node_of(inputs.get("guider"))
    return None


def _inputs_of(prompt: Mapping[str, Any], node: str) -> list[tuple[str, Any]] | None:
    """The declared type and the value of each input of a node; None of one that is not there, or declares nothing."""
    kind, inputs = within(prompt, node, "class_type"), within(prompt, node, "inputs")
    declaration = declaration_of(kind) if isinstance(kind, str) else None
    if declaration is None or not isinstance(inputs, Mapping):
        return None
    return [(declaration.kinds.get(name, ANY[0]), value) for name, value in inputs.items()]


def _node_of(value: Any) -> str | None:
    """The node at the other end of a wire; None of another value."""
    return value[0] if isinstance(value, list) and value and isinstance(value[0], str) else None
