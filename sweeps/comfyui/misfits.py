"""What a server must have for a study, read from what it tells of itself, before any work."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..axes import suggest
from ..cells import Cell
from ..graph import Workflow, is_link, title_of
from .cell import Told

KINDS = {"INT": "whole number", "FLOAT": "number"}  # of widgets


def misfits(prompts: Iterable[Workflow], types: Told, server: str) -> list[str]:
    """What the server lacks, a sentence each, each once: node classes, inputs, models and other words of a list."""
    sentences = (words for prompt in prompts for node in prompt.values() for words in _misfits_of_node(node, types))
    return [f"{server}: {words}" for words in dict.fromkeys(sentences)]


def _misfits_of_node(node: Mapping, types: Told) -> list[str]:
    name = node["class_type"]
    if name not in types:
        return [f"it has no node {name}. {suggest(name, types)} Is it another version, or is a pack missing?"]
    if (node_type := types[name]) is None:
        return [f"what it says of its node {name} cannot be read. Is another pack in the way?"]
    needed, optional = node_type["input"].get("required", {}), node_type["input"].get("optional", {})
    declared = {**needed, **optional}
    lacking = [widget for widget in needed if widget not in node["inputs"]]
    words = [f"{name} there needs an input {lacking[0]}, so it is another version."] if lacking else []
    for widget, value in node["inputs"].items():
        options = options_of(declared.get(widget, ()))
        if options and not is_link(value) and value not in options:
            words.append(f"{title_of(node)} has no {widget} {value!r}. {suggest(str(value), map(str, options))}")
        if not is_link(value) and (needs := limits_exceeded(declared.get(widget, ()), value)):
            words.append(f"{title_of(node)} has {widget} {value}, and {needs}.")
    return words


def limits_exceeded(declared: Sequence, value: Any) -> str:
    """What a widget of numbers takes, where it cannot hold a value; "" where it can, and of any other input."""
    kind, limits = (*declared, {}, {})[:2] if declared else ("", {})
    if isinstance(kind, list) or kind not in KINDS or value is None:
        return ""
    low, high = (limits.get(end, side * math.inf) for end, side in (("min", -1), ("max", 1)))
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or (kind == "INT" and value % 1):
        return f"needs a {KINDS[kind]} from {low:g} to {high:g}"
    return "" if low <= value <= high else f"takes {low:g} to {high:g}"


def options_of(declared: Sequence) -> list:
    """The words of a combo; nothing for any other input."""
    kind, more = (declared or [None])[0], declared[1] if len(declared) > 1 else {}
    return list(kind) if isinstance(kind, list) else list(more.get("options") or []) if kind == "COMBO" else []


def refuse_misfits(cells: Sequence[Cell], types: Mapping[str, Told]) -> None:
    """Raise ValueError with all that the servers lack.  types: by address."""
    lacking = [words for server, info in types.items() for words in misfits((c.prompt for c in cells), info, server)]
    if lacking:
        raise ValueError("\n".join(lacking))
