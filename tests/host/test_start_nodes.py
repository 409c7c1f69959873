import os
from pathlib import Path

import pytest
import torch

from guidance_geometry.host.models.native_model import card_of
from guidance_geometry.models.denoisers.reading import read_denoiser
from guidance_geometry.nodes import start
from guidance_geometry.tests.tiny_denoiser import LABELS, write_tiny


@pytest.fixture
def folder(denoisers):
    """A folder in which one tiny denoiser lies."""
    write_tiny(denoisers / "tiny.safetensors")
    return denoisers


def load(name="tiny.safetensors", parametrisation="auto", schedule="auto", weight_dtype="default"):
    return start.GGLoadDenoiser.execute(name, parametrisation, schedule, weight_dtype).args


@pytest.fixture
def model(folder):
    return load()[0]


def test_the_loader_gives_model_pixels_and_labels(folder):
    model, vae, labels = load()
    assert labels.split("\n") == list(LABELS)
    card = card_of(model)
    assert card is not None
    assert card.sha256 == read_denoiser(folder / "tiny.safetensors").spec.sha256
    pixels = torch.rand(2, 16, 16, 3)
    latent = vae.encode(pixels)
    assert (latent - (pixels * 2 - 1).movedim(-1, 1)).abs().max() < 1e-6
    assert (vae.decode(latent) - pixels).abs().max() < 1e-6


def test_user_files_are_listed_and_a_changed_one_changes_the_fingerprint(folder):
    (folder / "old.ckpt").write_bytes(b"no")
    (folder / "sub").mkdir()
    write_tiny(folder / "sub" / "other.safetensors")
    listed = start.available()
    assert {"tiny.safetensors", str(Path("sub") / "other.safetensors")} <= {*listed}
    assert not any("ckpt" in name for name in listed)
    fingerprint = start.GGLoadDenoiser.fingerprint_inputs
    before = fingerprint(denoiser_name="tiny.safetensors", schedule="auto")
    assert before == fingerprint(denoiser_name="tiny.safetensors")
    os.utime(folder / "tiny.safetensors", ns=(1, 1))
    assert before != fingerprint(denoiser_name="tiny.safetensors")
    assert fingerprint(denoiser_name=None) is None


@pytest.mark.parametrize("name", ["nothing", "../../tiny.safetensors", "/etc/passwd", ""])
def test_a_missing_file_says_what_there_is(folder, name):
    said = start.GGLoadDenoiser.validate_inputs(name)
    assert f"Denoiser {name!r} was not found. Available: " in said
    assert "tiny.safetensors" in said
    with pytest.raises(ValueError, match="was not found"):
        load(name)


def test_labels_become_one_entry_with_one_label_per_image(model):
    positive, negative = start.GGClassLabel.execute(model, "robot; 0\ncat").args
    assert all(torch.is_tensor(text) for text, _ in (*positive, *negative)), "as nodes that copy a text expect"
    assert torch.equal(positive[0][1]["class_label"], torch.tensor([2, 0, 3]))
    assert torch.equal(negative[0][1]["class_label"], torch.tensor([4]))
    every = start.GGClassLabel.execute(model, "\n".join(LABELS))[0]
    assert every[0][1]["class_label"].tolist() == [0, 1, 2, 3], "the loader's labels are one image of each"


class TextModel:
    model = object()


@pytest.mark.parametrize(
    ("node", "other", "given", "message"),
    [
        (start.GGClassLabel, None, ("robt",), r"'robt' is not one of the model's 4 labels\. Nearest: 'robot'"),
        (start.GGClassLabel, TextModel, ("0",), "no class labels.*use CLIP Text Encode"),
        (start.GGEmptyCanvas, TextModel, (0, 0, 1), "no native size"),
        (start.GGEmptyCanvas, None, (30, 0, 1), "needs sides divisible by 8"),
        (start.GGEmptyCanvas, None, (16384, 16384, 4096), "at most 1,073,741,824"),
    ],
)
def test_what_a_model_does_not_know_is_an_error_on_the_node(model, node, other, given, message):
    with pytest.raises(ValueError, match=message):
        node.execute(other() if other else model, *given)


def test_the_canvas_has_the_models_size(model):
    for width, height, sides in ((0, 0, (16, 16)), (24, 0, (16, 24)), (0, 32, (32, 16)), (8, 8, (8, 8))):
        latent = start.GGEmptyCanvas.execute(model, width, height, 3).args[0]
        assert latent["samples"].shape == (3, 3, *sides)
        assert latent["samples"].count_nonzero() == 0
        assert latent["downscale_ratio_spacial"] == 1
