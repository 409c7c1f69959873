"""Strategies for prompts: what runs, spoiled in one to three ways; long chains of rules."""

import copy

from hypothesis import assume
from hypothesis import strategies as st

from . import values
from .graphs import Builder

PRIMITIVES = {"INT": "PrimitiveInt", "FLOAT": "PrimitiveFloat", "BOOLEAN": "PrimitiveBoolean"}


def sampled(draw, options):
    """One of them; an example without any is given up."""
    options = list(options)
    assume(options)
    return draw(st.sampled_from(options))


def known(graph, catalogue):
    """(node, its kind) of every node whose class there is."""
    return [(node, catalogue[facts["class_type"]]) for node, facts in graph.items() if facts["class_type"] in catalogue]


def node_of(draw, graph, catalogue):
    """A node of a graph and its kind, of this pack where there is one."""
    nodes = known(graph, catalogue)
    return sampled(draw, [one for one in nodes if one[1].ours] or nodes)


def slot_of(draw, graph, catalogue, widget):
    """The inputs of a node, and one of its slots: a widget or a wire."""
    node, kind = node_of(draw, graph, catalogue)
    return graph[node]["inputs"], sampled(draw, [one for one in kind.inputs.values() if one.is_widget == widget])


def insert(graph, kind, **inputs):
    """Add a node; returns its wire."""
    node = f"{len(graph)} more"
    graph[node] = {"class_type": kind, "inputs": inputs}
    return [node, 0]


def forbid_a_value(draw, graph, catalogue):
    """A widget gets what it does not allow."""
    inputs, slot = slot_of(draw, graph, catalogue, widget=True)
    inputs[slot.name] = draw(values.forbidden(slot))


def draw_widgets_anew(draw, graph, catalogue):
    """Every widget of a node gets a value that it allows."""
    node, kind = node_of(draw, graph, catalogue)
    graph[node]["inputs"] |= {slot.name: draw(values.allowed(slot)) for slot in kind.inputs.values() if slot.is_widget}


def leave_out_or_add(draw, graph, catalogue):
    """A node, or one of its inputs, is not there; or it gets one that it does not have."""
    node, kind = node_of(draw, graph, catalogue)
    way = draw(st.sampled_from(("node", "input", "more")))
    if way == "node":
        del graph[node]
    elif way == "input":
        graph[node]["inputs"].pop(sampled(draw, kind.inputs), None)
    else:
        graph[node]["inputs"][sampled(draw, ("", "self", "cls", "kwargs"))] = draw(values.anything)


def wire_anything(draw, graph, catalogue):
    """A wire comes from any output, which may make a circle, or from nowhere; or is a value."""
    inputs, slot = slot_of(draw, graph, catalogue, widget=False)
    outputs = [([node, k], wire) for node, kind in known(graph, catalogue) for k, wire in enumerate(kind.outputs)]
    same = [wire for wire, kind in outputs if kind == slot.kind]
    nowhere = st.sampled_from((["none", 0], [next(iter(graph)), 99], [next(iter(graph)), "0"])) | values.anything
    anywhere = [st.sampled_from(some) for some in (same, [wire for wire, _ in outputs]) if some]
    inputs[slot.name] = draw(st.one_of(*anywhere, nowhere))


def wire_a_value(draw, graph, catalogue):
    """A widget's value comes over a wire, where the host checks no range."""
    inputs, slot = slot_of(draw, graph, catalogue, widget=True)
    kind = PRIMITIVES.get(slot.kind, "PrimitiveString")
    value = draw(values.forbidden(catalogue[kind].inputs["value"]))
    inputs[slot.name] = insert(graph, kind, value=values.limit_work(slot, value))


SPOILS = (forbid_a_value, draw_widgets_anew, leave_out_or_add, wire_anything, wire_a_value)


@st.composite
def spoiled(draw, graphs, catalogue):
    """A graph that runs, spoiled in one to three ways."""
    graph = copy.deepcopy(graphs[sampled(draw, graphs)])
    for _ in range(draw(st.integers(1, 3))):
        draw(st.sampled_from(SPOILS))(draw, graph, catalogue)
    return graph


@st.composite
def chains(draw, catalogue):
    """One to six rules with any settings, under our sampler or the host's, with odd steps and scales."""
    builder, guidance = Builder(catalogue), {}
    rules = [kind for kind in catalogue.values() if kind.ours and kind.outputs == ("GG_GUIDANCE",)]
    for rule in draw(st.lists(st.sampled_from(rules), min_size=1, max_size=6)):
        settings = {slot.name: draw(values.allowed(slot)) for slot in rule.inputs.values() if slot.is_widget}
        guidance = {"guidance": [builder.add(rule.name, guidance, **settings), 0]}
    kind, wires = "GGGuidedSampler", guidance
    if draw(st.booleans()):
        kind, wires = "KSampler", {"model": [builder.add("GGGuidancePatch", guidance), 0]}
    canvas = {"batch_size": draw(st.integers(1, 3)), "width": draw(st.sampled_from((32, 8, 40, 64, 0)))}
    latent = builder.add("GGEmptyCanvas", **canvas)
    named = {name: catalogue[kind].inputs[name].facts["options"] for name in ("sampler_name", "scheduler")}
    choices = named | {"cfg": (1.0, 0.0, 0.5, 4.0, 7.5, 100.0), "denoise": (1.0, 0.5, 0.01, 0.0), "steps": range(1, 5)}
    settings = {name: draw(st.sampled_from(some)) for name, some in choices.items()}
    return builder.finish(builder.add(kind, {**wires, "latent_image": [latent, 0]}, **settings))


def prompts(graphs, catalogue):
    """Any of these."""
    return spoiled(graphs, catalogue) | chains(catalogue)
