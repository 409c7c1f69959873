"""Text, maps of classes, depth and likeness: values by hand or by torch's own losses, and what must not matter."""

import pytest
import torch

from guidance_geometry.guidance.energies.perception import DepthEnergy, SegmentationEnergy, TextEnergy
from guidance_geometry.guidance.energies.pictures import IGNORED, grey, map_of_colours, map_of_levels, map_of_mask
from guidance_geometry.guidance.energies.protocol import At, judges
from guidance_geometry.guidance.energies.reference import FeatureEnergy, StyleEnergy, gram_matrix
from guidance_geometry.tests.guidance.fake_networks import Depth, Extractor, Segmenter, Towers, weights

X = 0.3 * weights(3, 3, 8, 8)
PLACES = torch.arange(36).reshape(1, 6, 6) % 5 - 1
RAMP = torch.linspace(0, 1, 64, dtype=torch.float64).reshape(1, 8, 8) ** 2


def logits(towers, texts):
    return towers.scale * towers.image_features(X) @ towers.text_features(texts).T


def test_a_text_is_weighed_against_the_alternatives_and_not_against_other_images_texts():
    energy = TextEnergy(Towers(), ("a cat", "a dog"), ("a picture", "noise"))
    for row, text in enumerate(["a cat", "a dog", "a cat"]):
        among = logits(Towers(), [text, "a picture", "noise"])[row]
        assert torch.allclose(energy.log_prob(X)[row], among.log_softmax(dim=0)[0])
    assert energy.text == "a cat; a dog rather than a picture; noise"


def test_sigmoids_stand_each_for_itself():
    found = logits(Towers(), ["a cat", "noise"]) - 3.0
    energy = TextEnergy(Towers(bias=-3.0), ("a cat",), ("noise",))
    for temperature in (4.0, 1.0):
        p = (found / temperature).sigmoid()
        assert torch.allclose(energy.log_prob(X, At(temperature=temperature)).exp(), p[:, 0] * (1 - p[:, 1]))
    assert torch.allclose(TextEnergy(Towers(bias=-3.0), ("a cat",)).log_prob(X).exp(), p[:, 0])


def test_texts_are_read_once_and_temperature_divides_their_logits():
    towers = Towers()
    energy = TextEnergy(towers, ("a cat",), ("noise",))
    warm = energy.log_prob(X, At(temperature=4.0))
    assert torch.allclose(warm, (logits(Towers(), ["a cat", "noise"]) / 4).log_softmax(dim=1)[:, 0])
    energy.log_prob(X)
    assert towers.asked == ["a cat", "noise"]


def test_a_map_is_torchs_cross_entropy_after_the_resize():
    sized = torch.nn.functional.interpolate(Segmenter().logits(X, 0, 1), (6, 6), mode="bilinear")
    loss = torch.nn.functional.cross_entropy(sized, PLACES.expand(3, -1, -1), ignore_index=IGNORED, reduction="none")
    energy = SegmentationEnergy(Segmenter(), PLACES)
    assert torch.allclose(energy.log_prob(X), -loss.flatten(1).sum(dim=1) / (PLACES >= 0).sum())
    assert energy.text == "a map of sky, tree, road, sea"


def test_classes_count_the_same_however_large_they_are():
    wanted = torch.zeros(1, 6, 6, dtype=torch.int64)
    wanted[0, 0, 0], wanted[0, 5] = 2, IGNORED
    found = SegmentationEnergy(Segmenter(), wanted, balanced=True).log_prob(X)
    sized = torch.nn.functional.interpolate(Segmenter().logits(X, 0, 1), (6, 6), mode="bilinear")
    log_p = sized.log_softmax(dim=1)
    sky = log_p[:, 0, :5].flatten(1)[:, 1:].mean(dim=1)
    assert torch.allclose(found, (sky + log_p[:, 2, 0, 0]) / 2)


def test_every_image_has_its_own_map_in_turn():
    two = torch.cat([PLACES, PLACES.flip(2)])
    found = SegmentationEnergy(Segmenter(), two).log_prob(X)
    alone = [SegmentationEnergy(Segmenter(), two[k : k + 1]).log_prob(X)[row] for row, k in enumerate((0, 1, 0))]
    assert torch.allclose(found, torch.stack(alone))


@pytest.mark.parametrize("distance", ["L1", "L2"])
def test_neither_scale_nor_offset_of_a_depth_matters(distance):
    plain = DepthEnergy(Depth(), RAMP, distance=distance).log_prob(X)
    other = DepthEnergy(Depth(scale=7.0, offset=-3.0), 0.2 * RAMP + 5, distance=distance).log_prob(X)
    assert (other - plain).abs().max() <= 1e-5 * plain.abs().max()


