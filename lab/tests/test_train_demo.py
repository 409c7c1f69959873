"""The training tool: its pictures, its measures against hand-made cases, and a run of twenty steps."""

import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from guidance_geometry.classifiers.files import load_classifier
from guidance_geometry.lab.train import demo_classifiers, demo_data, demo_evaluation, demo_files, demo_training

TOOL = [sys.executable, Path(__file__).resolve().parents[2] / "lab", "train_demo"]
# SHA-256 of the first 20 pictures a class, index-major
TWENTY_A_CLASS = "26dd06e5a83afb9214aa92d9340aecc3050bbbcce35d2badaed66eb16759b026"
PACKAGES = ("dicebear", "dicebear_styles", "resvg_py")
ABSENT = [name for name in PACKAGES if importlib.util.find_spec(name) is None]

needs_drawing = pytest.mark.skipif(bool(ABSENT), reason=f"the drawing packages are not installed: {', '.join(ABSENT)}")


@needs_drawing
@pytest.mark.parametrize("drawing", demo_data.CLASSES, ids=demo_data.LABELS)
def test_every_style_is_public_domain(drawing):
    assert demo_data.definition_of(drawing.style)["meta"]["license"]["name"] == "CC0 1.0"


@needs_drawing
def test_style_with_another_licence_is_refused():
    with pytest.raises(ValueError, match=r"style 'adventurer' is licensed 'CC BY 4\.0' but .* 'CC0 1\.0'"):
        demo_data.definition_of("adventurer")


@needs_drawing
@pytest.mark.slow
def test_pictures_are_the_stored_ones():
    columns = np.stack([demo_data.draw_range((label, 0, 20)) for label in range(10)])
    assert demo_files.checksum(columns.swapaxes(0, 1).tobytes()) == TWENTY_A_CLASS


def test_sheet_and_images_are_inverse():
    pixels = np.arange(20 * 32 * 32 * 3, dtype=np.uint8).reshape(20, 32, 32, 3)
    assert np.array_equal(demo_files.images_of(demo_files.sheet_of(pixels)), pixels)


def test_orthogonalised_matrix_has_singular_values_near_one():
    matrices = torch.randn(3, 20, 50, generator=torch.Generator().manual_seed(0))
    for shaped in (matrices, matrices.mT):
        values = torch.linalg.svdvals(demo_training.orthogonalise(shaped))
        assert values.min() >= 0.6  # the quintic's fixed interval is 0.68 .. 1.14, rounded to bfloat16
        assert values.max() <= 1.25


def test_shares_of_a_batch_cover_it_once():
    items = [list(range(7))[demo_training.Share(rank, 3).part(7)] for rank in range(3)]
    assert [item for part in items for item in part] == list(range(7))


