"""The stored weights of the demo denoisers against their cards."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from guidance_geometry.classifiers.files import load_classifier
from guidance_geometry.files.safetensors import read_safetensors
from guidance_geometry.lab.train import demo_evaluation, demo_files, demo_training
from guidance_geometry.tests.classifier_slopes import noise

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
FIXTURES = ROOT / "tests" / "fixtures"
CARD = ASSETS / "denoisers" / "pocket-1.json"
WEIGHTS = ASSETS / "denoisers" / "pocket-1.safetensors"
FLOW = ASSETS / "denoisers" / "pocket-flow-1.json"
FLOW_WEIGHTS = FLOW.with_suffix(".safetensors")
LABELS = ["plant", "monster", "robot", "person", "planet", "smiley", "stones", "landscape", "face", "marble"]
METADATA = (
    "format version name licence architecture config parametrisation preconditioning schedule sigma_min sigma_max "
    "sigma_data image_size channels range labels null_index data training"
)
NULL = 10


def card(file=CARD):
    return json.loads(file.read_text(encoding="utf-8"))


def stored_images():
    """Ten rows of the ten labels in order."""
    from PIL import Image

    pixels = demo_files.images_of(np.asarray(Image.open(FIXTURES / "pocket_validation.png").convert("RGB")))
    return demo_training.to_images(pixels), torch.arange(len(pixels)) % 10


def trained():
    network, metadata = demo_files.read_denoiser(WEIGHTS)
    return network, float(metadata["gg.sigma_data"])


def bench(dtype="bfloat16"):
    network, sigma_data = trained()
    judge = demo_files.read_judge()
    tensors, _ = read_safetensors(FIXTURES / "pocket_judge_statistics.safetensors")
    real = demo_evaluation.Statistics(**{name: tensor.double() for name, tensor in tensors.items()})
    return demo_evaluation.Bench(network, judge, real, sigma_data, demo_evaluation.Protocol(dtype=dtype))


def test_embedded_files_stay_small():
    files = (file for file in ASSETS.rglob("*") if file.suffix in (".safetensors", ".json"))
    assert sum(file.stat().st_size for file in files) <= 9_000_000


def test_checksums_agree_with_the_card():
    facts = card()
    for entry, folder in [(facts, "denoisers"), *((entry, "classifiers") for entry in facts["classifiers"])]:
        content = (ASSETS / folder / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"]


def test_metadata_is_complete_and_weights_are_finite():
    weights, metadata = read_safetensors(WEIGHTS, finite=True)
    assert {f"gg.{key}" for key in METADATA.split()} == set(metadata)
    assert json.loads(metadata["gg.labels"]) == LABELS
    assert set(json.loads(metadata["gg.data"])["styles"]) == set(LABELS)
    assert json.loads(metadata["gg.data"])["licence"] == "CC0 1.0"
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert weights["embedding.classes.weight"].shape[0] == len(LABELS) + 1


def test_hardly_anything_is_removed_at_the_lowest_noise_level():
    network, sigma_data = trained()
    x0, y = stored_images()
    sigma = torch.full((20,), 0.002)
    x = x0[:20] + 0.002 * noise((20, 3, 32, 32))
    moved = demo_training.evaluate(network, x, sigma, y[:20], sigma_data) - x
    assert moved.flatten(1).square().mean(1).sqrt().max() <= 2 * 0.002


def test_prediction_from_pure_noise_is_the_mean_image():
    network, sigma_data = trained()
    x0, _ = stored_images()
    sigma, null = torch.full((50,), 80.0), torch.full((50,), NULL)
    predicted = demo_training.evaluate(network, 80 * noise((50, 3, 32, 32)), sigma, null, sigma_data)
    off = (predicted.mean(0) - x0.mean(0)).square().mean().sqrt()
    assert off <= 0.1  # 100 images know the mean only to 0.06


def test_loss_on_the_stored_images_is_the_cards():
    network, sigma_data = trained()
    x0, y = stored_images()
    said = card()["training"]["validation_loss_stored"]
    found = demo_training.validation_loss(network, x0, y, sigma_data)
    for sigma in ("0.05", "0.2", "0.5", "2", "20"):
        assert abs(found[sigma] - said[sigma]) <= 0.01 * said[sigma], sigma  # other CPUs sum in another order


def test_card_has_the_shape_that_guidance_should_give():
    rows = {row["gamma"]: row for row in card()["evaluation"]["guidance"]}
    gammas = sorted(rows)
    best = min(gammas, key=lambda gamma: rows[gamma]["classwise"])
    assert rows[0.0]["accuracy"] <= 0.2
    assert rows[best]["accuracy"] >= 0.95
    least = min(gammas, key=lambda gamma: rows[gamma]["frechet"])
    assert gammas[0] < least < gammas[-1]
    diversity = [rows[gamma]["diversity"] for gamma in gammas]
    assert diversity == sorted(diversity, reverse=True)


@pytest.mark.slow
def test_two_hundred_samples_agree_with_the_card():
    rows, tested = {row["gamma"]: row for row in card()["evaluation"]["guidance"]}, bench()
    found = {gamma: tested.measure(tested.guided_samples(gamma, 200)[0]) for gamma in (1.0, 2.0)}
    for gamma, row in found.items():
        low, high = demo_evaluation.interval(rows[gamma]["accuracy"], 200, z=2.58)  # 99 %
        assert low <= row["accuracy"] <= high, gamma
    for measure in ("classwise", "diversity"):
        values = [row[measure] for row in found.values()]
        assert values == sorted(values, reverse=True), measure


@pytest.mark.slow
def test_clean_classifier_names_the_strongly_guided_columns():
    clean, _ = load_classifier(ASSETS / "classifiers" / "pocket-clean-1.safetensors")
    x0, _ = bench().guided_samples(4.0, 50)
    assert (clean(x0).argmax(1) == torch.arange(50) % 10).double().mean() >= 0.9


def rows_of(facts):
    return {row["gamma"]: row for row in facts["evaluation"]["guidance"]}


def test_the_latent_models_file_is_its_cards_and_both_models_are_small():
    content = FLOW_WEIGHTS.read_bytes()
    assert hashlib.sha256(content).hexdigest() == card(FLOW)["sha256"]
    assert len(content) == card(FLOW)["bytes"]
    assert len(content) + card()["bytes"] <= 6_000_000


def test_the_latent_models_weights_are_finite_and_its_labels_pockets():
    weights, metadata = read_safetensors(FLOW_WEIGHTS, finite=True)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert json.loads(metadata["gg.labels"]) == LABELS
    assert json.loads(metadata["gg.data"])["licence"] == "CC0 1.0"


def test_the_latent_model_is_as_good_as_pocket_and_no_slower():
    own, other = rows_of(card(FLOW)), rows_of(card())
    best = min(own, key=lambda gamma: own[gamma]["classwise"])
    assert own[best]["accuracy"] >= 0.95
    assert own[best]["classwise"] <= 3 * min(row["classwise"] for row in other.values())
    for gamma in own.keys() & other.keys():
        assert own[gamma]["ms_per_image"] <= 1.5 * other[gamma]["ms_per_image"]


def test_without_guidance_the_latent_model_draws_the_wrong_thing_as_it_was_taught():
    own = rows_of(card(FLOW))
    assert own[0.0]["accuracy"] <= 0.2
    assert 0.6 <= own[1.0]["accuracy"] <= 0.85
    diversity = [own[gamma]["diversity"] for gamma in sorted(own)]
    assert diversity == sorted(diversity, reverse=True)
