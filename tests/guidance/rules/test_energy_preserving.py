import math

import pytest
import torch

from guidance_geometry.guidance.rules.energy_preserving import EnergyPreserving, middle_energy
from guidance_geometry.guidance.rules.spaces import SPACES
from guidance_geometry.tests.toys import FAMILIES, SHAPES, draw, guide, items, largest_error, output, toy, x0_of


def energy(v, robust):
    squares = sorted(e * e for e in v.tolist())
    if robust:
        low, high = (percentile(squares, q) for q in (0.45, 0.55))
        squares = [e for e in squares if low <= e <= high]
    return math.fsum(squares)


def percentile(ordered, q):
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("robust", [False, True], ids=["sum", "robust"])
def test_the_output_gets_the_energy_of_the_conditional_one(family, space, shape, robust):
    p = toy(family, shape)
    expected = []
    for item in items(p):
        o_u, o_c = (output(space, family, item[name], item) for name in "uc")
        o_g = o_u + 6.0 * (o_c - o_u)
        o = o_g * math.sqrt(energy(o_c, robust) / energy(o_g, robust))
        expected.append(x0_of(space, family, o, item))
    assert largest_error(guide(EnergyPreserving(robust, space), p, 6.0), expected) < 1e-12


def test_the_robust_energy_forgets_an_outlier():
    v = draw((1, 400), 0)
    spiked = v.clone()
    spiked[0, 7] = 1e4
    assert abs(middle_energy(spiked) / middle_energy(v) - 1) < 0.05


def test_zero_predictions_stay_zero():
    p = toy()
    p.cond[:], p.uncond[:] = 0.0, 0.0
    assert torch.equal(guide(EnergyPreserving(space="x0"), p, 3.0), torch.zeros_like(p.cond))
