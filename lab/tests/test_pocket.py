"""The stored weights of the demo denoisers against their cards."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from guidance_geometry.files.safetensors import read_safetensors
from guidance_geometry.lab.train import demo_files, demo_training

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
VALIDATION = ROOT / "tests" / "fixtures" / "pocket_validation.png"
CARD = ASSETS / "denoisers" / "pocket-1.json"
WEIGHTS = ASSETS / "denoisers" / "pocket-1.safetensors"
FLOW = ASSETS / "denoisers" / "pocket-flow-1.json"
LABELS = ["plant", "monster", "robot", "person", "planet", "smiley", "stones", "landscape", "face", "marble"]
METADATA = (
    "format version name licence architecture config parametrisation preconditioning schedule sigma_min sigma_max "
    "sigma_data image_size channels range labels null_index data training"
)


def card(file=CARD):
    return json.loads(file.read_text(encoding="utf-8"))


def test_files_are_their_cards_and_both_models_are_small():
    facts, flow = card(), card(FLOW)
    entries = [(facts, "denoisers"), (flow, "denoisers"), *((entry, "classifiers") for entry in facts["classifiers"])]
    for entry, folder in entries:
        content = (ASSETS / folder / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"]
    assert facts["bytes"] + flow["bytes"] <= 6_000_000


def test_metadata_is_complete_and_weights_are_finite():
    weights, metadata = read_safetensors(WEIGHTS, finite=True)
    assert {f"gg.{key}" for key in METADATA.split()} == set(metadata)
    assert json.loads(metadata["gg.labels"]) == LABELS
    assert set(json.loads(metadata["gg.data"])["styles"]) == set(LABELS)
    assert json.loads(metadata["gg.data"])["licence"] == "CC0 1.0"
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert weights["embedding.classes.weight"].shape[0] == len(LABELS) + 1


def test_loss_on_the_stored_images_is_the_cards():
    network, metadata = demo_files.read_denoiser(WEIGHTS)
    pixels = demo_files.images_of(np.asarray(Image.open(VALIDATION).convert("RGB")))  # rows of the labels in order
    labels, said = torch.arange(len(pixels)) % 10, card()["training"]["validation_loss_stored"]
    images = demo_training.to_images(pixels)
    found = demo_training.validation_loss(network, images, labels, float(metadata["gg.sigma_data"]))
    for sigma in ("0.05", "0.2", "0.5", "2", "20"):
        assert abs(found[sigma] - said[sigma]) <= 0.01 * said[sigma], sigma  # other CPUs sum in another order


@pytest.mark.parametrize("file", [CARD, FLOW], ids=["pocket", "flow"])
def test_a_card_has_the_shape_that_guidance_should_give(file):
    rows = {row["gamma"]: row for row in card(file)["evaluation"]["guidance"]}
    gammas = sorted(rows)
    best = min(gammas, key=lambda gamma: rows[gamma]["classwise"])
    assert rows[0.0]["accuracy"] <= 0.2
    assert rows[best]["accuracy"] >= 0.95
    diversity = [rows[gamma]["diversity"] for gamma in gammas]
    assert diversity == sorted(diversity, reverse=True)
