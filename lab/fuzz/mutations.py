"""Ways to spoil a graph, each a named function of a random source: the same seed spoils the same way."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from . import values
from .catalogue import Catalogue, Slot
from .edits import Edit, apply_edits, delete, fresh_id, insert, leave_out, put, wires_of
from .graphs import Graph

Mutation = Callable[[Random, Graph, Catalogue], list[Edit]]
MUTATIONS: dict[str, Mutation] = {}
PRIMITIVES = ("PrimitiveInt", "PrimitiveFloat", "PrimitiveString", "PrimitiveBoolean")
SPLIT = {"LATENT": ("RebatchLatents", "latents"), "IMAGE": ("RebatchImages", "images")}
OURS = 0.85  # how often a node of this pack is chosen where there is one


def mutation(function: Mutation) -> Mutation:
    """Let a function be chosen, under its name."""
    MUTATIONS[function.__name__.replace("_", " ")] = function
    return function


def spoil(rng: Random, graph: Graph, catalogue: Catalogue, most: int = 3) -> tuple[list[str], list[Edit]]:
    """One to `most` mutations, by name, and what they change."""
    names, edits = [], []
    for _ in range(rng.choice((1, 1, 1, 2, most))):
        name = rng.choice(list(MUTATIONS))
        found = MUTATIONS[name](rng, apply_edits(graph, edits), catalogue)
        names += [name] if found else []
        edits += found
    return names, edits


def chosen_node(rng: Random, graph: Graph, catalogue: Catalogue) -> str | None:
    """A node of the graph, mostly one of this pack."""
    known = [node for node, facts in graph.items() if facts["class_type"] in catalogue]
    own = [node for node in known if catalogue[graph[node]["class_type"]].ours]
    pool = own if own and rng.random() < OURS else known
    return rng.choice(pool) if pool else None


def chosen_slot(rng: Random, graph: Graph, catalogue: Catalogue, widget: bool | None) -> tuple[str, Slot] | None:
    """An input of a node: a widget, a wire, or either (None)."""
    node = chosen_node(rng, graph, catalogue)
    if node is None:
        return None
    slots = catalogue[graph[node]["class_type"]].inputs.values()
    fitting = [slot for slot in slots if widget is None or slot.is_widget == widget]
    return (node, rng.choice(fitting)) if fitting else None


def outputs_in(graph: Graph, catalogue: Catalogue) -> list[tuple[list, str]]:
    """Every output of every node in the graph, as a wire and its type."""
    return [
        ([node, index], kind)
        for node, facts in graph.items()
        if facts["class_type"] in catalogue
        for index, kind in enumerate(catalogue[facts["class_type"]].outputs)
    ]


@mutation
def wrong_type(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A widget gets a value of another type."""
    found = chosen_slot(rng, graph, catalogue, widget=True)
    return [put(found[0], found[1].name, values.other_type(rng, found[1]))] if found else []


