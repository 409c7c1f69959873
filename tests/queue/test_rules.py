"""One workflow per rule through the queue: it runs, gives numbers, and gives them again."""

import math

import pytest
import torch

from guidance_geometry.tests.queue.prompts import forget, latents, small
from guidance_geometry.tools.api_client import JobError, RefusedError

APG = {"eta": 0.0, "threshold": 0.06, "momentum": -0.5, "threshold_unit": "per element", "space": "x0"}
OTHER, NULL = ["6", 0], ["2", 1]  # a second label, and the null label
SECOND = {"second": OTHER, "form": "sum", "second_weight": 0.5, "third_weight": -0.5, "fourth_weight": 0.0}
RULES = {
    "GGRescale": {"phi": 0.7, "space": "v"},
    "GGAdaptiveProjected": APG,
    "GGZeroStar": {"zero_init_steps": 1},
    "GGTangential": {"space": "ode"},
    "GGNegative": SECOND | {"third": NULL},
    "GGPerpNeg": {"empty": OTHER, "weight": 1.0},
    "GGEnergyPreserving": {"robust": True, "space": "ode"},
    "GGAngle": {"max_angle": 60.0, "keep_norm": True},
    "GGTangentialAmplify": {"eta": 1.1, "align": 0.1},
    "GGLocationNorm": {"strength": 1.0, "match": False, "space": "x0"},
}


def with_rule(name, knobs, denoiser="pocket-1", **sampler):
    """The short run with a chain of one rule; node 6 is a second label."""
    graph = small(denoiser=denoiser, **sampler)
    graph["6"] = {"class_type": "GGClassLabel", "inputs": {"model": ["1", 0], "label": "7"}}
    graph["7"] = {"class_type": name, "inputs": knobs}
    graph["4"]["inputs"]["guidance"] = ["7", 0]
    return graph


def on_mixture(graph, kind):
    """The same graph on an exact mixture."""
    graph["1"] = {
        "class_type": "GGMixtureModel",
        "inputs": {"shape": "3x32x32", "classes": 10, "kind": kind, "seed": 0},
    }
    return graph


@pytest.mark.parametrize("model", ["pocket", "ve", "flow"])
@pytest.mark.parametrize("name", RULES)
def test_a_workflow_with_the_rule_runs_and_repeats(client, name, model):
    graph = with_rule(name, RULES[name])
    graph = graph if model == "pocket" else on_mixture(graph, model)
    first = latents(client, client.run(graph))
    assert first.isfinite().all()
    assert len(first) == 2
    forget(client)
    assert torch.equal(first, latents(client, client.run(graph)))


BAD = {
    "phi is NaN": ("GGRescale", {"phi": math.nan, "space": "v"}, "phi is nan"),
    "space of no rule": ("GGTangential", {"space": "score"}, "'score', which"),
    "two middle conditions": ("GGNegative", SECOND | {"third": NULL, "form": "nested"}, "one middle condition, and 2"),
    "momentum of one": ("GGAdaptiveProjected", APG | {"momentum": 1.0}, "bigger than max of 0.95"),
}


@pytest.mark.parametrize(("name", "knobs", "words"), BAD.values(), ids=BAD.keys())
def test_bad_knobs_are_named_and_the_next_job_runs(client, name, knobs, words):
    with pytest.raises((RefusedError, JobError)) as caught:
        client.run(with_rule(name, knobs))
    message = str(caught.value)
    assert words in message
    assert "Traceback" not in message
    assert latents(client, client.run(small())).isfinite().all()


def test_two_rules_that_combine_are_refused_by_name(client):
    graph = with_rule("GGPerpNeg", RULES["GGPerpNeg"])
    graph["8"] = {"class_type": "GGAngle", "inputs": RULES["GGAngle"] | {"guidance": ["7", 0]}}
    graph["4"]["inputs"]["guidance"] = ["8", 0]
    with pytest.raises(JobError, match="'Perp-Neg 1' and 'ADG up to 60 deg"):
        client.run(graph)
