"""The embedded demo denoiser: the network's arithmetic, and the stored weights against their card."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from guidance_geometry.classifiers.files import load_classifier
from guidance_geometry.denoisers.pocket import PocketSizes, PocketUNet, fourier_features
from guidance_geometry.denoisers.preconditioning import edm_coefficients
from guidance_geometry.files.safetensors import read_safetensors
from guidance_geometry.tools import demo_evaluation, demo_files, demo_training

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
FIXTURES = ROOT / "tests" / "fixtures"
CARD = ASSETS / "denoisers" / "pocket-1.json"
WEIGHTS = ASSETS / "denoisers" / "pocket-1.safetensors"
LABELS = ["plant", "monster", "robot", "person", "planet", "smiley", "stones", "landscape", "face", "marble"]
METADATA = (
    "format version name licence architecture config parametrisation preconditioning schedule sigma_min sigma_max "
    "sigma_data image_size channels range labels null_index data training"
)
SMALL = {"ch": (16, 32, 32), "emb": 16, "head": 8, "blocks": (1, 1, 2, 1, 1, 1), "labels": 3}
NULL = 10

needs_weights = pytest.mark.skipif(not CARD.exists(), reason="assets/denoisers/pocket-1.json is not there yet")


def noise(shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def small_network(dtype=torch.float32):
    """Make a network whose every weight is drawn, also those that training starts at zero."""
    network = PocketUNet(PocketSizes(**SMALL), dtype=dtype)
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return network.requires_grad_(False)


def card():
    return json.loads(CARD.read_text())


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
    judge, _ = load_classifier(ASSETS / "classifiers" / "pocket-judge-1.safetensors")
    tensors, _ = read_safetensors(FIXTURES / "pocket_judge_statistics.safetensors")
    real = demo_evaluation.Statistics(**{name: tensor.double() for name, tensor in tensors.items()})
    return demo_evaluation.Bench(network, judge, real, sigma_data, demo_evaluation.Protocol(dtype=dtype))


@pytest.mark.parametrize("sigma", [0.002, 0.1, 0.6, 5.0, 80.0])
def test_coefficients_agree_with_their_formulas(sigma):
    found = edm_coefficients(torch.tensor([sigma], dtype=torch.float32), 0.6)
    total = sigma**2 + 0.36
    wanted = (0.36 / total, sigma * 0.6 / math.sqrt(total), 1 / math.sqrt(total))
    for value, exact in zip(found, wanted, strict=True):
        assert value.dtype == torch.float32
        assert abs(value.item() - exact) <= 1e-6 * max(1.0, exact)  # single precision


def test_coefficients_give_unit_size_to_input_and_target():
    sigma = torch.tensor([0.01, 0.5, 20.0], dtype=torch.float64)
    c_skip, c_out, c_in = edm_coefficients(sigma, 0.6)
    assert torch.allclose(c_in**2 * (0.36 + sigma**2), torch.ones(3, dtype=torch.float64))
    target = ((1 - c_skip) ** 2 * 0.36 + c_skip**2 * sigma**2) / c_out**2  # variance of (x0 - c_skip x) / c_out
    assert torch.allclose(target, torch.ones(3, dtype=torch.float64))


def test_half_precision_time_does_not_change_the_features_dtype():
    assert fourier_features(torch.zeros(2, dtype=torch.float16)).dtype == torch.float32
    assert fourier_features(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64


def test_item_alone_equals_item_in_batch():
    network, x = small_network(), noise((4, 3, 32, 32))
    t, y = torch.linspace(-1.5, 1.1, 4), torch.tensor([0, 1, 2, 3])
    batch = network(x, t, y)
    for i in range(4):
        alone = network(x[i : i + 1], t[i : i + 1], y[i : i + 1])
        assert (alone - batch[i : i + 1]).abs().max() <= 1e-5 * batch.abs().max()  # order of float32 sums


@pytest.mark.parametrize("side", [(8, 8), (32, 32), (40, 64)])
def test_any_sides_divisible_by_eight_are_accepted(side):
    assert small_network()(noise((1, 3, *side)), torch.zeros(1), torch.tensor([3])).shape == (1, 3, *side)


def test_no_images_give_no_images():
    empty = torch.zeros(0, 3, 16, 16)
    assert small_network()(empty, torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == empty.shape


def test_other_sides_are_refused():
    with pytest.raises(ValueError, match=r"image is 32 x 30 but Pocket needs sides divisible by 8"):
        small_network()(noise((1, 3, 30, 32)), torch.zeros(1), torch.tensor([0]))


def test_label_and_noise_level_both_matter():
    network, x = small_network(), noise((1, 3, 32, 32))
    outputs = [network(x, torch.tensor([t]), torch.tensor([y])) for t, y in ((0.0, 0), (0.0, 3), (0.5, 0))]
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_output_follows_the_inputs_dtype():
    x, t, y = noise((2, 3, 32, 32)), torch.tensor([-1.0, 0.5]), torch.tensor([0, 3])
    exact = small_network(torch.float64)(x.double(), t, y)
    for dtype, bound in ((torch.bfloat16, 0.1), (torch.float16, 0.02)):  # 8 and 11 bits, about 30 layers
        found = small_network(dtype)(x.to(dtype), t, y)
        assert found.dtype == dtype
        assert (found.double() - exact).square().mean().sqrt() <= bound * exact.square().mean().sqrt()


def test_gradient_equals_finite_differences():
    network, sigma = small_network(torch.float64), torch.tensor([0.7], dtype=torch.float64)
    x, direction, probe = (noise((1, 3, 16, 16), seed, torch.float64) for seed in range(3))
    label = torch.tensor([1])

    def probed(z):
        return (demo_training.evaluate(network, z, sigma, label, 0.6) * probe).sum()

    z = x.clone().requires_grad_(True)
    slope = (torch.autograd.grad(probed(z), z)[0] * direction).sum()
    step = 1e-5
    differences = (probed(x + step * direction) - probed(x - step * direction)) / (2 * step)
    assert (slope - differences).abs() <= 1e-6 * slope.abs()  # step^2, and rounding / step


def test_layers_come_from_operations():
    made = []

    class Counting:
        def __getattr__(self, name):
            made.append(name)
            return getattr(torch.nn, name)

    PocketUNet(PocketSizes(**SMALL), operations=Counting())
    assert set(made) == {"Conv2d", "Linear", "GroupNorm", "Embedding"}


def test_embedded_files_stay_small():
    assert sum(file.stat().st_size for file in ASSETS.rglob("*") if file.is_file()) <= 9_000_000


@pytest.mark.parametrize(
    "room", ["guidance", "files", "samplers", "trace", "denoisers", "classifiers", "figures", "host", "nodes"]
)
def test_no_room_mentions_a_training_package(room):
    for file in (ROOT / room).rglob("*.py"):
        assert not any(word in file.read_text(encoding="utf-8") for word in ("dicebear", "resvg")), file


@needs_weights
def test_checksums_agree_with_the_card():
    facts = card()
    for entry, folder in [(facts, "denoisers"), *((entry, "classifiers") for entry in facts["classifiers"])]:
        content = (ASSETS / folder / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"]


@needs_weights
def test_metadata_is_complete_and_weights_are_finite():
    weights, metadata = read_safetensors(WEIGHTS, finite=True)
    assert {f"gg.{key}" for key in METADATA.split()} == set(metadata)
    assert json.loads(metadata["gg.labels"]) == LABELS
    assert set(json.loads(metadata["gg.data"])["styles"]) == set(LABELS)
    assert json.loads(metadata["gg.data"])["licence"] == "CC0 1.0"
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert weights["embedding.classes.weight"].shape[0] == len(LABELS) + 1


@needs_weights
def test_hardly_anything_is_removed_at_the_lowest_noise_level():
    network, sigma_data = trained()
    x0, y = stored_images()
    sigma = torch.full((20,), 0.002)
    x = x0[:20] + 0.002 * noise((20, 3, 32, 32))
    moved = demo_training.evaluate(network, x, sigma, y[:20], sigma_data) - x
    assert moved.flatten(1).square().mean(1).sqrt().max() <= 2 * 0.002


@needs_weights
def test_prediction_from_pure_noise_is_the_mean_image():
    network, sigma_data = trained()
    x0, _ = stored_images()
    sigma, null = torch.full((50,), 80.0), torch.full((50,), NULL)
    predicted = demo_training.evaluate(network, 80 * noise((50, 3, 32, 32)), sigma, null, sigma_data)
    off = (predicted.mean(0) - x0.mean(0)).square().mean().sqrt()
    assert off <= 0.1  # 100 images know the mean only to 0.06


@needs_weights
def test_loss_on_the_stored_images_is_the_cards():
    network, sigma_data = trained()
    x0, y = stored_images()
    said = card()["training"]["validation_loss_stored"]
    found = demo_training.validation_loss(network, x0, y, sigma_data)
    for sigma in ("0.05", "0.2", "0.5", "2", "20"):
        assert abs(found[sigma] - said[sigma]) <= 0.01 * said[sigma], sigma  # other CPUs sum in another order


@needs_weights
def test_bfloat16_is_close_to_float32():
    network, sigma_data = trained()
    x0, y = stored_images()
    x, sigma = x0[:20] + noise((20, 3, 32, 32)), torch.ones(20)
    exact = demo_evaluation.Denoiser(network, sigma_data, torch.float32)(x, sigma, y[:20])
    rounded = demo_evaluation.Denoiser(network, sigma_data, torch.bfloat16)(x, sigma, y[:20])
    assert (rounded - exact).square().mean().sqrt() <= 0.02 * exact.square().mean().sqrt()


@needs_weights
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


@needs_weights
@pytest.mark.slow
def test_two_hundred_samples_agree_with_the_card():
    rows, tested = {row["gamma"]: row for row in card()["evaluation"]["guidance"]}, bench()
    found = {gamma: tested.measure(tested.guided_samples(gamma, 200)[0]) for gamma in (0.0, 1.0, 2.0, 4.0)}
    for gamma, row in found.items():
        low, high = demo_evaluation.interval(rows[gamma]["accuracy"], 200, z=2.58)  # 99 %
        assert low <= row["accuracy"] <= high, gamma
    for measure in ("classwise", "diversity"):
        values = [row[measure] for row in found.values()]
        assert values == sorted(values, reverse=True), measure


@needs_weights
@pytest.mark.slow
def test_clean_classifier_names_the_strongly_guided_columns():
    clean, _ = load_classifier(ASSETS / "classifiers" / "pocket-clean-1.safetensors")
    x0, _ = bench().guided_samples(4.0, 50)
    assert (clean(x0).argmax(1) == torch.arange(50) % 10).double().mean() >= 0.9
