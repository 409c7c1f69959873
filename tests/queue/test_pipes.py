"""Samplers whose model comes inside of something: recorded, or named; with the nodes of `pipe_pack`."""

import json

import pytest
import torch

from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.queue.prompts import ASKING, fetched, latents, runs_of, small

WHOLE = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 1]}


def graph(sampler, **makers):
    """The short start, some nodes of the pack by their ids, and a sampler of it that is saved.

    Each is (class, inputs); the sampler is node 4.
    """
    nodes = {name: node for name, node in small().items() if name != "4"}
    for name, (kind, inputs) in {**makers, "4": sampler}.items():
        run = {"seed": 7, "latent": ["3", 0]} if kind.startswith(("sample", "own")) else {}
        nodes[name] = {"class_type": f"TestPipe_{kind}", "inputs": {**run, **inputs}}
    slot = 1 if sampler[0] == "sample_tuple" else 0
    nodes["9"]["inputs"]["samples"] = ["4", slot]
    return nodes


def tuple_pipe(source="20"):
    return graph(("sample_tuple", {"pipe": [source, 0]}), **{source: ("pack_tuple", WHOLE)})


REACHED = {
    "a tuple": tuple_pipe(),
    "a provider made of a pipe": graph(
        ("sample_provider", {"provider": ["21", 0]}),
        **{"20": ("pack_tuple", WHOLE), "21": ("provide_from_tuple", {"pipe": ["20", 0]})},
    ),
    "a pipe that leaves a subgraph": tuple_pipe("30:20"),
}


def unreached(client, job):
    """What the tab names as not recorded."""
    return [(one["node"], one["title"]) for one in fetched(client, "tab/runs", prompt_id=job.prompt_id)["unreached"]]


@pytest.mark.parametrize("name", REACHED)
def test_a_sampler_is_recorded_whatever_its_model_comes_in_and_its_sample_stays(client, name):
    before = latents(client, client.run(REACHED[name]))
    job = client.run(REACHED[name], **ASKING)
    assert torch.equal(latents(client, job), before)
    (run,) = runs_of(client, job)
    assert (run["node"], run["steps"], run["ended"]) == ("4", 4, "")
    assert fetched(client, f"tab/runs/{run['run']}")["cfg"] == 3.0
    assert unreached(client, job) == []


def test_two_samplers_of_one_pipe_are_two_runs_and_a_pipe_handed_on_is_recorded_once(client):
    nodes = tuple_pipe()
    nodes["4"]["inputs"]["seed"] = 71
    nodes["5"] = json.loads(json.dumps(nodes["4"]))
    nodes["5"]["inputs"] |= {"pipe": ["4", 0], "latent": ["4", 1], "seed": 8}
    nodes["6"] = {**nodes["5"], "inputs": {**nodes["5"]["inputs"], "pipe": ["20", 0], "latent": ["5", 1]}}
    nodes["9"]["inputs"]["samples"] = ["6", 1]
    job = client.run(nodes, **ASKING)
    assert [(run["node"], run["steps"]) for run in runs_of(client, job)] == [("4", 4), ("5", 4), ("6", 4)]


def test_a_job_that_does_not_ask_goes_to_the_host_as_it_came(client):
    job = client.run(tuple_pipe()).prompt_id
    with DIRECT.open(f"{client.address}/history/{job}") as answer:
        assert json.load(answer)[job]["prompt"][2] == tuple_pipe()


def test_a_sampler_that_no_tap_reaches_is_named_as_long_as_it_is_so(client):
    nodes = graph(("own_loop", {"model": ["1", 0]}))
    nodes["4"]["_meta"] = {"title": "Mine"}
    asking = {"extra_data": {**ASKING["extra_data"], "extra_pnginfo": {"workflow": {"id": str(nodes["4"])}}}}
    job = client.run(nodes, **asking)
    assert runs_of(client, job) == []
    assert unreached(client, job) == [("4", "Mine")]
    cached = client.run(nodes, **asking)
    assert "4" in cached.cached_nodes
    (one,) = fetched(client, "tab/runs", workflow_id=str(nodes["4"]))["unreached"]
    assert (one["node"], one["prompt_id"]) == ("4", job.prompt_id)
    client.run({**tuple_pipe(), "9": {**nodes["9"], "inputs": {**nodes["9"]["inputs"], "samples": ["4", 1]}}}, **asking)
    assert fetched(client, "tab/runs", workflow_id=str(nodes["4"]))["unreached"] == []
