"""Energies of real networks of every family: a true slope, and each picture from itself alone."""

import pytest
import torch

from guidance_geometry.classifiers.reading import open_classifier
from guidance_geometry.classifiers.wired import CleanClassifier
from guidance_geometry.dev.fixtures.tiny_folders import save_tiny
from guidance_geometry.guidance.energies.perception import DepthEnergy, SegmentationEnergy, TextEnergy
from guidance_geometry.guidance.energies.reference import FeatureEnergy, StyleEnergy
from guidance_geometry.guidance.gradients.estimators import gradient_of
from guidance_geometry.tests.classifier_files import CLASSIFIERS
from guidance_geometry.tests.classifier_slopes import noise, open_as, slope_error

pytest.importorskip("transformers", reason="transformers comes with the host")
RAMP = torch.linspace(0, 1, 40 * 40).reshape(1, 40, 40)
PLACES = (torch.arange(40 * 40) // 320 % 3).reshape(1, 40, 40)
REFERENCE = 0.5 * noise((1, 3, 48, 48), seed=5)
ENERGIES = {
    "clip": lambda guide: TextEnergy(guide, ("a photo of a cat",), ("a dog", "a photo")),
    "siglip": lambda guide: TextEnergy(guide, ("a photo of a cat",), ("a dog",)),
    "segformer": lambda guide: SegmentationEnergy(guide, PLACES, balanced=True),
    "depth_anything": lambda guide: DepthEnergy(guide, RAMP, distance="L2", spread=1.0),
    "dino": lambda guide: FeatureEnergy(guide, REFERENCE, spread=1.0),
}


@pytest.mark.parametrize("kind", ENERGIES)
def test_an_energy_of_a_folder_has_a_true_slope_and_no_neighbours(tmp_path, kind):
    save_tiny(tmp_path, kind)
    with torch.inference_mode():
        energy = ENERGIES[kind](open_classifier(tmp_path))
    check(energy, 0.5 * noise((2, 3, 40, 40)))


def test_a_style_of_the_demos_own_network():
    guide = open_as(CLASSIFIERS / "pocket-clean-1.safetensors", CleanClassifier)
    energy = StyleEnergy(guide, REFERENCE, spread=1.0)
    assert [tuple(each.shape[1:]) for each in energy.wanted] == [(24, 24), (48, 48), (96, 96), (96, 96)]
    check(energy, 0.5 * noise((2, 3, 32, 32)))


def check(energy, x):
    """Slope against finite differences, and the first of two pictures against itself alone."""
    assert slope_error(energy.log_prob, x[:1], 1e-2) <= 1e-2
    both, alone = gradient_of(energy.log_prob, x), gradient_of(energy.log_prob, x[:1])
    assert (both.log_prob[0] - alone.log_prob[0]).abs() <= 1e-5 * alone.log_prob.abs()
    assert (both.shift[0] - alone.shift[0]).abs().max() <= 1e-5 * alone.shift.abs().max()
