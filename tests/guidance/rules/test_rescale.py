import pytest
import torch

from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.spaces import SPACES
from guidance_geometry.tests.toys import FAMILIES, SHAPES, guide, items, largest_error, output, toy, x0_of


def deviation(v):
    mean = sum(v.tolist()) / len(v)
    return (sum((e - mean) ** 2 for e in v.tolist()) / len(v)) ** 0.5


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("phi", "gamma"), [(0.7, 7.5), (1.0, 3.0), (0.3, 0.0)])
def test_the_output_gets_the_deviation_of_the_conditional_one(family, space, shape, phi, gamma):
    p = toy(family, shape)
    expected = []
    for item in items(p):
        o_u, o_c = (output(space, family, item[name], item) for name in "uc")
        o_g = o_u + gamma * (o_c - o_u)
        o = phi * o_g * deviation(o_c) / deviation(o_g) + (1 - phi) * o_g
        expected.append(x0_of(space, family, o, item))
    assert largest_error(guide(Rescale(phi, space), p, gamma), expected) < 1e-12


def test_on_flow_the_full_rescale_keeps_the_contrast_of_the_image():
    p = toy("flow")
    guided = guide(Rescale(1.0, "x0"), p, 7.5)
    assert torch.allclose(guided.flatten(1).std(dim=1), p.cond.flatten(1).std(dim=1), rtol=1e-12)


def test_phi_zero_is_plain():
    p = toy()
    assert Rescale(0.0).neutral
    assert torch.equal(guide(Rescale(0.0), p, 4.0), p.uncond + (p.cond - p.uncond) * 4.0)


def test_a_flat_prediction_has_no_contrast_to_scale():
    p = toy()
    p.cond[:], p.uncond[:] = 0.5, 0.25
    assert torch.allclose(guide(Rescale(1.0, "x0"), p, 3.0), torch.full_like(p.cond, 1.0))
