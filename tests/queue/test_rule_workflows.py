"""Rules through the real queue: one workflow for each that there is, those of other packs, and what is refused."""

import json

import pytest
import torch

from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.rule_ids import RULE_IDS

from .prompts import latents, small

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


def with_rule(name, **knobs):
    """The short run with a chain of one rule; its sockets are links."""
    graph = small()
    graph["7"] = {"class_type": name, "inputs": knobs}
    graph["4"]["inputs"]["guidance"] = ["7", 0]
    return graph


@pytest.mark.parametrize(("phi", "plain"), [(0.0, True), (0.7, False)])
def test_a_rule_that_leaves_plain_guidance_says_so_on_its_node(client, phi, plain):
    job = client.run(with_rule("GGRescale", phi=phi, space="v"))
    texts = [data["bytes"].decode(errors="replace") for kind, data in job.events if kind == "preview"]
    assert any("this node changes nothing" in text for text in texts) == plain
