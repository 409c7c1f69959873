"""Kinds of model sampling, schedules, and every SAMPLER that a node of the host makes."""

from itertools import product
from types import SimpleNamespace

import comfy.samplers
from comfy import model_sampling
from comfy_extras import nodes_advanced_samplers, nodes_custom_sampler


def sampling_of(kind):
    bases = {
        "flow": (model_sampling.ModelSamplingDiscreteFlow, model_sampling.CONST),
        "ve": (model_sampling.ModelSamplingDiscrete, model_sampling.EPS),
    }
    return type("Sampling", bases[kind], {})()


def schedule(kind, steps, ends_at_zero=True):
    sigmas = comfy.samplers.calculate_sigmas(sampling_of(kind), "simple", steps + (not ends_at_zero))
    return sigmas if ends_at_zero else sigmas[:-1]


def sampler_nodes():
    """Every node of the host that makes a SAMPLER, but for the one that picks from the menu: {name: its class}."""
    classes = {**vars(nodes_custom_sampler), **vars(nodes_advanced_samplers)}
    makers = {name: one for name, one in classes.items() if name.startswith("Sampler") and hasattr(one, "execute")}
    return {
        name: one for name, one in makers.items() if [o.io_type for o in one.define_schema().outputs] == ["SAMPLER"]
    }


def settings_of(node, kind):
    """All settings of a sampler node: every menu entry, switches, eta and noise on and off, else the defaults."""
    choices = {}
    for entry in node.define_schema().inputs:
        if entry.io_type == "MODEL":
            choices[entry.id] = [SimpleNamespace(get_model_object=lambda name: sampling_of(kind))]
        elif entry.io_type == "COMBO":
            choices[entry.id] = entry.options
        elif entry.io_type == "BOOLEAN":
            choices[entry.id] = [False, True]
        else:
            both = {"eta": [0.0, 1.0], "s_noise": [0.0, 1.0], "max_stage": [1, 3]}
            choices[entry.id] = both.get(entry.id, [entry.default])
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def node_samplers(kind):
    """{node and settings: its SAMPLER}."""
    made = {}
    for name, node in sampler_nodes().items():
        for settings in settings_of(node, kind):
            shown = " ".join(f"{key}={value}" for key, value in settings.items() if key != "model")
            made[f"{name} {shown}"] = node.execute(**settings)[0]
    return made
