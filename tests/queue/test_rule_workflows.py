"""Rules through the real queue: one workflow for each that there is, those of other packs, and what is refused."""

import json
import math

import pytest
import torch

from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.rule_ids import RULE_IDS

from .prompts import latents, refusal, small

NODES = sorted(RULE_IDS)


@pytest.fixture(scope="module")
def described(server):
    """What the server says of all nodes."""
    with Client(server.address) as one:
        return json.loads(one.get("/object_info"))


def defaults(description, sockets):
    """Inputs of a node as a user finds them: widgets as they stand, sockets from {wire type: link}."""
    found = {}
    for name, (kind, *more) in {k: v for group in description["input"].values() for k, v in group.items()}.items():
        options = more[0] if more else {}
        if kind in sockets and (name in description["input"]["required"] or kind != "GG_GUIDANCE"):
            found[name] = sockets[kind]
        elif isinstance(kind, list) or kind == "COMBO":
            choices = kind if isinstance(kind, list) else options["options"]
            found[name] = options.get("default", choices[0])
        elif kind in ("FLOAT", "INT", "STRING", "BOOLEAN"):
            found[name] = options.get("default", "")
    return found


def world_graph(rule, sampler="GGGuidedSampler"):
    """A mixture with labels, a canvas of two, a rule and a sampler.  rule(sockets) -> the rule's node."""
    shape = {"shape": "3x16x16", "classes": 3, "kind": "ve", "seed": 0}
    graph = {"1": {"class_type": "GGMixtureModel", "inputs": shape}}
    graph["2"] = {"class_type": "GGClassLabel", "inputs": {"model": ["1", 0], "label": "0;1"}}
    graph["3"] = {
        "class_type": "GGEmptyCanvas",
        "inputs": {"model": ["1", 0], "width": 0, "height": 0, "batch_size": 2},
    }
    graph["5"] = {"class_type": "GGClassLabel", "inputs": {"model": ["1", 0], "label": "2"}}
    graph["11"] = {"class_type": "GGPreset", "inputs": {"preset": "less burn (APG)"}}
    graph["6"] = rule({"MODEL": ["1", 0], "CONDITIONING": ["5", 0], "GG_GUIDANCE": ["11", 0]})
    run = {"model": ["1", 0], "seed": 3, "steps": 4, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple"}
    run |= {"positive": ["2", 0], "negative": ["2", 1], "latent_image": ["3", 0], "denoise": 1.0}
    if sampler == "GGGuidedSampler":
        run |= {"guidance": ["6", 0], "capture": "numbers"}
    else:
        graph["7"] = {"class_type": "GGGuidancePatch", "inputs": {"model": ["1", 0], "guidance": ["6", 0]}}
        run["model"] = ["7", 0]
    graph["4"] = {"class_type": sampler, "inputs": run}
    graph["9"] = {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "latents/rule"}}
    return graph


def samples(client, graph):
    return latents(client, client.run(graph))


def test_the_server_offers_these_rule_nodes_and_no_other(described):
    offered = [name for name, node in described.items() if node["category"].startswith("guidance geometry/rules")]
    assert sorted(offered) == NODES


@pytest.mark.parametrize("node", NODES)
def test_a_rule_runs_in_a_workflow_on_our_sampler_and_on_a_ksampler(client, described, node):
    def rule(sockets):
        return {"class_type": node, "inputs": defaults(described[node], sockets)}

    ours = samples(client, world_graph(rule))
    assert len(ours) == 2
    assert torch.isfinite(ours).all()
    assert torch.equal(samples(client, world_graph(rule, "KSampler")), ours)


@pytest.mark.parametrize("sampler", ["GGGuidedSampler", "KSampler"])
def test_a_rule_of_another_pack_runs_without_importing_this_one(client, sampler):
    graph = world_graph(lambda sockets: {"class_type": "ExampleHalfwayBack", "inputs": {}}, sampler)
    half = samples(client, graph)
    plain = {
        **graph,
        "4": {"class_type": "KSampler", "inputs": {**graph["4"]["inputs"], "cfg": 2.5, "model": ["1", 0]}},
    }
    for extra in ("guidance", "capture"):
        plain["4"]["inputs"].pop(extra, None)
    assert (samples(client, plain) - half).abs().max() <= 1e-4, "half of what lies beyond c at 4 is CFG at 2.5"


