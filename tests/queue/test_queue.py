import io
import json
import math

import pytest
import torch
from PIL import Image

from guidance_geometry.tests.queue.prompts import ROOT, forget, latents, refusal, small
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


def test_a_workflow_in_between_leaves_no_trace(client):
    first = client.run(small(seed=6))
    client.run(small(label="*", seed=7, cfg=9.0, sampler_name="dpmpp_2m", capture="tensors"))
    second = client.run(small(seed=6))
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


@pytest.mark.slow
def test_runs_at_full_capture_do_not_pile_up(client, server):
    psutil = pytest.importorskip("psutil")
    process = psutil.Process(server.process.pid)
    taken = []
    for seed in range(100, 112):
        client.run(small(seed=seed, steps=20, capture="tensors"))
        taken.append(process.memory_info().rss)
    assert taken[-1] - taken[2] <= 150e6


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


def two_recorded(seeds, later=(), capture="numbers"):
    """Two KSamplers over one recorded model, each with its own reader; later: nodes to add."""
    graph = recorded(seeds[0])
    graph["10"]["inputs"]["capture"] = capture
    graph["5"] = {**graph["4"], "inputs": {**graph["4"]["inputs"], "seed": seeds[1]}}
    graph["13"] = {**graph["11"], "inputs": {**graph["11"]["inputs"], "latent": ["5", 0]}}
    graph["14"] = {"class_type": "GGSaveTrace", "inputs": {"trace": ["13", 0], "filename_prefix": "recorded"}}
    return graph | dict(later)


def seed_of(client, job, node, tmp_path):
    """The seed of the trace that a node has saved."""
    name = job.outputs[node]["text"][0].split(":")[0]
    (tmp_path / name).write_bytes(client.file({"filename": name, "subfolder": "traces", "type": "output"}))
    return load(tmp_path / name).header["seed"]


@pytest.mark.parametrize("again", ["4", "5"])
def test_two_samplers_keep_their_traces_when_one_of_them_is_cached(client, tmp_path, again):
    forget(client)
    job = client.run(two_recorded((31, 32)))
    assert [seed_of(client, job, node, tmp_path) for node in ("12", "14")] == [31, 32]
    seeds = (33, 32) if again == "4" else (31, 33)
    job = client.run(two_recorded(seeds))
    assert ({"4", "5"} - {again}) & set(job.cached_nodes)
    assert seed_of(client, job, "12" if again == "4" else "14", tmp_path) == 33
    late = {"20": {"class_type": "GGSaveTrace", "inputs": {"trace": ["21", 0], "filename_prefix": "late"}}}
    cached = "5" if again == "4" else "4"
    reader = {"recorder": ["10", 1], "latent": [cached, 0], "run": -1}
    late["21"] = {"class_type": "GGReadTrace", "inputs": reader}
    job = client.run(two_recorded(seeds, late))
    assert cached in job.cached_nodes
    assert seed_of(client, job, "20", tmp_path) == (32 if again == "4" else 31), "a new reader of the cached latent"


def test_a_recorded_batch_is_found_by_one_of_its_images(client, tmp_path):
    one = {"15": {"class_type": "LatentFromBatch", "inputs": {"samples": ["4", 0], "batch_index": 1, "length": 1}}}
    graph = two_recorded((34, 35), one)
    graph["11"]["inputs"]["latent"] = ["15", 0]
    job = client.run(graph)
    assert [seed_of(client, job, node, tmp_path) for node in ("12", "14")] == [34, 35]


def test_a_saved_figure_reopens_its_workflow_and_names_no_folder(client):
    graph = small(seed=23, capture="pictures")
    chosen = {"figure": "step plane", "step": -1, "sample": 0, "size": "blog 960x540", "theme": "light", "save": "png"}
    graph["13"] = {"class_type": "GGFigure", "inputs": {"trace": ["4", 2], "filename_prefix": "figure", **chosen}}
    picture = Image.open(io.BytesIO(client.file(client.run(graph).outputs["13"]["images"][0])))
    assert json.loads(picture.info["prompt"])["13"]["inputs"]["figure"] == "step plane"
    assert str(ROOT) not in picture.info["prompt"]
