"""Workflows in API form as graphs: nodes, wires, widgets and names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Workflow = Mapping[str, Mapping[str, Any]]


def is_link(value: Any) -> bool:
    """Whether an input is a wire."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)


def upstream(workflow: Workflow, node: str) -> Iterator[str]:
    """A node and all that it needs, nearest first."""
    waiting, seen = [node], set()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in workflow:
            continue
        seen.add(name)
        yield name
        waiting += [str(value[0]) for value in workflow[name]["inputs"].values() if is_link(value)]


def widgets(workflow: Workflow) -> list[tuple[str, str]]:
    """Every input that is no wire, as (node, input)."""
    return [(n, name) for n, node in workflow.items() for name, value in node["inputs"].items() if not is_link(value)]


def title_of(node: Mapping) -> str:
    """What a person calls it."""
    return str((node.get("_meta") or {}).get("title") or node["class_type"])
