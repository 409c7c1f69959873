"""Files that must never be loaded: refused by their content, with a reason, and nothing in them is run."""

import json

import pytest
import torch

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.models.classifiers.networks import SmallNoisy
from guidance_geometry.models.classifiers.reading import open_classifier
from guidance_geometry.models.classifiers.wired import CleanClassifier, NoisyClassifier
from guidance_geometry.tests.classifier_files import CLASSIFIERS, stored
from guidance_geometry.tests.classifier_slopes import noise, open_as


@pytest.mark.parametrize(
    ("weights", "notes", "message"),
    [
        ({"model.diffusion_model.x": torch.zeros(1)}, {}, r"net.* is not a known classifier; its first .* is 'model\."),
        ({"weight": torch.full((2, 2), torch.inf)}, {}, "holds nan or inf"),
        ({"w": torch.zeros(1)}, {"gg.format": "guidance-geometry/trace"}, "is a 'guidance-geometry/trace'"),
    ],
)
def test_a_file_that_is_no_classifier_is_named(tmp_path, weights, notes, message):
    write_safetensors(tmp_path / "net.safetensors", weights, notes)
    with pytest.raises(ValueError, match=message):
        open_classifier(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("name", "kind", "judge"),
    [
        ("clean", CleanClassifier, False),
        ("noisy", NoisyClassifier, False),
        ("judge", CleanClassifier, True),
    ],
)
def test_the_packs_own_say_what_they_are(name, kind, judge):
    guide = open_classifier(CLASSIFIERS / f"pocket-{name}-1.safetensors")
    assert type(guide) is kind
    assert (guide.judge, len(guide.labels), guide.output) == (judge, 10, "labels")
    assert guide.noise_aware == (kind is NoisyClassifier)


def test_the_clean_one_sees_its_own_pixels_unchanged():
    guide = open_as(CLASSIFIERS / "pocket-clean-1.safetensors", CleanClassifier)
    x0 = 2 * noise((2, 3, 32, 32))
    assert (guide.logits(x0) - guide.network(x0)).abs().max() <= 1e-4


def test_the_noisy_one_changes_coordinates_itself():
    guide = open_as(CLASSIFIERS / "pocket-noisy-1.safetensors", NoisyClassifier)
    x = noise((2, 3, 32, 32)).requires_grad_()
    flow = guide.logits(x, 0.75, 0.25)
    assert (flow - guide.network(x / 0.25, torch.full((2,), 3.0))).abs().max() <= 1e-5
    (gradient,) = torch.autograd.grad(flow[:, 0].sum(), x)
    (inner,) = torch.autograd.grad(guide.logits(x / 0.25, 3.0)[:, 0].sum(), x)
    assert (gradient - inner).abs().max() <= 1e-5 * inner.abs().max()
    assert guide.logits(x, 0.0).isfinite().all()  # told at least the smallest level it was trained on


@pytest.mark.parametrize(("key", "value"), [("image_size", "many"), ("sigma_min", "nan"), ("channels", "4097")])
def test_numbers_that_are_none_or_too_large_are_named(tmp_path, key, value):
    path = stored(tmp_path, "pocket-noisy-1", {key: value})
    with pytest.raises(ValueError, match=rf"pocket-noisy-1\.safetensors: gg\.{key} is '{value}'"):
        open_classifier(path)


def test_a_network_larger_than_its_weights_is_refused_before_it_is_made(tmp_path):
    """It would need 60 TB."""
    config = {"labels": 4, "width": 1 << 20}
    weights = SmallNoisy(4, width=8).state_dict()
    said = {"architecture": "small-noisy-1", "config": json.dumps(config), "role": "noise-aware"}
    path = stored(tmp_path, "pocket-noisy-1", said, weights=weights)
    with pytest.raises(ValueError, match=r"is \(16,\) but \(2097152,\) is needed"):
        open_classifier(path)
