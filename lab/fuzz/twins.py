"""The same graph without this pack, as far as the host has nodes for it: what goes wrong there too is not ours."""

from __future__ import annotations

from .catalogue import Catalogue
from .graphs import Graph, is_wire

TWINS = {"GGGuidedSampler": "KSampler", "GGInspectedSampler": "SamplerCustomAdvanced", "GGGuider": "CFGGuider"}
PASSED = {"GGGuidancePatch": "model", "GGRecord": "model"}  # the input that takes the place of the node's output
SHOWN = ("LATENT", "SIGMAS", "MODEL")


def twin_of(graph: Graph, catalogue: Catalogue) -> Graph | None:
    """The graph with the host's samplers and without rules; None where nothing of it would be left to compare."""
    found = {node: _plain(facts, catalogue) for node, facts in graph.items() if facts["class_type"] in catalogue}
    for facts in found.values():
        for name, value in facts["inputs"].items():
            facts["inputs"][name] = _past(value, graph)
    kept = _without_rules(found, catalogue)
    sampled = [node for node, facts in kept.items() if facts["class_type"] in TWINS.values()]
    shows = {f"show {node}": {"class_type": "PreviewAny", "inputs": {"source": [node, 0]}} for node in sampled}
    return kept | shows if sampled and kept != graph else None


def _plain(facts: dict, catalogue: Catalogue) -> dict:
    kind = str(TWINS.get(facts["class_type"], facts["class_type"]))
    known = catalogue[kind].inputs
    return {"class_type": kind, "inputs": {k: v for k, v in facts["inputs"].items() if k in known}}


def _past(value, graph: Graph):
    """A wire that skips the nodes which only pass a model on."""
    for _ in range(len(graph)):
        source = graph.get(value[0]) if is_wire(value) else None
        if source is None or source["class_type"] not in PASSED:
            break
        value = source["inputs"].get(PASSED[source["class_type"]], value)
    return value


def _without_rules(graph: Graph, catalogue: Catalogue) -> Graph:
    """Only what the host's samplers need."""
    kept: Graph = {}
    waiting = [node for node, facts in graph.items() if facts["class_type"] in TWINS.values()]
    while waiting:
        node = waiting.pop()
        if node in kept or node not in graph:
            continue
        kept[node] = graph[node]
        waiting += [value[0] for value in graph[node]["inputs"].values() if is_wire(value)]
    return kept
