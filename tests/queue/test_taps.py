"""Jobs that ask for their runs, through the queue of a real host."""

import pytest
import torch

from guidance_geometry.tests.queue.prompts import ASKING, fetched, latents, runs_of
from guidance_geometry.tests.queue.tab_steering import sampled


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
    asking = {"extra_data": {**ASKING["extra_data"], "extra_pnginfo": {"workflow": {"id": "the same"}}}}
    first = client.run(sampled(seed=13, steps=4), **asking)
    again = client.run(sampled(seed=13, steps=4), **asking)
    assert "4" in again.cached_nodes
    assert runs_of(client, again) == []
    (run,) = fetched(client, "tab/runs", workflow_id="the same")["runs"]
    assert run["prompt_id"] == first.prompt_id


def test_a_job_without_a_client_is_recorded_and_read_too(client):
    job = client.post("/prompt", {"prompt": sampled(seed=41, steps=4), **ASKING})["prompt_id"]
    client.run(sampled(steps=1))  # it comes after that
    assert client.history(job)["outputs"]["9"]["latents"]
    (run,) = fetched(client, "tab/runs", prompt_id=job)["runs"]
    assert (run["node"], run["workflow_id"]) == ("4", None)


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
    assert client.history(job.prompt_id)
    (run,) = runs_of(client, job)
    assert (run["ended"], run["stopped_at"]) == ("stopped at step 42: interrupted", 42)
    record = fetched(client, f"tab/runs/{run['run']}")
    assert [step["i"] for step in record["steps"]] == list(range(40)), "a step is known when the next begins"
