import pytest
import torch

from guidance_geometry.guidance.rules.spaces import SPACES, view_in
from guidance_geometry.tests.toys import FAMILIES, SHAPES, items, largest_error, output, toy, x0_of


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_vector_is_the_output_up_to_a_factor_per_item(space, family, shape):
    p = toy(family, shape)
    for found, item in zip(view_in(space, p).outputs(p.cond)[0].flatten(1), items(p), strict=True):
        expected = output(space, family, item["c"], item)
        factor = found[0] / expected[0]
        assert (found - factor * expected).abs().max() < 1e-13


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("space", SPACES)
def test_scaling_scales_the_output(space, family):
    p, factor = toy(family), torch.tensor([0.3, 1.7], dtype=torch.float64)
    expected = [
        x0_of(space, family, f * output(space, family, item["c"], item), item)
        for f, item in zip(factor.tolist(), items(p), strict=True)
    ]
    assert largest_error(view_in(space, p).rescale(p.cond, factor), expected) < 1e-14


@pytest.mark.parametrize("space", SPACES)
def test_pure_noise_and_no_noise_stay_finite(space):
    p = toy("flow")
    p.sigma[:], p.alpha[:] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert view_in(space, p).rescale(p.cond, torch.tensor([1.0, 0.5])).isfinite().all()


def test_a_factor_of_one_changes_no_bit():
    p = toy("ve", dtype=torch.float16)
    for space in SPACES:
        assert torch.equal(view_in(space, p).rescale(p.cond, torch.ones(2, dtype=torch.float64)), p.cond)
