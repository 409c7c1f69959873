"""Preparing images for a network: nothing on the way may stop the gradient."""

import pytest
import torch

from guidance_geometry.models.classifiers.preprocessing import Preprocessing
from guidance_geometry.tests.classifier_slopes import noise, slope, slope_error


def test_the_size_it_has_is_left_alone():
    x0 = noise((1, 3, 8, 8))
    assert torch.equal(Preprocessing((8, 8), mode="bicubic")(x0), (x0 + 1) / 2 * 2 - 1)


@pytest.mark.parametrize(
    ("mode", "fit"), zip(["bilinear", "bicubic"] * 2, ["crop", "stretch", "cover", "keep"], strict=True)
)
def test_resizing_reaches_every_pixel_with_the_right_slope(mode, fit):
    x0, seen = noise((1, 3, 21, 21)), Preprocessing((7, 7), mode=mode, fit=fit)
    weights = noise((1, 3, 7, 7), 1)
    assert slope_error(lambda x: (seen(x) * weights).sum(), x0) <= 1e-3
    assert (slope(lambda x: (seen(x) * weights).sum(), x0) == 0).sum() == 0


def test_sides_become_divisible_where_any_size_is_read():
    assert Preprocessing(multiple=14).target((100, 5)) == (98, 14)


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (1, 3, 2, 8, 8)])
def test_a_latent_or_a_video_is_refused(shape):
    with pytest.raises(ValueError, match="reads RGB images"):
        Preprocessing()(torch.zeros(shape))


def test_a_contract_that_cannot_be_kept_is_refused():
    for wrong in ({"size": (0, 4)}, {"cut": (0, 4)}, {"std": (1.0, 0.0, 1.0)}, {"mean": (0.5, float("nan"), 0.5)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Preprocessing(**wrong)