def test_depth_by_hand():
    found, wanted = Depth().depth(X[:1]).flatten(), RAMP.flatten()
    found, wanted = ((d - d.mean()) / d.std(correction=0) for d in (found, wanted))
    apart = found - wanted
    assert torch.allclose(DepthEnergy(Depth(), RAMP).log_prob(X[:1]), -apart.abs().mean() / 0.1)
    found = DepthEnergy(Depth(), RAMP, distance="L2").log_prob(X[:1])
    assert torch.allclose(found, -apart.square().mean() / 0.02)
    correlation = torch.corrcoef(torch.stack([Depth().depth(X[:1]).flatten(), RAMP.flatten()]))[0, 1]
    assert torch.allclose(found, (correlation - 1) / 0.01)


@pytest.mark.parametrize("inverse", [True, False])
def test_near_is_near_whichever_way_the_network_counts(inverse):
    same = DepthEnergy(Depth(inverse=inverse), RAMP, near=inverse).log_prob(X)
    turned = DepthEnergy(Depth(inverse=inverse), -RAMP, near=not inverse).log_prob(X)
    assert torch.equal(same, turned)
    assert not torch.allclose(same, DepthEnergy(Depth(inverse=inverse), RAMP, near=not inverse).log_prob(X))


def test_maps_are_drawn_as_masks_grey_levels_or_colours():
    assert float(grey(torch.tensor([[[[0.3, 0.6, 0.9, 0.0]]]]))) == pytest.approx(0.6)
    mask = torch.tensor([[[1.0, 0.6, 0.2]]])
    assert map_of_mask(mask, 2).tolist() == [[[2, 2, IGNORED]]]
    assert map_of_mask(mask, 2, 1).tolist() == [[[2, 2, 1]]]
    levels = torch.tensor([[[[3.0], [255.0], [0.0]]]]) / 255
    assert map_of_levels(levels, 255).tolist() == [[[3, IGNORED, 0]]]
    assert map_of_levels(levels, -1).tolist() == [[[3, 255, 0]]]
    colours = torch.tensor([[[[0.0, 0.05, 1.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.0, 0.5, 0.0]]]])
    assert map_of_colours(colours, [0x0000FF, 0xFF0000, 0x008000], [3, 1, 2]).tolist() == [[[3, 1, IGNORED, 2]]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TextEnergy(Towers(), ()), "A text is empty"),
        (lambda: TextEnergy(Towers(), ("a cat", " ")), "A text is empty"),
        (lambda: TextEnergy(Towers(), ("a cat",)), "there is only one. Add a negative text"),
        (lambda: TextEnergy(Towers(), ("a cat",), kind="maybe"), "unknown"),
        (lambda: SegmentationEnergy(Segmenter(), PLACES + 1), "asks for class 4 but the network has 4"),
        (lambda: SegmentationEnergy(Segmenter(), PLACES * 0 - 1), "A map is empty"),
        (lambda: SegmentationEnergy(Segmenter(), PLACES[:, :3]).log_prob(X), "is 6 x 3 but the picture 8 x 8"),
        (lambda: DepthEnergy(Depth(), RAMP * 0), "is flat"),
        (lambda: DepthEnergy(Depth(), RAMP[:, :4]).log_prob(X), "is 8 x 4 but the picture 8 x 8"),
        (lambda: DepthEnergy(Depth(), RAMP, distance="L3"), "unknown"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


PICTURES = 0.3 * weights(2, 3, 8, 8, seed=3)


def test_features_are_compared_by_their_direction():
    x, energy = 0.3 * weights(3, 3, 8, 8), FeatureEnergy(Extractor(), PICTURES, spread=0.5)
    found = energy.network.features(x)
    cosines = torch.nn.functional.cosine_similarity(found, energy.network.features(PICTURES[[0, 1, 0]]))
    assert torch.allclose(energy.log_prob(x), (cosines - 1) / 0.25)


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


def test_the_judge_is_known_in_every_energy():
    networks = Towers(bias=0.0), Segmenter(), Depth()
    for network in networks:
        network.judge = True
    made = TextEnergy(networks[0], ("a cat",)), SegmentationEnergy(networks[1], PLACES), DepthEnergy(networks[2], RAMP)
    assert [judges(energy) for energy in made] == [[network] for network in networks]
