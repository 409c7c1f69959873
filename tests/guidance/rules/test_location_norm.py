import math

import pytest
import torch

from guidance_geometry.guidance.rules.location_norm import LocationNorm
from guidance_geometry.guidance.rules.spaces import SPACES
from guidance_geometry.tests.toys import FAMILIES, SHAPES, guide, items, largest_error, output, toy, x0_of


def by_location(o_c, o_g, channels, strength, match):
    """Every place in turn: the channels of both outputs there, and the guided ones scaled."""
    c, g = o_c.reshape(channels, -1), o_g.reshape(channels, -1).clone()
    for place in range(c.shape[1]):
        ratio = math.hypot(*c[:, place].tolist()) / math.hypot(*g[:, place].tolist())
        g[:, place] *= 1 + strength * ((ratio if match else min(1, ratio)) - 1)
    return g.flatten()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("strength", "match"), [(1.0, False), (1.0, True), (0.4, False)])
def test_the_channels_of_every_place_are_scaled(family, space, shape, strength, match):
    p = toy(family, shape)
    expected = []
    for item in items(p):
        o_u, o_c = (output(space, family, item[name], item) for name in "uc")
        o = by_location(o_c, o_u + 5.0 * (o_c - o_u), shape[1], strength, match)
        expected.append(x0_of(space, family, o, item))
    assert largest_error(guide(LocationNorm(strength, match, space), p, 5.0), expected) < 1e-12


def test_strength_zero_is_plain():
    p = toy()
    assert LocationNorm(0.0).neutral
    assert torch.equal(guide(LocationNorm(0.0), p, 4.0), p.uncond + (p.cond - p.uncond) * 4.0)


def test_a_place_without_length_stays_as_it_is():
    p = toy()
    p.cond[..., 0], p.uncond[..., 0] = 0.0, 0.0
    guided = guide(LocationNorm(match=True), p, 4.0)
    assert guided.isfinite().all()
    assert torch.equal(guided[..., 0], torch.zeros_like(guided[..., 0]))
