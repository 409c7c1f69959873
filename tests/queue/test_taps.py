"""Jobs that ask for their runs: whatever a sampler's model comes inside of, it is recorded, or the sampler is named."""

import json

import pytest
import torch

from guidance_geometry.tests.queue.prompts import ASKING, fetched, latents, runs_of, small
from guidance_geometry.tests.queue.tab_steering import sampled


def asking(workflow_id):
    """What asks for the runs of a job of this workflow."""
    return {"extra_data": {**ASKING["extra_data"], "extra_pnginfo": {"workflow": {"id": workflow_id}}}}


def unreached(client, **query):
    """What the tab names as not recorded."""
    return [(one["node"], one["title"]) for one in fetched(client, "tab/runs", **query)["unreached"]]


def test_a_job_of_the_api_asks_and_reads_its_run(client):
    before = latents(client, client.run(sampled(seed=11, steps=4)))
    job = client.run(sampled(seed=11, steps=4), **ASKING)
    assert torch.equal(latents(client, job), before)
    (run,) = runs_of(client, job)
    assert (run["node"], run["title"], run["steps"], run["ended"]) == ("4", "Mine", 4, "")
    record = fetched(client, f"tab/runs/{run['run']}")
    assert [step["i"] for step in record["steps"]] == [0, 1, 2, 3]
    assert record["cfg"] == sampled()["4"]["inputs"]["cfg"]


def test_the_same_job_again_is_cached_and_its_run_is_the_last_ones(client):
    first, again = (client.run(sampled(seed=13, steps=4), **asking("the same")) for _ in range(2))
    assert "4" in again.cached_nodes
    assert runs_of(client, again) == []
    (run,) = fetched(client, "tab/runs", workflow_id="the same")["runs"]
    assert run["prompt_id"] == first.prompt_id


def test_an_error_of_the_users_wire_names_the_users_node(client):
    graph = sampled(seed=16, steps=4)
    graph["4"]["inputs"]["model"] = ["1", 1]  # the VAE
    with pytest.raises(Exception, match="model") as caught:
        client.run(graph, **ASKING)
    assert "gg-1" not in str(caught.value)


def test_a_sampler_that_never_ends_is_kept_as_far_as_it_came(client):
    graph = sampled(seed=33, steps=4)
    given = {name: graph["4"]["inputs"][name] for name in ("model", "positive", "negative", "cfg", "latent_image")}
    levels = {"model": given["model"], "scheduler": "karras", "steps": 3, "denoise": 1.0}
    graph["20"] = {"class_type": "TestPipe_endless", "inputs": {}}
    graph["21"] = {"class_type": "BasicScheduler", "inputs": levels}
    custom = {"add_noise": True, "noise_seed": 33, "sampler": ["20", 0], "sigmas": ["21", 0]}
    graph["4"] = {"class_type": "SamplerCustom", "inputs": given | custom}
    job = client.follow(client.submit(graph, **ASKING))
    assert job.ending == "execution_interrupted"
    (run,) = runs_of(client, job)
    assert (run["ended"], run["stopped_at"]) == ("stopped at step 42: interrupted", 42)
    record = fetched(client, f"tab/runs/{run['run']}")
    assert [step["i"] for step in record["steps"]] == list(range(40)), "a step is known when the next begins"


def piped(pack="20"):
    """The short start; a node that packs the model and more in a tuple, and one that samples with that."""
    nodes = small()
    whole = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 1]}
    nodes[pack] = {"class_type": "TestPipe_pack_tuple", "inputs": whole}
    inputs = {"pipe": [pack, 0], "seed": 7, "latent": ["3", 0]}
    nodes["4"] = {"class_type": "TestPipe_sample_tuple", "inputs": inputs}
    nodes["9"]["inputs"]["samples"] = ["4", 1]
    return nodes


@pytest.mark.parametrize("pack", ["20", "30:20"], ids=["a tuple", "one that leaves a subgraph"])
def test_a_sampler_whose_model_comes_in_a_pipe_is_recorded_and_its_sample_stays(client, pack):
    plain = client.run(piped(pack))
    history = json.loads(client.get(f"/history/{plain.prompt_id}"))
    assert history[plain.prompt_id]["prompt"][2] == piped(pack), "what does not ask goes as it came"
    job = client.run(piped(pack), **ASKING)
    assert torch.equal(latents(client, job), latents(client, plain))
    (run,) = runs_of(client, job)
    assert (run["node"], run["steps"], run["ended"]) == ("4", 4, "")
    assert fetched(client, f"tab/runs/{run['run']}")["cfg"] == 3.0
    assert unreached(client, prompt_id=job.prompt_id) == []


def test_two_samplers_of_one_pipe_are_two_runs_and_a_pipe_handed_on_is_recorded_once(client):
    nodes = piped()
    first = nodes["4"]["inputs"]
    first["seed"] = 71
    nodes["5"] = {**nodes["4"], "inputs": {"pipe": ["4", 0], "latent": ["4", 1], "seed": 8}}
    nodes["6"] = {**nodes["4"], "inputs": {"pipe": ["20", 0], "latent": ["5", 1], "seed": 8}}
    nodes["9"]["inputs"]["samples"] = ["6", 1]
    job = client.run(nodes, **ASKING)
    assert [(run["node"], run["steps"]) for run in runs_of(client, job)] == [("4", 4), ("5", 4), ("6", 4)]


def test_a_sampler_that_no_tap_reaches_is_named_as_long_as_it_is_so(client):
    nodes = small()
    inputs = {"model": ["1", 0], "seed": 7, "latent": ["3", 0]}
    nodes["4"] = {"class_type": "TestPipe_own_loop", "inputs": inputs, "_meta": {"title": "Mine"}}
    job = client.run(nodes, **asking("looped"))
    assert runs_of(client, job) == []
    assert unreached(client, prompt_id=job.prompt_id) == [("4", "Mine")]
    cached = client.run(nodes, **asking("looped"))
    assert "4" in cached.cached_nodes
    assert unreached(client, workflow_id="looped") == [("4", "Mine")]
    client.run(
        {**piped(), "9": {**nodes["9"], "inputs": {**nodes["9"]["inputs"], "samples": ["4", 1]}}}, **asking("looped")
    )
    assert unreached(client, workflow_id="looped") == []
