"""Likeness to a reference as a network sees it: features by hand, style wherever it is."""

import torch

from guidance_geometry.guidance.energies.reference import FeatureEnergy, StyleEnergy, gram_matrix
from guidance_geometry.tests.guidance.fake_networks import Extractor, weights

PICTURES = 0.3 * weights(2, 3, 8, 8, seed=3)


def test_features_are_compared_by_their_direction():
    x, energy = 0.3 * weights(3, 3, 8, 8), FeatureEnergy(Extractor(), PICTURES, spread=0.5)
    found = energy.network.features(x)
    cosines = torch.nn.functional.cosine_similarity(found, energy.network.features(PICTURES[[0, 1, 0]]))
    assert torch.allclose(energy.log_prob(x), (cosines - 1) / 0.25)


def test_a_reference_is_its_own_likeness():
    for kind in (FeatureEnergy, StyleEnergy):
        assert kind(Extractor(), PICTURES).log_prob(PICTURES).abs().max() < 1e-20


def test_a_gram_matrix_does_not_care_where_features_are():
    maps = weights(2, 4, 5, 5)
    moved = maps.flatten(2)[..., torch.randperm(25, generator=torch.Generator().manual_seed(0))].reshape(maps.shape)
    assert torch.allclose(gram_matrix(moved), gram_matrix(maps))
    by_hand = torch.einsum("bihw,bjhw->bij", maps, maps) / 100
    assert torch.allclose(gram_matrix(maps), by_hand)


def test_every_layer_of_a_style_counts_relative_to_the_references():
    x, energy = 0.3 * weights(2, 3, 8, 8), StyleEnergy(Extractor(), PICTURES, spread=0.5)
    wanted = torch.zeros(())
    for found, aim in zip(energy.network.maps(x), energy.network.maps(PICTURES), strict=True):
        apart = (gram_matrix(found) - gram_matrix(aim)).norm(dim=(1, 2)) / gram_matrix(aim).norm(dim=(1, 2))
        wanted = wanted - apart**2 / 4 / 0.25
    assert torch.allclose(energy.log_prob(x), wanted)


def test_what_is_wanted_is_asked_of_the_network_once_and_carries_a_gradient_under_inference_mode():
    with torch.inference_mode():
        energies = [kind(Extractor(), PICTURES) for kind in (FeatureEnergy, StyleEnergy)]
    for energy in energies:
        x = (0.3 * weights(1, 3, 8, 8)).requires_grad_()
        (gradient,) = torch.autograd.grad(energy.log_prob(x).sum(), x)
        assert gradient.abs().max() > 0
