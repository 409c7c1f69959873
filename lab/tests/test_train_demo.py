"""The training tools: their pictures, their measures against hand-made cases, and a short run."""

import importlib.util
import re

import numpy as np
import pytest
import torch

from guidance_geometry.lab.train import (
    demo_classifiers,
    demo_data,
    demo_evaluation,
    demo_files,
    demo_flow,
    demo_vae,
    train_demo,
    train_flow,
)
from guidance_geometry.models.classifiers.files import load_classifier
from guidance_geometry.models.denoisers.latents import POCKET_LATENTS

THREE_A_CLASS = "4cde3851d85fdba0f62662cd0f93818471175c49d2e4facb6be17f52fc87049b"
PACKAGES = ("dicebear", "dicebear_styles", "resvg_py")
ABSENT = [name for name in PACKAGES if importlib.util.find_spec(name) is None]

needs_drawing = pytest.mark.skipif(bool(ABSENT), reason=f"the drawing packages are not installed: {', '.join(ABSENT)}")


@needs_drawing
def test_every_style_is_public_domain_and_another_licence_is_refused():
    for drawing in demo_data.CLASSES:
        assert demo_data.definition_of(drawing.style)["meta"]["license"]["name"] == "CC0 1.0"
    with pytest.raises(ValueError, match=r"style 'adventurer' is licensed 'CC BY 4\.0' but .* 'CC0 1\.0'"):
        demo_data.definition_of("adventurer")


@pytest.fixture(scope="module")
def pictures():
    """The first three of each class, index-major."""
    columns = np.stack([demo_data.draw_range((label, 0, 3)) for label in range(10)])
    return np.ascontiguousarray(columns.swapaxes(0, 1)).reshape(-1, *columns.shape[2:])


@needs_drawing
def test_pictures_are_the_stored_ones(pictures):
    assert demo_files.checksum(pictures.tobytes()) == THREE_A_CLASS


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def flow_training():
    recipe = demo_flow.FlowRecipe(steps=4, batch=4, warm_up=1)
    config = {"channels": 4, "ch": (32, 32), "emb": 16, "blocks": (1, 1, 1)}
    return demo_flow.FlowTraining(draw(20, 4, 4, 4), torch.arange(20) % 10, 1.0, recipe, config)


def vae_training():
    return demo_vae.VAETraining(draw(12, 3, 16, 16).clamp(-1, 1), demo_vae.VAERecipe(steps=4, batch=4, warm_up=1))


@pytest.mark.parametrize("started", [flow_training, vae_training])
def test_an_interrupted_run_ends_where_the_whole_one_does(started):
    whole, before, after = (started() for _ in range(3))
    for _ in range(4):
        whole.advance()
    for _ in range(2):
        before.advance()
    after.resume(before.state())
    for _ in range(2):
        after.advance()
    for name, weight in whole.state()["average"].items():
        assert torch.equal(weight, after.state()["average"][name]), name


def test_a_vae_whose_latents_the_pack_does_not_state_is_refused():
    *factors, bias = POCKET_LATENTS.colours
    space = {"shift": POCKET_LATENTS.shift, "scale": POCKET_LATENTS.scale, "colours": factors, "middle": bias}
    train_flow.check_space(space)
    with pytest.raises(ValueError, match=r"POCKET_LATENTS .* is of another VAE\. Write there"):
        train_flow.check_space(space | {"scale": tuple(1.1 * v for v in POCKET_LATENTS.scale)})


def test_frechet_distance_of_shifted_gaussians_is_the_squared_shift():
    features = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(4000) % 4
    here = demo_evaluation.statistics_of(features, labels)
    there = demo_evaluation.statistics_of(features + torch.tensor([3.0, 0, 4, 0, 0]), labels)
    assert abs(demo_evaluation.frechet(here, there) - 25) <= 1e-9
    assert abs(demo_evaluation.frechet(here, here)) <= 1e-9


@pytest.mark.slow
@needs_drawing
def test_a_short_run_learns_and_its_files_load(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo_classifiers, "BATCH", 16)
    monkeypatch.setattr(demo_data, "draw_all", lambda first, end, processes: np.tile(pictures, (2, 1, 1, 1)))
    words = ["--steps", "8", "--images", "30", "--processes", "1", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["train_demo", *words, "--stage", "classifiers", "denoiser", "export"])
    train_demo.main()
    printed = capsys.readouterr().out
    first, last = map(float, re.findall(r"first steps ([\d.]+), of the last ([\d.]+)", printed)[0])
    assert last < first
    network, metadata = demo_files.read_denoiser(tmp_path / "denoisers" / "pocket-1.safetensors")
    assert metadata["gg.architecture"] == "pocket-unet-1"
    assert network.null_index == 10
    for recipe in demo_classifiers.RECIPES:
        load_classifier(tmp_path / "classifiers" / f"{recipe.name}.safetensors")


def test_other_settings_cannot_overwrite_the_embedded_weights(capsys):
    with pytest.raises(SystemExit):
        train_demo.parsed_options(["--steps", "20", "--stage", "export"])
    assert "give --out FOLDER" in capsys.readouterr().err
