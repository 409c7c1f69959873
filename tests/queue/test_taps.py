"""Jobs that ask for their runs, through the queue of a real host."""

import time
import urllib.parse

import pytest
import torch

from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.queue.prompts import ASKING, asked, fetched, latents, runs_of, small


def plain(node="4", **given):
    """The short run with the host's own sampler."""
    graph = small(**given)
    sampler = graph.pop("4")
    kept = {name: value for name, value in sampler["inputs"].items() if not name.startswith("capture")}
    graph[node] = {"class_type": "KSampler", "inputs": {**kept, "denoise": 1.0}, "_meta": {"title": "Mine"}}
    graph["9"]["inputs"]["samples"] = [node, 0]
    return graph


def test_a_job_of_the_api_asks_and_reads_its_run(client):
    before = latents(client, client.run(plain(seed=11)))
    job = client.run(plain(seed=11), **ASKING)
    assert torch.equal(latents(client, job), before)
    (run,) = runs_of(client, job)
    assert (run["node"], run["title"], run["steps"], run["ended"]) == ("4", "Mine", 4, "")
    record = fetched(client, f"tab/runs/{run['run']}")
    assert [step["i"] for step in record["steps"]] == [0, 1, 2, 3]
    assert record["cfg"] == small()["4"]["inputs"]["cfg"]


def test_the_same_job_again_is_cached_and_its_run_is_the_last_ones(client):
    asking = {"extra_data": {**ASKING["extra_data"], "extra_pnginfo": {"workflow": {"id": "the same"}}}}
    first = client.run(plain(seed=13), **asking)
    again = client.run(plain(seed=13), **asking)
    assert "4" in again.cached_nodes
    assert runs_of(client, again) == []
    (run,) = fetched(client, "tab/runs", workflow_id="the same")["runs"]
    assert run["prompt_id"] == first.prompt_id


def test_a_job_without_a_client_is_recorded_and_read_too(client, server):
    job = asked(server, "prompt", prompt=plain(seed=41), **ASKING)["prompt_id"]
    assert finished(server, job) == "success"
    (run,) = asked(server, f"guidance_geometry/tab/runs?prompt_id={job}")["runs"]
    assert (run["node"], run["workflow_id"]) == ("4", None)


def test_an_error_of_the_users_wire_names_the_users_node(client):
    graph = plain(seed=16)
    graph["4"]["inputs"]["model"] = ["1", 1]  # the VAE
    with pytest.raises(Exception, match="model") as caught:
        client.run(graph, **ASKING)
    assert "gg-1" not in str(caught.value)


def finished(server, job):
    """Wait for a job; its status."""
    for _ in range(300):
        if found := asked(server, f"history/{job}"):
            return found[job]["status"]["status_str"]
        time.sleep(0.2)
    raise AssertionError("the job did not end")


def test_with_several_users_each_sees_the_runs_that_his_own_requests_queued(shared):
    her, him = (asked(shared, "users", username=name) for name in ("her", "him"))
    said = {"guidance_geometry": {"record": True, "user": him}}
    sent = {"prompt": plain(seed=31), "extra_data": said, "client_id": "his"}
    job = asked(shared, "api/prompt", her, **sent)["prompt_id"]
    assert finished(shared, job) == "success"
    listed = f"guidance_geometry/tab/runs?client_id=his&prompt_id={job}"
    (run,) = asked(shared, listed, her)["runs"]
    assert asked(shared, listed, him)["runs"] == []
    assert asked(shared, listed) == 401
    one = f"guidance_geometry/tab/runs/{run['run']}"
    record = asked(shared, one, her)
    assert len(record["steps"]) == 4
    assert asked(shared, one, him) == 404
    assert asked(shared, one) == 401
    assert asked(shared, "guidance_geometry/tab/runs", her)["runs"] == []
    assert asked(shared, f"{one}/report", her)["v"] == 1
    assert asked(shared, f"{one}/report", him) == 404
    sheet = {name: record["pictures"]["steps"][0][name] for name in ("filename", "subfolder", "type")}
    assert sheet["subfolder"] == "guidance_geometry/tab"
    with DIRECT.open(f"{shared.address}/view?{urllib.parse.urlencode(sheet)}") as answer:
        assert answer.read().startswith(b"\xff\xd8")


def test_a_sampler_that_never_ends_is_kept_as_far_as_it_came(shared):
    her = asked(shared, "users", username="patient")
    graph = plain(seed=33)
    given = {name: graph["4"]["inputs"][name] for name in ("model", "positive", "negative", "cfg", "latent_image")}
    levels = {"model": given["model"], "scheduler": "karras", "steps": 3, "denoise": 1.0}
    graph["20"] = {"class_type": "TestEndless", "inputs": {}}
    graph["21"] = {"class_type": "BasicScheduler", "inputs": levels}
    sampled = {"add_noise": True, "noise_seed": 33, "sampler": ["20", 0], "sigmas": ["21", 0]}
    graph["4"] = {"class_type": "SamplerCustom", "inputs": given | sampled}
    job = asked(shared, "prompt", her, prompt=graph, **ASKING)["prompt_id"]
    assert finished(shared, job) == "error"
    (run,) = asked(shared, f"guidance_geometry/tab/runs?prompt_id={job}", her)["runs"]
    assert (run["ended"], run["stopped_at"]) == ("stopped at step 42: interrupted", 42)
    record = asked(shared, f"guidance_geometry/tab/runs/{run['run']}", her)
    assert [step["i"] for step in record["steps"]] == list(range(40)), "a step is known when the next begins"
