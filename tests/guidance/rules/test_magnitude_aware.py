import math

import pytest
import torch

from guidance_geometry.guidance.rules.magnitude_aware import MagnitudeAware
from guidance_geometry.tests.toys import FAMILIES, SHAPES, guide, items, largest_error, output, toy


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", SHAPES, ids=["audio", "image", "video"])
@pytest.mark.parametrize("space", ["x0", "epsilon", "v", "ode"])
def test_the_scale_falls_with_the_ratio_of_output_lengths(family, shape, space):
    p, gamma, expected = toy(family, shape), 10.0, []
    for item in items(p):
        c, u = (output(space, family, item[k], item) for k in "cu")
        factor = math.exp(-8 * float((c - u).norm() / u.norm()))
        expected.append(item["u"] + (1 + (gamma - 1) * factor) * (item["c"] - item["u"]))
    assert largest_error(guide(MagnitudeAware(8.0, space), p, gamma), expected) <= 1e-6


def test_no_damping_is_plain_guidance_and_no_difference_is_cond():
    p = toy()
    assert MagnitudeAware(0.0).neutral
    assert torch.equal(guide(MagnitudeAware(0.0), p, 5.0), p.uncond + (p.cond - p.uncond) * 5.0)
    for u in (p.cond, torch.zeros_like(p.cond)):
        flat = type(p)(p.x, p.sigma, p.alpha, u, u)
        assert torch.equal(guide(MagnitudeAware(8.0, "x0"), flat, 5.0), u)
