import pytest
import torch

from guidance_geometry.guidance.rules.spaces import SPACES
from guidance_geometry.guidance.rules.tangential import Tangential, leading_direction
from guidance_geometry.tests.toys import FAMILIES, SHAPES, guide, items, largest_error, output, toy, x0_of


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("gamma", [0.0, 1.0, 6.0])
def test_u_is_projected_on_the_first_singular_vector(family, space, shape, gamma):
    p = toy(family, shape)
    expected = []
    for item in items(p):
        o_u, o_c = (output(space, family, item[name], item) for name in "uc")
        leading = torch.linalg.svd(torch.stack([o_u, o_c]), full_matrices=False).Vh[0]
        damped = leading * (o_u @ leading)
        expected.append(x0_of(space, family, damped + gamma * (o_c - damped), item))
    assert largest_error(guide(Tangential(space), p, gamma), expected) < 1e-12


def test_equal_predictions_stay():
    p = toy()
    p.uncond[:] = p.cond
    assert (guide(Tangential(), p, 6.0) - p.cond).abs().max() < 1e-14


def test_where_nothing_leads_u_stays():
    u, c = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    w, k = leading_direction(u, c)
    assert w.tolist() == [1.0, 1.0]
    assert k.tolist() == [0.0, 0.0]
