import math

import pytest
import torch

from guidance_geometry.tests.queue.prompts import forget, latents, refusal, small
from guidance_geometry.trace.file import load


@pytest.fixture
def healthy(client):
    """Whatever the test queued, the next ordinary job gives what it always gives."""
    before = latents(client, client.run(small()))
    yield
    forget(client)
    assert torch.equal(latents(client, client.run(small())), before)


def four_channels(graph):
    graph["8"] = {"class_type": "LoadLatent", "inputs": {"latent": "four_channels.latent"}}
    graph["4"]["inputs"]["latent_image"] = ["8", 0]
    return graph


BAD = {
    "misspelt label": (small(label="robt"), "Nearest: 'robot'"),
    "cfg is NaN": (small(cfg=math.nan), "cfg is nan"),
    "four channels": (four_channels(small()), "4 channels"),
    "truncated": (small(denoiser="truncated.safetensors"), "cut off"),
    "huge header": (small(denoiser="huge_header.safetensors"), "announces a header"),
    "pickle in disguise": (small(denoiser="pickle.safetensors"), "Python pickle"),
    "zip in disguise": (small(denoiser="zip.safetensors"), "zip archive"),
}


@pytest.mark.usefixtures("healthy", "damaged_files")
def test_bad_input_is_named_and_the_next_job_runs(client):
    said = {name: refusal(client, graph) for name, (graph, _) in BAD.items()}
    assert [said[name] for name, (_, words) in BAD.items() if words not in said[name]] == []


def test_second_run_equals_first(client):
    first = client.run(small(seed=5, sampler_name="euler_ancestral"))
    forget(client)
    second = client.run(small(seed=5, sampler_name="euler_ancestral"))
    assert not second.cached_nodes
    assert torch.equal(latents(client, first), latents(client, second))


@pytest.mark.parametrize(("name", "cfg"), [("euler_ancestral", 4.0), ("dpmpp_2m_sde", 1.0)])
def test_renaming_a_ksampler_gives_the_same_samples(client, name, cfg):
    ours = small(seed=8, sampler_name=name, cfg=cfg)
    theirs = small(seed=8, sampler_name=name, cfg=cfg)
    theirs["4"]["class_type"] = "KSampler"
    assert torch.equal(latents(client, client.run(ours)), latents(client, client.run(theirs)))


@pytest.mark.usefixtures("healthy")
def test_interrupt_stops_a_run(client):
    prompt_id = client.submit(small(seed=9, steps=5000))
    stopped = []

    def stop_once_it_samples(kind, data):
        if kind == "progress" and data["value"] >= 2 and not stopped:
            stopped.append(data["value"])
            client.interrupt()

    assert client.follow(prompt_id, stop_once_it_samples).ending == "execution_interrupted"
    assert stopped


def recorded(seed):
    """A plain KSampler over a recorded model, and its trace on disk."""
    graph = small(seed=seed)
    sampler = graph["4"]
    sampler["class_type"] = "KSampler"
    del sampler["inputs"]["capture"]
    graph["10"] = {"class_type": "GGRecord", "inputs": {"model": sampler["inputs"]["model"], "capture": "numbers"}}
    sampler["inputs"]["model"] = ["10", 0]
    graph["11"] = {"class_type": "GGReadTrace", "inputs": {"recorder": ["10", 1], "latent": ["4", 0]}}
    graph["12"] = {"class_type": "GGSaveTrace", "inputs": {"trace": ["11", 0], "filename_prefix": "recorded"}}
    return graph


def test_a_recorded_model_hands_out_the_run_of_this_job(client, tmp_path):
    """The second job finds GGRecord in the cache; its trace must be of the second run all the same."""
    for seed in (21, 22):
        job = client.run(recorded(seed))
        name = job.outputs["12"]["text"][0].split(":")[0]
        (tmp_path / name).write_bytes(client.file({"filename": name, "subfolder": "traces", "type": "output"}))
        trace = load(tmp_path / name)
        assert trace.header["seed"] == seed
        assert trace.header["prompt"]["4"]["inputs"]["seed"] == seed
        assert trace.n == 4
