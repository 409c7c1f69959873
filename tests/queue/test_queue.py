"""Workflows of the pack through the queue of a real host: what runs, what is refused, and what stays as it was."""

import json
import math

import pytest
import torch
from safetensors.torch import save, save_file

from guidance_geometry.tests.queue.prompts import forget, latents, refusal, small
from guidance_geometry.trace.file import load


@pytest.fixture
def healthy(client):
    """Whatever the test queued, the next ordinary job gives what it always gives."""
    before = latents(client, client.run(small()))
    yield
    forget(client)
    assert torch.equal(latents(client, client.run(small())), before)


@pytest.fixture(scope="module")
def damaged_files(server):
    """Files that a user may have in the model folders and that must never be loaded."""
    folder = server.log.parent / "models" / "denoisers"
    folder.mkdir(parents=True, exist_ok=True)
    whole = save({"weight": torch.zeros(1000)})
    (folder / "truncated.safetensors").write_bytes(whole[:-1000])
    (folder / "huge_header.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + whole[8:])
    (folder / "pickle.safetensors").write_bytes(b"\x80\x04\x95" + bytes(200) + b".")
    torch.save({"weight": torch.zeros(10)}, folder / "zip.safetensors")
    latent = {"latent_tensor": torch.ones(2, 4, 32, 32), "latent_format_version_0": torch.zeros(1)}
    save_file(latent, server.log.parent / "input" / "four_channels.latent")


def four_channels(graph):
    graph["8"] = {"class_type": "LoadLatent", "inputs": {"latent": "four_channels.latent"}}
    graph["4"]["inputs"]["latent_image"] = ["8", 0]
    return graph


BAD = {
    "misspelt label": (small(label="robt"), "'robot'"),
    "cfg is NaN": (small(cfg=math.nan), "nan"),
    "four channels": (four_channels(small()), "4 channels"),
    "truncated": (small(denoiser="truncated.safetensors"), "cut off"),
    "huge header": (small(denoiser="huge_header.safetensors"), "header"),
    "pickle in disguise": (small(denoiser="pickle.safetensors"), "pickle"),
    "zip in disguise": (small(denoiser="zip.safetensors"), "zip"),
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
    ours, theirs = (small(seed=8, sampler_name=name, cfg=cfg) for _ in range(2))
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


def test_a_recorded_model_hands_out_the_run_of_this_job(client, tmp_path):
    """The second job finds GGRecord in the cache; its trace must be of the second run all the same."""
    for seed in (21, 22):
        graph = small(seed=seed)
        inputs = graph["4"]["inputs"]
        del inputs["capture"]
        graph["10"] = {"class_type": "GGRecord", "inputs": {"model": inputs["model"], "capture": "numbers"}}
        graph["4"] = {"class_type": "KSampler", "inputs": inputs | {"model": ["10", 0]}}
        graph["11"] = {"class_type": "GGReadTrace", "inputs": {"recorder": ["10", 1], "latent": ["4", 0]}}
        graph["12"] = {"class_type": "GGSaveTrace", "inputs": {"trace": ["11", 0], "filename_prefix": "recorded"}}
        job = client.run(graph)
        name = job.outputs["12"]["text"][0].split(":")[0]
        (tmp_path / name).write_bytes(client.file({"filename": name, "subfolder": "traces", "type": "output"}))
        trace = load(tmp_path / name)
        assert (trace.header["seed"], trace.n) == (seed, 4)
        assert trace.header["prompt"]["4"]["inputs"]["seed"] == seed


def test_a_rule_of_another_pack_runs_on_our_sampler_and_on_a_ksampler_without_importing_this_one(client):
    """Half of what lies beyond c at 4 is CFG at 2.5."""
    rule = {"6": {"class_type": "ExampleHalfwayBack", "inputs": {}}}
    ours, plain = small(seed=3, cfg=4.0) | rule, small(seed=3, cfg=2.5)
    ours["4"]["inputs"]["guidance"] = ["6", 0]
    patch = {"class_type": "GGGuidancePatch", "inputs": {"model": ["1", 0], "guidance": ["6", 0]}}
    theirs = json.loads(json.dumps(small(seed=3, cfg=4.0) | rule | {"7": patch}))
    theirs["4"]["class_type"] = "KSampler"
    theirs["4"]["inputs"]["model"] = ["7", 0]
    half, patched, wanted = (latents(client, client.run(graph)) for graph in (ours, theirs, plain))
    assert torch.equal(half, patched)
    assert (wanted - half).abs().max() <= 1e-4