def tiny_training(steps):
    """Make a run of a few weights on noise, small enough for every step to be quick."""
    images = torch.randn(20, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    recipe = demo_training.Recipe(steps=steps, batch=4, warm_up=1)
    config = {"ch": (16, 32, 32), "emb": 16, "head": 8, "blocks": (1, 1, 1, 1, 1, 1)}
    return demo_training.Training(images, torch.arange(20) % 10, 0.6, recipe, config)


def test_interrupted_run_ends_where_the_whole_one_does():
    whole, before, after = (tiny_training(4) for _ in range(3))
    for _ in range(4):
        whole.advance()
    for _ in range(2):
        before.advance()
    after.resume(before.state())
    for _ in range(2):
        after.advance()
    for name, weight in whole.average.items():
        assert torch.equal(weight, after.average[name]), name


def test_fine_tuning_begins_with_the_weights_it_is_given():
    first, second = tiny_training(1), tiny_training(1)
    first.advance()
    second.begin_from(first.averaged_network().state_dict())
    for name, weight in second.network.named_parameters():
        assert torch.equal(weight, first.average[name]), name
        assert torch.equal(second.average[name], first.average[name]), name


def test_labels_are_wrong_and_absent_as_often_as_the_recipe_says():
    run, wrong, absent = tiny_training(1), 0, 0
    for _ in range(1000):
        x0, y = run.draw_batch()
        true = (run.images[None] == x0[:, None]).flatten(2).all(2).int().argmax(1) % 10
        absent += (y == 10).sum().item()
        wrong += ((y != 10) & (y != true)).sum().item()
    for count, share in ((absent, 0.15), (wrong, 0.85 * 0.3 * 0.9)):
        assert abs(count / 4000 - share) <= 4 * math.sqrt(share * (1 - share) / 4000)  # four standard deviations


def test_frechet_distance_of_shifted_gaussians_is_the_squared_shift():
    features = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(4000) % 4
    here = demo_evaluation.statistics_of(features, labels)
    there = demo_evaluation.statistics_of(features + torch.tensor([3.0, 0, 4, 0, 0]), labels)
    wider = demo_evaluation.statistics_of(2 * features, labels)
    assert abs(demo_evaluation.frechet(here, there) - 25) <= 1e-9
    assert abs(demo_evaluation.frechet(here, here)) <= 1e-9
    spread = here.covariance.trace() + here.mean.square().sum()  # (2 - 1)^2 of deviation and mean
    assert abs(demo_evaluation.frechet(here, wider) - spread) <= 1e-9


def test_classwise_distance_sees_swapped_labels():
    labels = torch.arange(400) % 2
    eps = torch.randn(400, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = eps + labels[:, None] * 2.0
    right, swapped = (demo_evaluation.statistics_of(features, y) for y in (labels, 1 - labels))
    assert abs(demo_evaluation.frechet(right, swapped)) <= 1e-9
    assert demo_evaluation.classwise_frechet(right, swapped) >= 10  # (2, 2, 2) apart: 12


def test_sampler_is_of_second_order():
    def error(steps):  # x0 ~ N(0, 1): D = x / (1 + sigma^2), and x scales with sqrt(1 + sigma^2) along the flow
        x = torch.ones(1, dtype=torch.float64)
        sigmas = torch.linspace(math.log(80), math.log(0.01), steps + 1, dtype=torch.float64).exp()
        end = demo_evaluation.dpmpp_2m(lambda x, sigma: x / (1 + sigma**2), x, sigmas)
        return abs(end.item() - math.sqrt((1 + 0.01**2) / (1 + 80**2)))

    assert error(160) <= error(80) / 3.3  # 4 in the limit


def test_guidance_scale_zero_and_one_are_the_predictions():
    def denoise(x, sigma, y):
        return x * 0 + y[:, None, None, None]

    x, labels = torch.zeros(2, 3, 8, 8), torch.tensor([3, 4])
    means = {g: demo_evaluation.guide_by(denoise, labels, 10, g)(x, 1.0)[:, 0, 0, 0].tolist() for g in (0.0, 1.0, 2.0)}
    assert means == {0.0: [10, 10], 1.0: [3, 4], 2.0: [-4, -2]}


@pytest.mark.slow
@needs_drawing
def test_short_run_learns_and_its_files_load(tmp_path):
    command = [*TOOL, "--steps", "20", "--images", "200", "--processes", "1", "--out", tmp_path]
    printed = "".join(run([*command, "--stage", stage]) for stage in ("classifiers", "denoiser", "export"))
    first, last = map(float, re.findall(r"first steps ([\d.]+), of the last ([\d.]+)", printed)[0])
    assert last < first
    network, metadata = demo_files.read_denoiser(tmp_path / "denoisers" / "pocket-1.safetensors")
    assert metadata["gg.architecture"] == "pocket-unet-1"
    assert network.null_index == 10
    for recipe in demo_classifiers.RECIPES:
        load_classifier(tmp_path / "classifiers" / f"{recipe.name}.safetensors")


def run(command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def test_other_settings_cannot_overwrite_the_embedded_weights():
    done = subprocess.run([*TOOL, "--steps", "20", "--stage", "export"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "give --out FOLDER" in done.stderr


@pytest.mark.parametrize("sigma", [0.002, 0.1, 0.6, 5.0, 80.0])
def test_coefficients_agree_with_their_formulas(sigma):
    found = demo_training.edm_coefficients(torch.tensor([sigma], dtype=torch.float32), 0.6)
    total = sigma**2 + 0.36
    wanted = (0.36 / total, sigma * 0.6 / math.sqrt(total), 1 / math.sqrt(total))
    for value, exact in zip(found, wanted, strict=True):
        assert value.dtype == torch.float32
        assert abs(value.item() - exact) <= 1e-6 * max(1.0, exact)  # single precision
