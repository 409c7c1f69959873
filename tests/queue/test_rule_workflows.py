"""One workflow per rule through the real queue: whatever rule nodes there are, with their default settings."""

import json

import pytest
import torch

from guidance_geometry.sweeps.comfyui.client import JobError, RefusedError
from guidance_geometry.tests.rule_ids import RULE_IDS

WORLDS = {
    "pocket": {"class_type": "GGLoadDenoiser", "inputs": {"denoiser_name": "pocket-1"}},
    "ve": {"class_type": "GGMixtureModel", "inputs": {"shape": "3x16x16", "classes": 3, "kind": "ve", "seed": 0}},
    "flow": {"class_type": "GGMixtureModel", "inputs": {"shape": "3x16x16", "classes": 3, "kind": "flow", "seed": 0}},
}
DENOISER = {"parametrisation": "auto", "schedule": "auto", "weight_dtype": "default"}
NODES = sorted(RULE_IDS)


@pytest.fixture(scope="module")
def described(server):
    """What the server says of all nodes."""
    from guidance_geometry.sweeps.comfyui.client import Client

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


def world_graph(name, rule, sampler="GGGuidedSampler"):
    """A world with labels, a canvas of two, a rule and a sampler.  rule(sockets) -> the rule's node."""
    world = WORLDS[name]
    more = DENOISER if name == "pocket" else {}
    graph = {"1": {**world, "inputs": world["inputs"] | more}}
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
    from safetensors.torch import load

    job = client.run(graph)
    return load(client.file(job.outputs["9"]["latents"][0]))["latent_tensor"]


def test_the_server_offers_these_rule_nodes_and_no_other(described):
    offered = [name for name, node in described.items() if node["category"].startswith("guidance geometry/rules")]
    assert sorted(offered) == NODES


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("node", NODES)
def test_a_rule_runs_in_a_workflow_on_our_sampler_and_on_a_ksampler(client, described, node, world):
    def rule(sockets):
        return {"class_type": node, "inputs": defaults(described[node], sockets)}

    ours = samples(client, world_graph(world, rule))
    assert len(ours) == 2
    assert torch.isfinite(ours).all()
    assert torch.equal(samples(client, world_graph(world, rule, "KSampler")), ours)


@pytest.mark.parametrize("sampler", ["GGGuidedSampler", "KSampler"])
def test_a_rule_of_another_pack_runs_without_importing_this_one(client, sampler):
    graph = world_graph("ve", lambda sockets: {"class_type": "ExampleHalfwayBack", "inputs": {}}, sampler)
    half = samples(client, graph)
    plain = {
        **graph,
        "4": {"class_type": "KSampler", "inputs": {**graph["4"]["inputs"], "cfg": 2.5, "model": ["1", 0]}},
    }
    for extra in ("guidance", "capture"):
        plain["4"]["inputs"].pop(extra, None)
    assert (samples(client, plain) - half).abs().max() <= 1e-4, "half of what lies beyond c at 4 is CFG at 2.5"


def test_another_pack_s_rule_goes_into_a_chain_of_ours(client, described):
    chained = defaults(described["GGInterval"], {}) | {"guidance": ["8", 0]}
    graph = world_graph("ve", lambda sockets: {"class_type": "GGInterval", "inputs": chained})
    graph["8"] = {"class_type": "ExampleHalfwayBack", "inputs": {}}
    assert torch.isfinite(samples(client, graph)).all()


def test_another_pack_s_rule_acts_in_a_window_of_ours_alone(client):
    inputs = {"rules": ["8", 0], "start_percent": 0.1, "end_percent": 0.2}
    graph = world_graph("ve", lambda sockets: {"class_type": "GGWindow", "inputs": inputs})
    graph["8"] = {"class_type": "ExampleHalfwayBack", "inputs": {}}
    plain = {**graph, "4": {**graph["4"], "inputs": dict(graph["4"]["inputs"])}}
    plain["4"]["inputs"].pop("guidance")
    assert torch.equal(samples(client, graph), samples(client, plain)), "no step of four lies in the window"
    inputs["start_percent"] = 0.0
    assert not torch.equal(samples(client, graph), samples(client, plain))


def patched_after(node, inputs):
    """A KSampler over a MODEL that carries another rule and then a chain."""
    graph = world_graph("ve", lambda sockets: {"class_type": "ExampleHalfwayBack", "inputs": {}}, "KSampler")
    graph["10"] = {"class_type": node, "inputs": {"model": ["1", 0], **inputs}}
    graph["7"]["inputs"]["model"] = ["10", 0]
    return graph


BAD = {
    "another rule on the model": (
        patched_after("RescaleCFG", {"multiplier": 0.7}),
        "already has a guidance rule (RescaleCFG",
    ),
    "two chains on one model": (
        patched_after("GGGuidancePatch", {"guidance": ["6", 0]}),
        "already has a guidance chain",
    ),
}


@pytest.mark.parametrize(("graph", "words"), BAD.values(), ids=BAD.keys())
def test_what_cannot_work_together_is_named_and_the_next_job_runs(client, graph, words):
    with pytest.raises((RefusedError, JobError)) as caught:
        client.run(graph)
    assert words in str(caught.value)
    assert "Traceback" not in str(caught.value)
    fine = world_graph("ve", lambda sockets: {"class_type": "ExampleHalfwayBack", "inputs": {}})
    assert torch.isfinite(samples(client, fine)).all()
