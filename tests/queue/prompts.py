"""Workflows in API form for the queue tests, and how to read what they made."""

import io
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from safetensors.torch import load

from guidance_geometry.sweeps.comfyui.client import JobError, RefusedError
from guidance_geometry.sweeps.comfyui.process import DIRECT

ROOT = Path(__file__).resolve().parents[2]
HOST = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI")
ASKING: dict[str, Any] = {"extra_data": {"guidance_geometry": {"record": True}}}


def first_look() -> dict:
    """The demo template as the API sees it, with Pocket: its steps last long enough to be watched."""
    graph = json.loads((ROOT / "sweeps" / "comfyui" / "first_look.json").read_text(encoding="utf-8"))
    graph["1"]["inputs"]["denoiser_name"], graph["4"]["inputs"]["scheduler"] = "pocket-1", "karras"
    return graph


def small(label="3", denoiser="pocket-1", **sampler) -> dict:
    """A short run of two samples that saves its latents: the template's start with Pocket, four steps, no pictures."""
    graph = {node: first_look()[node] for node in "1234"}
    graph["1"]["inputs"]["denoiser_name"] = denoiser
    graph["2"]["inputs"]["label"] = label
    graph["3"]["inputs"]["batch_size"] = 2
    graph["4"]["inputs"] |= {"steps": 4, "capture": "numbers"} | sampler
    graph["9"] = {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "latents/small"}}
    return graph


def text_to_image():
    """A text-to-image workflow as ComfyUI ships it, with a tiny stand-in for its checkpoint."""
    text = {"class_type": "CLIPTextEncode"}
    inputs = {"seed": 9000, "steps": 3, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal"}
    wires = {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["5", 0], "denoise": 1.0}
    return {
        "1": {
            "class_type": "TestNamedCheckpoint",
            "inputs": {"ckpt_name": "a-checkpoint-of-no-template.safetensors", "family": "SD15"},
        },
        "2": text | {"inputs": {"clip": ["1", 1], "text": "a cat"}},
        "3": text | {"inputs": {"clip": ["1", 1], "text": ""}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "4": {"class_type": "KSampler", "inputs": inputs | wires},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "stock"}},
    }


def distilled():
    """The same for a distilled model at cfg 1, which is told a guidance by a node of its own."""
    graph = text_to_image()
    graph["4"]["inputs"] |= {"cfg": 1.0, "scheduler": "simple", "positive": ["6", 0]}
    graph["1"]["inputs"] |= {"ckpt_name": "a-distilled-model-of-no-template.safetensors", "family": "Flux"}
    graph["5"]["class_type"] = "EmptySD3LatentImage"
    told = {"conditioning": ["2", 0], "guidance": 3.5}
    graph["6"] = {"class_type": "FluxGuidance", "inputs": told, "_meta": {"title": "Told"}}
    return graph


TERM = {"normalise": "none", "limit": 0.2, "start_percent": 0.0, "end_percent": 1.0, "every_k": 1}


def steered(energy: dict, more: dict | None = None, scale=None, evaluation="auto", **sampler) -> dict:
    """A short run that an energy steers: the null label, unless said otherwise.

    more: nodes that the energy reads. scale: gamma; None is what was measured for the evaluation.
    """
    graph = small(**{"label": "", "cfg": 1.0, **sampler}) | (more or {})
    graph["21"] = energy
    preset = "measured" if scale is None else "scale"
    strength = {"scale": scale or 0.0, "preset": preset}
    term = {"energy": ["21", 0], "evaluation": evaluation, **strength, **TERM}
    graph["22"] = {"class_type": "GGClassifierGradient", "inputs": term}
    graph["4"]["inputs"]["guidance"] = ["22", 0]
    return graph


def latents(client, job):
    """The saved samples of a job, exact."""
    return load(client.file(job.outputs["9"]["latents"][0]))["latent_tensor"]


def fetched(client, path, **query) -> Any:
    """What the pack answers at one of its addresses."""
    with DIRECT.open(f"{client.address}/guidance_geometry/{path}?{urllib.parse.urlencode(query)}") as answer:
        body = answer.read()
    return json.loads(body) if body else None


def sent(client, method, key, body=None, **query):
    """Status and JSON of a request about picks."""
    address = f"{client.address}/guidance_geometry/picks?{urllib.parse.urlencode({'key': key, **query})}"
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        headers = {"Content-Type": "application/json"}
        with DIRECT.open(urllib.request.Request(address, data, headers, method=method)) as answer:
            status, words = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, words = error.code, error.read()
    return status, json.loads(words or b"null")


def refusal(client, graph):
    """What the queue or a node says of a job that cannot be."""
    with pytest.raises((RefusedError, JobError)) as caught:
        client.run(graph)
    message = str(caught.value)
    assert "Traceback" not in message
    return message


def runs_of(client, job):
    """What the Guidance tab lists of a job."""
    return fetched(client, "tab/runs", prompt_id=job.prompt_id)["runs"]


def recorded(client, graph) -> dict:
    """The record of the one run of a job that asks for it."""
    (run,) = runs_of(client, client.run(graph, **ASKING))
    return fetched(client, f"tab/runs/{run['run']}")


def picture(client, entry):
    """One picture of a job as an array."""
    return numpy.asarray(Image.open(io.BytesIO(client.file(entry))).convert("RGB"))


def forget(client):
    """Empty the server's cache, so that the next job computes everything again.

    The host may do it only after one more job; that is a small one, and not the first of the caller's.
    """
    client.post("/free", {"unload_models": True, "free_memory": True})
    latent = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
    client.run({"1": latent, "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}})
