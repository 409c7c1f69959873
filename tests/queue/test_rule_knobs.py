"""Knobs that make no sense, through the queue: the message names them, and the next job runs."""

import math

import pytest
import torch
from safetensors.torch import load

from guidance_geometry.sweeps.comfyui.client import JobError, RefusedError
from guidance_geometry.tests.queue.prompts import latents, small

APG = {"eta": 0.0, "threshold": 0.06, "momentum": -0.5, "threshold_unit": "per element", "space": "x0"}
OTHER, NULL = ["6", 0], ["2", 1]  # a second label, and the null label
SECOND = {"second": OTHER, "form": "sum", "second_weight": 0.5, "third_weight": -0.5, "fourth_weight": 0.0}
PERPENDICULAR = {"empty": OTHER, "weight": 1.0}
TURN = {"max_angle": 60.0, "keep_norm": True}
BANDS = {"method": "FDG", "low": 0.5, "high": 1.0, "cutoff": 0.5}
LISTED = {"schedule": "list", "start_weight": 0.0, "end_weight": 1.0, "power": 2.0}


def with_rule(name, knobs):
    """The short run with a chain of one rule; node 6 is a second label."""
    graph = small()
    graph["6"] = {"class_type": "GGClassLabel", "inputs": {"model": ["1", 0], "label": "7"}}
    graph["10"] = {"class_type": "GGRescale", "inputs": {"phi": 0.7, "space": "v"}}
    graph["7"] = {"class_type": name, "inputs": knobs}
    graph["4"]["inputs"]["guidance"] = ["7", 0]
    return graph