def test_another_pack_s_rule_acts_in_a_window_of_ours_alone(client):
    inputs = {"rules": ["8", 0], "start_percent": 0.1, "end_percent": 0.2}
    graph = world_graph(lambda sockets: {"class_type": "GGWindow", "inputs": inputs})
    graph["8"] = {"class_type": "ExampleHalfwayBack", "inputs": {}}
    plain = {**graph, "4": {**graph["4"], "inputs": dict(graph["4"]["inputs"])}}
    plain["4"]["inputs"].pop("guidance")
    assert torch.equal(samples(client, graph), samples(client, plain)), "no step of four lies in the window"
    inputs["start_percent"] = 0.0
    assert not torch.equal(samples(client, graph), samples(client, plain))


def patched_after(node, inputs):
    """A KSampler over a MODEL that carries another rule and then a chain."""
    graph = world_graph(lambda sockets: {"class_type": "ExampleHalfwayBack", "inputs": {}}, "KSampler")
    graph["10"] = {"class_type": node, "inputs": {"model": ["1", 0], **inputs}}
    graph["7"]["inputs"]["model"] = ["10", 0]
    return graph


def with_rule(name, **knobs):
    """The short run with a chain of one rule; its sockets are links."""
    graph = small()
    graph["7"] = {"class_type": name, "inputs": knobs}
    graph["4"]["inputs"]["guidance"] = ["7", 0]
    return graph


LISTED = {"schedule": "list", "start_weight": 0.0, "end_weight": 1.0, "power": 2.0, "values": "7, 5, 3"}
APG = {"eta": 0.0, "threshold": 0.06, "momentum": -0.5, "threshold_unit": "per element", "space": "x0"}
BAD = {
    "another rule on the model": (patched_after("RescaleCFG", {"multiplier": 0.7}), "guidance rule (RescaleCFG"),
    "two chains on one model": (patched_after("GGGuidancePatch", {"guidance": ["6", 0]}), "has a guidance chain"),
    "a knob that is NaN": (with_rule("GGRescale", phi=math.nan, space="v"), "phi is nan"),
    "a word of no combo": (with_rule("GGTangential", space="score"), "'score' not in"),
    "a knob out of its range": (with_rule("GGAdaptiveProjected", **APG | {"momentum": 1.0}), "0.95"),
    "knobs that do not fit the run": (with_rule("GGCFGSchedule", **LISTED), "has 3 values but the run has 4 steps"),
    "knobs that do not fit each other": (with_rule("GGInterval", unit="percent", start=0.8, end=0.2), "is reversed"),
    "a formula that is none": (with_rule("GGFormula", formula="u + eval(d)"), "'eval(d)', which is not allowed"),
    "nothing on a wire": (with_rule("GGAutoguidance", weak_share=1.0), "Connect weak_model"),
    "a word on a wire": (with_rule("GGRescale", phi=0.7, space="v", guidance="x"), "a GG_GUIDANCE is needed"),
}


@pytest.mark.parametrize(("graph", "words"), BAD.values(), ids=BAD.keys())
def test_what_cannot_work_together_is_named_and_the_next_job_runs(client, graph, words):
    assert words in refusal(client, graph)


@pytest.mark.parametrize(("phi", "plain"), [(0.0, True), (0.7, False)])
def test_a_rule_that_leaves_plain_guidance_says_so_on_its_node(client, phi, plain):
    job = client.run(with_rule("GGRescale", phi=phi, space="v"))
    texts = [data["bytes"].decode(errors="replace") for kind, data in job.events if kind == "preview"]
    assert any("this node changes nothing" in text for text in texts) == plain


def test_a_preset_says_what_it_contains(client):
    job = client.run(with_rule("GGPreset", preset="faster (interval + reuse)"))
    text = " ".join(line for shown in job.outputs.values() for line in shown.get("text", ()))
    assert "interval percent 0.05 .. 0.6" in text
    assert "u every 2 steps (line)" in text
