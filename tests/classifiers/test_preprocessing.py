"""Preparing images for a network: nothing on the way may stop the gradient."""

import pytest
import torch

from guidance_geometry.classifiers.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from guidance_geometry.tests.classifier_slopes import noise, slope, slope_error


def test_values_are_normalised_as_stated():
    x0 = noise((2, 3, 8, 8))
    seen = Preprocessing(None, IMAGENET_MEAN, IMAGENET_STD)(x0)
    for channel in range(3):
        wanted = ((x0[:, channel] + 1) / 2 - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]
        assert (seen[:, channel] - wanted).abs().max() <= 1e-6


def test_the_size_it_has_is_left_alone():
    x0 = noise((1, 3, 8, 8))
    assert torch.equal(Preprocessing((8, 8), mode="bicubic")(x0), (x0 + 1) / 2 * 2 - 1)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("fit", ["crop", "stretch", "cover", "keep"])
def test_resizing_reaches_every_pixel_with_the_right_slope(mode, fit):
    x0, seen = noise((1, 3, 21, 21)), Preprocessing((7, 7), mode=mode, fit=fit)
    weights = noise((1, 3, 7, 7), 1)
    assert slope_error(lambda x: (seen(x) * weights).sum(), x0) <= 1e-3
    assert (slope(lambda x: (seen(x) * weights).sum(), x0) == 0).sum() == 0


def test_values_beyond_black_and_white_keep_their_gradient():
    x0 = (3 * noise((1, 3, 8, 8))).requires_grad_()
    (gradient,) = torch.autograd.grad(Preprocessing((4, 4))(x0).sum(), x0)
    assert (gradient > 0).all()


def test_a_crop_keeps_proportions_and_cuts_the_middle():
    ramp = torch.linspace(-1, 1, 40).expand(1, 3, 20, 40).contiguous()
    cut = Preprocessing((10, 10), fit="crop")(ramp)
    assert (cut.mean(dim=(0, 1, 2)) + cut.mean(dim=(0, 1, 2)).flip(0)).abs().max() <= 1e-5  # the middle, symmetric
    assert cut.max() < 0.6
    stretched = Preprocessing((10, 10), fit="stretch")(ramp)
    assert stretched.max() > 0.9


def test_sides_become_divisible_where_any_size_is_read():
    assert Preprocessing(multiple=14).target((100, 5)) == (98, 14)


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (3, 8, 8), (1, 3, 2, 8, 8)])
def test_a_latent_or_a_video_is_refused(shape):
    with pytest.raises(ValueError, match="reads RGB images"):
        Preprocessing()(torch.zeros(shape))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (0, 4)},
        {"size": (4, 9999)},
        {"mode": "nearest"},
        {"cut": (0, 4)},
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (0.5,)},
        {"mean": (0.5, float("nan"), 0.5)},
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Preprocessing(**wrong)