@mutation
def extreme_value(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A widget gets a value at or beyond the ends of its range."""
    found = chosen_slot(rng, graph, catalogue, widget=True)
    return [put(found[0], found[1].name, values.extreme(rng, found[1]))] if found else []


@mutation
def all_widgets_anew(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """Every widget of a node gets another value that it allows."""
    node = chosen_node(rng, graph, catalogue)
    slots = catalogue[graph[node]["class_type"]].inputs.values() if node else ()
    return [put(node, slot.name, values.plain(rng, slot)) for slot in slots if node and slot.is_widget]


@mutation
def missing_input(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """An input is left out."""
    found = chosen_slot(rng, graph, catalogue, widget=None)
    return [leave_out(found[0], found[1].name)] if found else []


@mutation
def unknown_input(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A node gets an input that it does not have."""
    node = chosen_node(rng, graph, catalogue)
    return [put(node, rng.choice(("", "self", "cls", "kwargs", "more")), values.anything(rng))] if node else []


@mutation
def wire_of_a_wrong_type(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A wire or a widget is fed by any output."""
    found, outputs = chosen_slot(rng, graph, catalogue, widget=None), outputs_in(graph, catalogue)
    return [put(found[0], found[1].name, rng.choice(outputs)[0])] if found and outputs else []


@mutation
def literal_on_a_wire(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A wire is replaced by a value, which the host lets through for types that it does not know."""
    found = chosen_slot(rng, graph, catalogue, widget=False)
    return [put(found[0], found[1].name, values.anything(rng))] if found else []


@mutation
def value_over_a_wire(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A widget's value comes over a wire, where the host checks no range."""
    found = chosen_slot(rng, graph, catalogue, widget=True)
    if not found:
        return []
    node, slot = found
    fitting = {"INT": "PrimitiveInt", "FLOAT": "PrimitiveFloat", "BOOLEAN": "PrimitiveBoolean"}
    primitive = fitting.get(slot.kind, "PrimitiveString") if rng.random() < 0.9 else rng.choice(PRIMITIVES)
    source = catalogue[primitive].inputs["value"]
    fresh = fresh_id(graph)
    value = values.limit_work(slot, _number_or_text(rng, source))
    return [insert(fresh, primitive, {"value": value}), put(node, slot.name, [fresh, 0])]


def _number_or_text(rng: Random, source: Slot) -> Any:
    if source.kind in ("INT", "FLOAT"):
        return rng.choice((*values.NUMBERS, 5, 10**9, -(10**9)))
    return values.extreme(rng, source)


@mutation
def deleted_node(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A node is gone, but not the wires to it."""
    node = chosen_node(rng, graph, catalogue)
    return [delete(node)] if node else []


@mutation
def swapped_wires(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """Two inputs get each other's wire."""
    wires = wires_of(graph)
    if len(wires) < 2:
        return []
    (a, left), (b, right) = rng.sample(wires, 2)
    return [put(a, left, graph[b]["inputs"][right]), put(b, right, graph[a]["inputs"][left])]


@mutation
def wire_of_the_same_type(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A wire is fed by another output of its own type, which may make a circle."""
    found = chosen_slot(rng, graph, catalogue, widget=False)
    if not found:
        return []
    fitting = [wire for wire, kind in outputs_in(graph, catalogue) if kind == found[1].kind]
    return [put(found[0], found[1].name, rng.choice(fitting))] if fitting else []


@mutation
def wire_from_nowhere(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A wire names an output, or a node, that is not there."""
    found = chosen_slot(rng, graph, catalogue, widget=False)
    places = (["none", 0], [next(iter(graph)), 99], [next(iter(graph)), -1], ["", 0], [next(iter(graph)), "0"])
    return [put(found[0], found[1].name, list(rng.choice(places)))] if found else []


@mutation
def shown_as_text(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """Something on a wire is printed."""
    outputs = outputs_in(graph, catalogue)
    wire = rng.choice(outputs)[0] if outputs else None
    return [insert(fresh_id(graph), "PreviewAny", {"source": wire})] if wire else []


@mutation
def odd_latent(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """A latent of another shape, type or content: none, huge, not finite, of another rank."""
    wires = [(node, name) for node, name in wires_of(graph) if name in ("latent_image", "latent", "samples")]
    names = [name for name in catalogue["LoadLatent"].inputs["latent"].facts["options"] if name.startswith("odd")]
    if not (wires and names):
        return []
    node, name = rng.choice(wires)
    fresh = fresh_id(graph)
    return [insert(fresh, "LoadLatent", {"latent": rng.choice(names)}), put(node, name, [fresh, 0])]


@mutation
def list_on_a_wire(rng: Random, graph: Graph, catalogue: Catalogue) -> list[Edit]:
    """Latents or pictures come one by one, so that the host calls what follows once for each."""
    wires = []
    for node, name in wires_of(graph):
        slot = _slot_of(graph, node, name, catalogue)
        wires += [(node, name, SPLIT[slot.kind])] if slot and slot.kind in SPLIT else []
    if not wires:
        return []
    node, name, (kind, given) = rng.choice(wires)
    fresh = fresh_id(graph)
    return [insert(fresh, kind, {given: graph[node]["inputs"][name], "batch_size": 1}), put(node, name, [fresh, 0])]


def _slot_of(graph: Graph, node: str, name: str, catalogue: Catalogue) -> Slot | None:
    kind = catalogue.get(graph[node]["class_type"])
    return kind.inputs.get(name) if kind else None
