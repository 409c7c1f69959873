"""Energies: values by hand, gradients by finite differences, each item from itself alone."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import mac
from guidance_geometry.guidance import energies
from guidance_geometry.guidance.energies.composition import AugmentedEnergy, CombinedEnergy, MaskedEnergy
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.energies.perception import DepthEnergy, SegmentationEnergy, TextEnergy
from guidance_geometry.guidance.energies.pictures import resize_mask
from guidance_geometry.guidance.energies.protocol import At, PictureEnergy, judges
from guidance_geometry.guidance.energies.reference import (
    ColourEnergy,
    FeatureEnergy,
    MeasuredEnergy,
    SmoothEnergy,
    StyleEnergy,
    TintEnergy,
)
from guidance_geometry.guidance.gradients.estimators import gradient_of, smooth_over_cloud
from guidance_geometry.guidance.vectors import put_beside
from guidance_geometry.tests.classes import made_without
from guidance_geometry.tests.guidance.fake_networks import Depth, Extractor, Segmenter, Towers

LABELS = ("cat", "dog", "robot", "plant")


class Linear:
    """A classifier whose logits are linear in the picture, and how often it was asked."""

    labels: tuple[str, ...] = LABELS
    noise_aware = judge = False

    def __init__(self, scale=1.0):
        self.weight = scale * torch.randn(4, 3 * 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        self.asked = 0

    def logits(self, x, sigma, alpha):
        self.asked += 1
        return x.flatten(1) @ put_beside(self.weight.T, x)


class Judge(Linear):
    judge = True


def pictures(count=3, seed=0):
    return 0.3 * torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PICTURE, MASK = pictures(1, seed=7), torch.arange(64.0).reshape(1, 8, 8) / 63
PLACES = torch.arange(36).reshape(1, 6, 6) % 5 - 1
LABEL = LabelEnergy(Linear(), ((0,), (1, 2), (3,)))
ENERGIES = {
    "label": LABEL,
    "not": LabelEnergy(Linear(), ((0,), (1, 2)), "not label"),
    "joint": LabelEnergy(Linear(), ((2,),), "joint logit"),
    "multi": LabelEnergy(Linear(), ((0, 3),), "multi-label"),
    "product": CombinedEnergy((LABEL, SmoothEnergy()), (2.0, -0.5)),
    "mixture": CombinedEnergy((LABEL, LabelEnergy(Linear(), ((3,),))), (1.0, 3.0), mixture=True),
    "pixels": MeasuredEnergy(PICTURE),
    "inpainting": MeasuredEnergy(PICTURE, MASK),
    "distance": MeasuredEnergy(PICTURE, MASK, 1.0, length=True),
    "super-resolution": MeasuredEnergy(torch.nn.functional.avg_pool2d(PICTURE, 2)),
    "colours": ColourEnergy(PICTURE),
    "mean colour": TintEnergy(PICTURE),
    "mean colour of a region": TintEnergy(PICTURE, MASK),
    "features": FeatureEnergy(Extractor(), PICTURE),
    "style": StyleEnergy(Extractor(), PICTURE),
    "smooth": SmoothEnergy(),
    "text among others": TextEnergy(Towers(), ("a cat", "a dog"), ("a picture",)),
    "text by itself": TextEnergy(Towers(bias=-3.0), ("a cat",), ("a dog",)),
    "cosine": TextEnergy(Towers(), ("a cat",), kind="cosine"),
    "segmentation": SegmentationEnergy(Segmenter(), PLACES),
    "segmentation by class": SegmentationEnergy(Segmenter(), PLACES, balanced=True),
    "depth, L1": DepthEnergy(Depth(), MASK.double() ** 2),
    "depth, L2": DepthEnergy(Depth(inverse=False), MASK.double() ** 2, distance="L2"),
    "views": AugmentedEnergy(LABEL, noise=0.1),
}
TRIED = {type(energy).__name__ for energy in ENERGIES.values()} | {"MaskedEnergy"}  # which holds its gradient back
ENERGIES |= {type(energy).__name__: energy for energy in made_without(TRIED, energies, PictureEnergy)}


@pytest.mark.parametrize("energy", ENERGIES.values(), ids=ENERGIES.keys())
def test_the_gradient_is_that_of_finite_differences(energy):
    x, way = pictures(), pictures(seed=1)
    found = (gradient_of(energy.log_prob, x).shift * way).flatten(1).sum(dim=1)
    by_hand = (energy.log_prob(x + 1e-5 * way) - energy.log_prob(x - 1e-5 * way)) / 2e-5
    assert (found - by_hand).abs().max() <= 1e-6 * by_hand.abs().max().clamp(min=1)
    assert found.abs().min() > 0


@pytest.mark.parametrize("energy", ENERGIES.values(), ids=ENERGIES.keys())
def test_a_device_without_float64_gives_the_same(energy):
    x = pictures().float()
    here = gradient_of(energy.log_prob, x)
    with mac() as device:
        there = gradient_of(energy.log_prob, x.to(device))
        assert there.log_prob.device == there.shift.device == device
    assert torch.allclose(there.log_prob.cpu(), here.log_prob, rtol=1e-4, atol=1e-4)
    assert (there.shift.cpu() - here.shift).abs().max() <= 2e-4 * here.shift.abs().max()


@pytest.mark.parametrize("energy", ENERGIES.values(), ids=ENERGIES.keys())
def test_an_item_alone_is_the_item_in_a_batch(energy):
    x = pictures()
    together = gradient_of(energy.log_prob, x)
    alone = gradient_of(energy.log_prob, x[:1])
    assert (alone.log_prob - together.log_prob[:1]).abs().max() < 1e-9
    assert (alone.shift - together.shift[:1]).abs().max() < 1e-9


def test_labels_by_hand():
    x = pictures(4)
    p = Linear().logits(x, 0, 1).softmax(dim=1)
    assert torch.allclose(LABEL.log_prob(x).exp(), torch.stack([p[0, 0], p[1, 1] + p[1, 2], p[2, 3], p[3, 0]]))
    none = LabelEnergy(Linear(), ((0,), (1, 2), (3,)), "not label")
    assert torch.allclose(none.log_prob(x).exp() + LABEL.log_prob(x).exp(), torch.ones(4, dtype=torch.float64))


def test_energies_of_pictures_by_hand():
    x, apart = pictures(), (pictures() - PICTURE).square()
    half: Any = ENERGIES["super-resolution"]
    small = torch.nn.functional.interpolate(x, (4, 4), mode="bilinear", antialias=True)
    centres = [-1 + (k + 0.5) / 8 for k in range(16)]
    bins = [torch.stack([(-32 * (v - c).square()).exp() for c in centres]) for v in (x, PICTURE)]
    here, wanted = ((each / each.sum(dim=0)).mean(dim=(3, 4)) for each in bins)  # [bins, B, C]
    ramp = (0.3 * torch.arange(8.0)[:, None] + 0.4 * torch.arange(8.0)).expand(2, 3, 8, 8)
    by_hand = {
        MeasuredEnergy(PICTURE, spread=0.2): -apart.mean(dim=(1, 2, 3)) / 0.08,
        MeasuredEnergy(PICTURE, MASK, 0.2): -(apart.mean(dim=1) * MASK).sum(dim=(1, 2)) / MASK.sum() / 0.08,
        MeasuredEnergy(PICTURE, MASK, 0.2, length=True): -(apart * MASK).sum(dim=(1, 2, 3)).sqrt() / 0.2,
        half: -(small - half.reference).square().mean(dim=(1, 2, 3)) / 0.02,
        ColourEnergy(PICTURE, 0.2): -(here - wanted).square().sum(dim=(0, 2)) / 0.08,
        ENERGIES["joint"]: Linear().logits(x, 0, 1)[:, 2],
        ENERGIES["multi"]: (Linear().logits(x, 0, 1) * torch.tensor([1, -1, -1, 1])).sigmoid().log().sum(dim=1),
    }
    for energy, expected in by_hand.items():
        assert torch.allclose(energy.log_prob(x), expected, atol=1e-9), energy.text
    assert torch.allclose(SmoothEnergy(0.2).log_prob(ramp), torch.tensor(-0.5 / 0.2), rtol=1e-5)


def test_a_hopeless_label_still_pulls_and_a_sure_one_is_exact():
    """A gap of hundreds of logits: log(softmax) would be -inf and its gradient nan."""
    x, energy = pictures().float(), LabelEnergy(Linear(scale=300.0), ((0,),))
    found = gradient_of(energy.log_prob, x)
    assert found.log_prob.isfinite().all()
    assert found.shift.isfinite().all()
    assert float(found.log_prob.min()) < -200


def test_temperature_divides_the_logits():
    x = pictures()
    warm = LABEL.log_prob(x, At(temperature=4.0))
    assert torch.allclose(warm, LabelEnergy(Linear(scale=0.25), LABEL.wanted).log_prob(x))


def test_a_mask_keeps_the_value_and_stops_the_gradient_outside():
    x, mask = pictures(), torch.zeros(1, 8, 8)
    mask[:, :, 4:] = 1
    whole, masked = gradient_of(LABEL.log_prob, x), gradient_of(MaskedEnergy(LABEL, mask).log_prob, x)
    assert torch.allclose(masked.log_prob, whole.log_prob)
    assert torch.allclose(masked.shift, whole.shift * mask)


def test_a_mixture_is_satisfied_by_any_of_its_parts():
    x, parts = pictures(), (LABEL, LabelEnergy(Linear(), ((3,),)))
    by_hand = (0.25 * parts[0].log_prob(x).exp() + 0.75 * parts[1].log_prob(x).exp()).log()
    assert torch.allclose(ENERGIES["mixture"].log_prob(x), by_hand)


def test_a_cloud_without_extent_is_the_point():
    x, noise = pictures(), torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(smooth_over_cloud(LABEL.log_prob, noise, 0.0)(x), LABEL.log_prob(x))
    by_hand = torch.stack([LABEL.log_prob(x + 0.5 * eps).exp() for eps in noise]).mean(dim=0).log()
    assert torch.allclose(smooth_over_cloud(LABEL.log_prob, noise, 0.5)(x), by_hand)


@pytest.mark.parametrize("mirror", [False, True])
def test_views_are_the_picture_moved_in_every_direction_and_mirrored(mirror):
    x, seen = pictures(1), []
    viewer: Any = SimpleNamespace(noise_aware=True, log_prob=lambda x, at: seen.append(x) or x.flatten(1).sum(dim=1))
    AugmentedEnergy(viewer, copies=200, shift=1, mirror=mirror).log_prob(x)
    wide = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    moved = [wide[..., i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    every = [*moved, *(v.flip(-1) for v in moved)] if mirror else moved
    assert {next(i for i, v in enumerate(every) if torch.equal(v, view)) for view in seen} == {*range(len(every))}
    noisy = AugmentedEnergy(viewer, copies=1, shift=0, mirror=False, noise=0.1)
    assert (noisy.noise_aware, AugmentedEnergy(viewer).noise_aware) == (False, True)
    noisy.log_prob(x.repeat(2, 1, 1, 1))
    assert float((seen[-1] - x).std()) == pytest.approx(0.1, rel=0.2)
    assert torch.equal(seen[-1][0], seen[-1][1]), "the same for every image"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LabelEnergy(Linear(), ((4,),)), "outside 0 .. 3"),
        (lambda: LabelEnergy(Linear(), ()), "No label"),
        (lambda: LabelEnergy(Linear(), ((0, 1, 2, 3),), "not label"), "no label is left"),
        (lambda: LabelEnergy(Linear(), ((0,),), "maybe"), "unknown"),
        (lambda: CombinedEnergy((LABEL,), (1.0, 2.0)), "Give one to each"),
        (lambda: CombinedEnergy((LABEL,), (-1.0,), mixture=True), "below 0"),
        (lambda: CombinedEnergy((AugmentedEnergy(AugmentedEnergy(LABEL)), AugmentedEnergy(LABEL, 64)), (1, 1)), " 80 "),
        (lambda: MaskedEnergy(LABEL, MASK).log_prob(torch.zeros(2, 3)), "2 axes"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_an_energy_knows_its_judges_and_says_what_it_is():
    both = CombinedEnergy((LABEL, LabelEnergy(Judge(), ((1,),))), (1.0, 1.0))
    assert len(judges(both)) == 1
    assert not judges(LABEL)
    assert repr(MaskedEnergy(LABEL, MASK)) == "Energy((cat; dog or robot; plant) in a mask)"
    x = pictures()
    product = 2 * LABEL.log_prob(x) - 0.5 * SmoothEnergy().log_prob(x)
    assert torch.allclose(ENERGIES["product"].log_prob(x), product)


@pytest.mark.parametrize(
    ("energy", "why"),
    [
        (MaskedEnergy(LABEL, torch.zeros(1, 8, 8)), "its mask is black everywhere"),
        (MaskedEnergy(LABEL, torch.stack([torch.zeros(8, 8), torch.ones(8, 8)])), "1 of its 2 masks is black"),
        (MeasuredEnergy(torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8)), "its mask is black everywhere"),
        (MeasuredEnergy(torch.zeros(1, 3, 8, 8)), ""),
        (TintEnergy(torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8)), "its mask is black everywhere"),
        (CombinedEnergy((LABEL, LABEL), (0.0, 0.0)), "all its weights are 0"),
        (CombinedEnergy((MaskedEnergy(LABEL, torch.zeros(1, 8, 8)), LABEL), (1.0, 1.0)), ""),
        (AugmentedEnergy(CombinedEnergy((LABEL,), (0.0,))), "all its weights are 0"),
        (LABEL, ""),
    ],
)
def test_an_energy_knows_why_it_has_no_gradient(energy, why):
    assert energy.why_zero.startswith(why)
    shift = gradient_of(energy.log_prob, pictures()).shift
    assert bool(why) == bool((shift == 0).flatten(1).all(dim=1).any())


def test_what_several_parts_share_is_asked_once_of_one_picture():
    networks = [Linear(scale) for scale in (1.0, 0.5, 2.0)]
    a, b, c = (LabelEnergy(network, ((0,),)) for network in networks)
    masked = MaskedEnergy(a, MASK)
    left, right = (CombinedEnergy((a, one, masked), (1.0, 2.0, 1.0), mixture=True) for one in (b, c))
    both, x = CombinedEnergy((left, right), (1.0, -0.5)), pictures()
    found, slope = both.log_prob(x), gradient_of(both.log_prob, x).shift
    assert [network.asked for network in networks] == [4, 2, 2], "twice, and a once more within the mask"
    alone = lambda x: left.log_prob(x) - 0.5 * right.log_prob(x)  # noqa: E731
    assert torch.allclose(found, alone(x))
    assert torch.allclose(slope, gradient_of(alone, x).shift)


def test_between_energies_anybody_can_stop():
    networks = [Linear(), Linear(0.5)]
    both = CombinedEnergy(tuple(LabelEnergy(network, ((0,),)) for network in networks), (1.0, 1.0))
    with pytest.raises(ZeroDivisionError):
        both.log_prob(pictures(), At(pause=lambda: 1 / (1 - networks[0].asked)))
    assert [network.asked for network in networks] == [1, 0]


@pytest.mark.parametrize("size", [(8, 16), (16, 8), (8, 8)])
def test_a_mask_of_other_proportions_is_cropped_about_the_middle_and_not_squashed(size):
    """As the host's common_upscale with crop center: a disc stays round."""
    mask = torch.zeros(1, *size)
    top, left = ((side - 4) // 2 for side in size)
    mask[:, top : top + 4, left : left + 4] = 1
    found = resize_mask(mask, torch.zeros(1, 3, 8, 8))
    expected = torch.zeros(8, 8)
    expected[2:6, 2:6] = 1
    assert torch.equal(found[0, 0], expected)
