"""Strategies for prompts: what runs, spoiled in one to three ways; long chains of rules; towers of one node."""

import copy

from hypothesis import assume
from hypothesis import strategies as st

from . import values
from .graphs import SOURCES, Builder, is_wire

PRIMITIVES = {"INT": "PrimitiveInt", "FLOAT": "PrimitiveFloat", "BOOLEAN": "PrimitiveBoolean"}
SPLIT = {"LATENT": ("RebatchLatents", "latents"), "IMAGE": ("RebatchImages", "images")}
TALLEST = 24


def sampled(draw, options):
    """One of them; an example without any is given up."""
    options = list(options)
    assume(options)
    return draw(st.sampled_from(options))


def node_of(draw, graph, catalogue):
    """A node of a graph, of this pack where there is one."""
    known = [node for node, facts in graph.items() if facts["class_type"] in catalogue]
    return sampled(draw, [node for node in known if catalogue[graph[node]["class_type"]].ours] or known)


def slot_of(draw, graph, catalogue, widget=None):
    """A node and one of its inputs: a widget, a wire, or either (None)."""
    node = node_of(draw, graph, catalogue)
    slots = catalogue[graph[node]["class_type"]].inputs.values()
    return node, sampled(draw, [slot for slot in slots if widget in (None, slot.is_widget)])


def outputs_in(graph, catalogue):
    """Every output of every node in the graph, as a wire and its type."""
    kinds = {node: catalogue[facts["class_type"]] for node, facts in graph.items() if facts["class_type"] in catalogue}
    return [([node, index], kind) for node in kinds for index, kind in enumerate(kinds[node].outputs)]


def insert(graph, kind, **inputs):
    """Add a node; returns its wire."""
    node = f"{len(graph)} more"
    graph[node] = {"class_type": kind, "inputs": inputs}
    return [node, 0]


def forbid_a_value(draw, graph, catalogue):
    """A widget gets what it does not allow."""
    node, slot = slot_of(draw, graph, catalogue, widget=True)
    graph[node]["inputs"][slot.name] = draw(values.forbidden(slot))


def draw_widgets_anew(draw, graph, catalogue):
    """Every widget of a node gets a value that it allows."""
    node = node_of(draw, graph, catalogue)
    slots = catalogue[graph[node]["class_type"]].inputs.values()
    graph[node]["inputs"] |= {slot.name: draw(values.allowed(slot)) for slot in slots if slot.is_widget}


def leave_out(draw, graph, catalogue):
    """An input, or a whole node, is not there."""
    node, slot = slot_of(draw, graph, catalogue)
    if draw(st.booleans()):
        graph[node]["inputs"].pop(slot.name, None)
    else:
        del graph[node]


def give_an_unknown_input(draw, graph, catalogue):
    """A node gets an input that it does not have."""
    inputs = graph[node_of(draw, graph, catalogue)]["inputs"]
    inputs[sampled(draw, ("", "self", "cls", "kwargs", "more"))] = draw(values.anything)


def wire_anything(draw, graph, catalogue):
    """An input is fed by any output, or by one of its own type, which may make a circle."""
    node, slot = slot_of(draw, graph, catalogue)
    outputs = outputs_in(graph, catalogue)
    same = [wire for wire, kind in outputs if kind == slot.kind]
    graph[node]["inputs"][slot.name] = sampled(draw, same if same and draw(st.booleans()) else [w for w, _ in outputs])


def wire_nowhere(draw, graph, catalogue):
    """A wire names an output, or a node, that is not there; or is a value, which some types let through."""
    node, slot = slot_of(draw, graph, catalogue, widget=False)
    first = next(iter(graph))
    nowhere = st.sampled_from((["none", 0], [first, 99], [first, -1], ["", 0], [first, "0"]))
    graph[node]["inputs"][slot.name] = draw(nowhere | values.anything)


def wire_a_value(draw, graph, catalogue):
    """A widget's value comes over a wire, where the host checks no range."""
    node, slot = slot_of(draw, graph, catalogue, widget=True)
    kind = PRIMITIVES.get(slot.kind, "PrimitiveString")
    value = draw(values.forbidden(catalogue[kind].inputs["value"]))
    graph[node]["inputs"][slot.name] = insert(graph, kind, value=values.limit_work(slot, value))


def show_as_text(draw, graph, catalogue):
    """Something on a wire is printed."""
    insert(graph, "PreviewAny", source=sampled(draw, outputs_in(graph, catalogue))[0])


def feed_an_odd_latent(draw, graph, catalogue):
    """A latent of another shape, type or content: none, huge, not finite, of another rank."""
    wires = [(node, name) for node, name, slot in wired(graph, catalogue) if slot.kind == "LATENT"]
    node, name = sampled(draw, wires)
    graph[node]["inputs"][name] = insert(graph, "LoadLatent", latent=sampled(draw, odd_latents(catalogue)))


def feed_one_by_one(draw, graph, catalogue):
    """Latents or pictures come one by one, so that the host calls what follows once for each."""
    node, name, slot = sampled(draw, [wire for wire in wired(graph, catalogue) if wire[2].kind in SPLIT])
    kind, given = SPLIT[slot.kind]
    graph[node]["inputs"][name] = insert(graph, kind, batch_size=1, **{given: graph[node]["inputs"][name]})


def wired(graph, catalogue):
    """(node, input name, slot) of every wire into a known input."""
    found = []
    for node, facts in graph.items():
        slots = catalogue[facts["class_type"]].inputs if facts["class_type"] in catalogue else {}
        found += [
            (node, name, slots[name]) for name, value in facts["inputs"].items() if is_wire(value) and name in slots
        ]
    return found


