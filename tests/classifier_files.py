"""The demo's classifiers as they are stored, and small ones of their kind."""

import json
from pathlib import Path

import torch

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.models.classifiers.networks import build
from guidance_geometry.models.networks.weights import weights_of

CLASSIFIERS = Path(__file__).resolve().parents[1] / "assets" / "classifiers"
ROLES = {"pocket-clean-1": "clean", "pocket-judge-1": "judge", "pocket-noisy-1": "noise-aware"}


def network_of(name, dtype=None):
    torch.manual_seed(3)
    return build(name, {"labels": 4}, dtype=dtype).eval().requires_grad_(False)


def stored(folder, name="pocket-clean-1", change=None, drop=(), weights=None):
    """Write a classifier file, with some metadata changed or left out."""
    metadata = {
        "format": "guidance-geometry/classifier",
        "version": "1",
        "name": name,
        "licence": "CC0-1.0",
        "architecture": name,
        "config": json.dumps({"labels": 4}),
        "role": ROLES[name],
        "labels": json.dumps(["a", "b", "c", "d"]),
        "sigma_input": "none",
    } | (change or {})
    path = folder / f"{name}.safetensors"
    tensors = weights or {key: tensor.half() for key, tensor in weights_of(network_of(name)).items()}
    write_safetensors(path, tensors, {f"gg.{key}": value for key, value in metadata.items() if key not in drop})
    return path
