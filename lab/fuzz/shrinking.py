"""A fault made smaller: whatever can be undone, taken away or set back while the fault stays the same is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .cases import Case
from .catalogue import Catalogue
from .edits import fresh_id
from .graphs import Graph, is_wire, outputs_of, upstream_graph

Same = Callable[[Case], bool]


def smallest(case: Case, same: Same, catalogue: Catalogue, most: int = 60) -> Case:
    """Greedy: the first smaller case with the same fault is taken, again and again.  most: trials"""
    trials = 0
    while True:
        for smaller in _smaller(case, catalogue):
            trials += 1
            if trials > most:
                return case
            if same(smaller):
                case = smaller
                break
        else:
            return case


def _smaller(case: Case, catalogue: Catalogue) -> Iterator[Case]:
    """Cases with less in them, the boldest first."""
    for index in range(len(case.edits)):
        yield case.but(edits=case.edits[:index] + case.edits[index + 1 :])
    for place, recipe in enumerate(case.files):
        for index in range(len(recipe["edits"])):
            fewer = recipe["edits"][:index] + recipe["edits"][index + 1 :]
            yield case.but(files=[*case.files[:place], recipe | {"edits": fewer}, *case.files[place + 1 :]])
    whole = case.prompt
    for graph in _smaller_graphs(whole, catalogue):
        yield case.but(graph=graph, edits=[])


def _smaller_graphs(graph: Graph, catalogue: Catalogue) -> Iterator[Graph]:
    known = {node: facts for node, facts in graph.items() if facts["class_type"] in catalogue}
    outputs = outputs_of(known, catalogue)
    for node in known:
        smaller = upstream_graph(graph, node)
        if not outputs_of({n: f for n, f in smaller.items() if n in known}, catalogue):
            smaller[fresh_id(graph)] = {"class_type": "PreviewAny", "inputs": {"source": [node, 0]}}
        if len(smaller) < len(graph):
            yield smaller
    for node in outputs[1:]:
        yield {name: facts for name, facts in graph.items() if name != node}
    yield from _without_inputs(graph, catalogue)


def _without_inputs(graph: Graph, catalogue: Catalogue) -> Iterator[Graph]:
    """One input fewer, or past a node of the same type."""
    for node, facts in graph.items():
        slots = catalogue[facts["class_type"]].inputs if facts["class_type"] in catalogue else {}
        for name, value in facts["inputs"].items():
            fewer = {key: kept for key, kept in facts["inputs"].items() if key != name}
            slot = slots.get(name)
            if slot is None or not slot.required:
                yield _prune(graph | {node: facts | {"inputs": fewer}}, catalogue)
            before = graph.get(value[0]) if is_wire(value) else None
            passed = before["inputs"].get(name) if before else None
            if is_wire(passed) and passed != value:
                yield _prune(graph | {node: facts | {"inputs": facts["inputs"] | {name: passed}}}, catalogue)


def _prune(graph: Graph, catalogue: Catalogue) -> Graph:
    """Without the nodes that no output needs."""
    known = {node: facts for node, facts in graph.items() if facts["class_type"] in catalogue}
    kept: Graph = {}
    for node in outputs_of(known, catalogue):
        kept |= upstream_graph(graph, node)
    return kept