def odd_latents(catalogue):
    """Names of the latents that `equipment` has written."""
    return [name for name in catalogue["LoadLatent"].inputs["latent"].facts["options"] if name.startswith("odd")]


SPOILS = (forbid_a_value, draw_widgets_anew, leave_out, give_an_unknown_input, wire_anything, wire_nowhere,
          wire_a_value, show_as_text, feed_an_odd_latent, feed_one_by_one)  # fmt: skip


@st.composite
def spoiled(draw, graphs, catalogue):
    """A graph that runs, spoiled in one to three ways."""
    graph = copy.deepcopy(graphs[sampled(draw, graphs)])
    for _ in range(draw(st.integers(1, 3))):
        draw(st.sampled_from(SPOILS))(draw, graph, catalogue)
    return graph


@st.composite
def chains(draw, catalogue):
    """One to six rules with any settings, under our sampler or the host's, with odd steps, latents and scales."""
    builder, guidance = Builder(catalogue), {}
    rules = [kind for kind in catalogue.values() if kind.ours and kind.outputs == ("GG_GUIDANCE",)]
    for rule in draw(st.lists(st.sampled_from(rules), min_size=1, max_size=6)):
        settings = {slot.name: draw(values.allowed(slot)) for slot in rule.inputs.values() if slot.is_widget}
        guidance = {"guidance": [builder.add(rule.name, guidance, **settings), 0]}
    sampler, wires = "GGGuidedSampler", guidance
    if draw(st.booleans()):
        sampler, wires = "KSampler", {"model": [builder.add("GGGuidancePatch", guidance), 0]}
    wires = {**wires, "latent_image": latent(draw, builder)}
    return builder.finish(builder.add(sampler, wires, **sampling(draw, builder, sampler)))


def sampling(draw, builder, kind):
    """Any sampler and scheduler, few steps, usual and unusual scales."""
    slots = builder.catalogue[kind].inputs
    return {
        "sampler_name": draw(st.sampled_from(slots["sampler_name"].facts["options"])),
        "scheduler": draw(st.sampled_from(slots["scheduler"].facts["options"])),
        "steps": draw(st.integers(1, 4)),
        "cfg": draw(st.sampled_from((1.0, 0.0, 0.5, 4.0, 7.5, 100.0))),
        "denoise": draw(st.sampled_from((1.0, 0.5, 0.01, 0.0))),
        "seed": draw(st.integers(0, 1 << 20)),
    }


def latent(draw, builder):
    """A canvas of some size, or now and then a latent that is odd."""
    if draw(st.integers(0, 6)) == 6:
        return [builder.add("LoadLatent", latent=draw(st.sampled_from(odd_latents(builder.catalogue)))), 0]
    sides = {side: draw(st.sampled_from((32, 8, 40, 64, 0))) for side in ("width", "height")}
    return [builder.add("GGEmptyCanvas", batch_size=draw(st.integers(1, 3)), **sides), 0]


@st.composite
def towers(draw, catalogue):
    """One node on itself, all its fitting inputs from the node below: what it holds doubles with every storey.

    Not of samplers, which then have more and more to sample.
    """
    builder = Builder(catalogue)
    pairs = [(wire, kind) for kind in catalogue.values() if kind.ours for wire in kind.outputs if kind.wires_of(wire)]
    wire = sampled(draw, sorted({wire for wire, _ in pairs} & SOURCES.keys() - {"LATENT", "IMAGE"}))
    kind = sampled(draw, [kind for other, kind in pairs if other == wire])
    below = builder.wire(wire)
    for _ in range(draw(st.integers(1, TALLEST))):
        below = [builder.add(kind.name, dict.fromkeys(kind.wires_of(wire), below)), kind.outputs.index(wire)]
    return builder.finish(below[0])


def prompts(graphs, catalogue):
    """Any of these."""
    return spoiled(graphs, catalogue) | chains(catalogue) | towers(catalogue)


PLACES = {  # kind of file -> where a host reads it, and how its nodes name it
    "traces": ("output/traces", "traces/"),
    "classifiers": ("models/classifiers", ""),
    "denoisers": ("models/denoisers", ""),
    "folders": ("models/classifiers", ""),
}
ENERGIES = {"clip": "GGTextEnergy", "segformer": "GGSegmentationEnergy", "dpt": "GGDepthEnergy", "vit": "GGLabelEnergy"}


@st.composite
def readers(draw, catalogue, kind, file, source):
    """A graph that uses a file of some kind.  source: what it was made of"""
    name = f"{PLACES[kind][1]}{file}{'/' if source.is_dir() else ''}"
    if kind == "denoisers":
        builder = Builder(catalogue, denoiser=name)
        return builder.finish(builder.add("GGGuidedSampler"))
    if kind == "traces":
        builder = Builder(catalogue)
        loaded = [builder.add("GGLoadTrace", trace_name=name), 0]
        kinds = [each for each in catalogue.values() if each.ours and each.wires_of("GUIDANCE_TRACE")]
        reader = draw(st.sampled_from(kinds))
        return builder.finish(builder.add(reader.name, dict.fromkeys(reader.wires_of("GUIDANCE_TRACE"), loaded)))
    builder = Builder(catalogue, classifier=name)
    if draw(st.integers(0, 3)) == 3:
        return builder.finish(builder.add("GGReferenceEnergy", optional=("image", "classifier"), compare="features"))
    return builder.finish(builder.add(ENERGIES.get(source.name.removeprefix("tiny-"), "GGLabelEnergy")))