BAD = {
    "phi is NaN": ("GGRescale", {"phi": math.nan, "space": "v"}, "phi is nan"),
    "space of no rule": ("GGTangential", {"space": "score"}, "'score' not in"),
    "two middle conditions": ("GGNegative", SECOND | {"third": NULL, "form": "nested"}, "one middle condition, but 2"),
    "momentum of one": ("GGAdaptiveProjected", APG | {"momentum": 1.0}, "0.95"),
    "a gamma list of the wrong length": (
        "GGCFGSchedule",
        LISTED | {"values": "7, 5, 3"},
        "gamma list has 3 values but the run has 4 steps",
    ),
    "an interval upside down": ("GGInterval", {"unit": "percent", "start": 0.8, "end": 0.2}, "is reversed"),
    "sigmas upside down": ("GGInterval", {"unit": "sigma", "start": 0.28, "end": 5.42}, "is reversed"),
    "a band that is no number": ("GGFrequencyBands", BANDS | {"middle": "0.6, half"}, "middle holds 'half'"),
    "a band out of range": ("GGFrequencyBands", BANDS | {"middle": "0.6 11"}, "middle is 11, outside -10 to 10"),
    "part of a sample that is none": ("GGAdaptiveProjected", APG | {"norm_over": "pixel"}, "'pixel'"),
    "a forbidden function": ("GGFormula", {"formula": "u + eval(d)"}, "'eval(d)', which is not allowed"),
    "a forbidden name": ("GGFormula", {"formula": "u.__class__"}, "'u.__class__', which is not allowed"),
    "a window upside down": (
        "GGWindow",
        {"rules": ["10", 0], "start_percent": 0.8, "end_percent": 0.2},
        "window 0.8 .. 0.2 is not part of the run",
    ),
    "nothing weaker": ("GGAutoguidance", {"weak_share": 1.0}, "Connect weak_model"),
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
    graph = with_rule("GGPerpNeg", PERPENDICULAR)
    graph["8"] = {"class_type": "GGAngle", "inputs": TURN | {"guidance": ["7", 0]}}
    graph["4"]["inputs"]["guidance"] = ["8", 0]
    with pytest.raises(JobError, match="'Perp-Neg 1' and 'ADG up to 60 deg"):
        client.run(graph)


def windows(first, second):
    """The short run with Perp-Neg and ADG in two windows of one chain."""
    graph = with_rule("GGPerpNeg", PERPENDICULAR)
    graph["10"] = {"class_type": "GGAngle", "inputs": TURN}
    for name, rules, (start, end), before in (("11", "7", first, {}), ("12", "10", second, {"guidance": ["11", 0]})):
        inputs = {"rules": [rules, 0], "start_percent": start, "end_percent": end, **before}
        graph[name] = {"class_type": "GGWindow", "inputs": inputs}
    graph["4"]["inputs"]["guidance"] = ["12", 0]
    return graph


def test_two_rules_that_combine_may_take_turns_and_not_meet(client):
    assert latents(client, client.run(windows((0.0, 0.5), (0.5, 1.0)))).isfinite().all()
    with pytest.raises(JobError, match=r"'Perp-Neg 1, 0 .. 0.6 of the steps' and 'ADG .*do not overlap"):
        client.run(windows((0.0, 0.6), (0.5, 1.0)))
    assert latents(client, client.run(small())).isfinite().all()


def test_a_window_without_a_step_is_the_run_without_its_rules(client):
    graph = with_rule("GGWindow", {"rules": ["10", 0], "start_percent": 0.3, "end_percent": 0.4})
    assert torch.equal(latents(client, client.run(graph)), latents(client, client.run(small())))
    graph["7"]["inputs"]["end_percent"] = 0.8
    assert not torch.equal(latents(client, client.run(graph)), latents(client, client.run(small())))


@pytest.mark.parametrize(("shape", "words"), [("4x32x32", "works on 4 channels"), ("3x16x16", "16x16")])
def test_a_weak_model_of_another_latent_shape_is_refused(client, shape, words):
    graph = with_rule("GGAutoguidance", {"weak_share": 1.0, "weak_model": ["8", 0]})
    graph["8"] = {"class_type": "GGMixtureModel", "inputs": {"shape": shape, "classes": 3, "kind": "ve", "seed": 0}}
    with pytest.raises(JobError, match=words):
        client.run(graph)
    assert latents(client, client.run(small())).isfinite().all()


def test_a_chain_on_the_model_and_one_on_the_sampler_are_refused(client):
    """Two runs would each want to keep their own state for the same steps."""
    graph = with_rule("GGAdaptiveProjected", APG)
    graph["8"] = {"class_type": "GGGuidancePatch", "inputs": {"model": ["1", 0], "guidance": ["7", 0]}}
    graph["4"]["inputs"]["model"] = ["8", 0]
    with pytest.raises(JobError, match="Put both on one guidance wire"):
        client.run(graph)
    assert latents(client, client.run(small())).isfinite().all()


def test_one_chain_in_two_samplers_keeps_two_states(client):
    """Momentum of the first run does not reach the second: both give the same samples."""
    graph = with_rule("GGAdaptiveProjected", APG)
    graph["8"] = {"class_type": "GGGuidedSampler", "inputs": dict(graph["4"]["inputs"])}
    graph["9"]["inputs"]["samples"] = ["8", 0]
    graph["10"] = {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "latents/first"}}
    job = client.run(graph)
    first = load(client.file(job.outputs["10"]["latents"][0]))["latent_tensor"]
    assert torch.equal(first, latents(client, job))


SAYS = "With these settings this node changes nothing."


@pytest.mark.parametrize(
    ("name", "knobs", "plain"),
    [
        ("GGRescale", {"phi": 0.0, "space": "v"}, True),
        ("GGRescale", {"phi": 0.7, "space": "v"}, False),
        ("GGInterval", {"unit": "percent", "start": 0.0, "end": 1.0}, True),
        ("GGFormula", {"formula": "u+gamma*d"}, True),
        ("GGPreset", {"preset": "plain CFG"}, True),
        ("GGPreset", {"preset": "less burn (APG)"}, False),
    ],
)
def test_a_rule_that_leaves_plain_guidance_says_so_on_its_node(client, name, knobs, plain):
    job = client.run(with_rule(name, knobs))
    texts = [data["bytes"].decode(errors="replace") for kind, data in job.events if kind == "preview"]
    assert any(SAYS in text for text in texts) == plain


def test_a_preset_says_what_it_contains_for_whom_and_where_it_was_measured(client):
    job = client.run(with_rule("GGPreset", {"preset": "faster (interval + reuse)"}))
    text = " ".join(line for shown in job.outputs.values() for line in shown.get("text", ()))
    for words in (
        "interval percent 0.05 .. 0.6",
        "u every 2 steps (line)",
        "every model",
        "Measured on the demo model",
    ):
        assert words in text
