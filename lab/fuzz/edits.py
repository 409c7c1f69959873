"""Changes of a graph, as data: they are kept in a reproduction and undone one by one when it is made smaller."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from .graphs import Graph, is_wire

Edit = dict[str, Any]


def put(node: str, name: str, value: Any) -> Edit:
    """Give an input a value or a wire."""
    return {"node": node, "input": name, "value": value}


def leave_out(node: str, name: str) -> Edit:
    """Take an input away."""
    return {"node": node, "input": name}


def delete(node: str) -> Edit:
    """Take a node away; wires to it stay."""
    return {"node": node}


def insert(node: str, kind: str, inputs: dict[str, Any]) -> Edit:
    """Add a node."""
    return {"node": node, "add": {"class_type": kind, "inputs": inputs}}


def apply_edits(graph: Graph, edits: Iterable[Edit]) -> Graph:
    """The graph after these changes; a change of what is no longer there does nothing."""
    found = copy.deepcopy(graph)
    for edit in edits:
        node = edit["node"]
        if "add" in edit:
            found[node] = copy.deepcopy(edit["add"])
        elif node not in found:
            continue
        elif "input" not in edit:
            del found[node]
        elif "value" in edit:
            found[node]["inputs"][edit["input"]] = copy.deepcopy(edit["value"])
        else:
            found[node]["inputs"].pop(edit["input"], None)
    return found


def wires_of(graph: Graph) -> list[tuple[str, str]]:
    """(node id, input name) of everything that is wired."""
    return [(node, name) for node, facts in graph.items() for name, value in facts["inputs"].items() if is_wire(value)]


def fresh_id(graph: Graph) -> str:
    """A node id that is free."""
    return str(max([int(node) for node in graph if node.isdecimal()], default=0) + 1000)
