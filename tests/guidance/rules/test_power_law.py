import pytest
import torch

from guidance_geometry.guidance.rules.power_law import PowerLaw
from guidance_geometry.tests.toys import guide, items, largest_error, toy


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_holds_what_the_formula_gives_at_low_noise(dtype):
    """The stretched difference lies beyond half precision, and the result does not."""
    p, gamma, expected = toy(dtype=dtype), 1.05, []
    sigma = torch.full((2,), 0.003, dtype=torch.float64)
    p = type(p)(p.x, sigma, torch.ones_like(sigma), p.uncond, p.cond)
    for item in items(p):
        delta = item["c"] - item["u"]
        factor = (delta.norm() / 0.003**2) ** 0.9
        assert factor * delta.abs().max() > torch.finfo(torch.float16).max
        expected.append(item["c"] + (gamma - 1) * factor * delta)
    found = guide(PowerLaw(0.9), p, gamma)
    assert found.dtype == dtype
    assert largest_error(found, expected) <= 2 * torch.finfo(dtype).eps


def test_a_result_beyond_half_precision_is_its_largest_number():
    p = toy(dtype=torch.float16)
    sigma = torch.full((2,), 0.003, dtype=torch.float64)
    p = type(p)(p.x, sigma, torch.ones_like(sigma), p.uncond, p.cond)
    found = guide(PowerLaw(0.9), p, 7.5)
    assert found.isfinite().all()
    assert found.abs().max() == torch.finfo(torch.float16).max


@pytest.mark.parametrize("power", [-0.5, 0.9])
def test_no_difference_is_cond(power):
    p = toy()
    same = type(p)(p.x, p.sigma, p.alpha, p.cond, p.cond)
    assert torch.equal(guide(PowerLaw(power), same, 5.0), p.cond)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_the_ends_of_a_flow_schedule_are_finite(level):
    p = toy("flow")
    sigma = torch.full((2,), level, dtype=torch.float64)
    assert guide(PowerLaw(), type(p)(p.x, sigma, 1 - sigma, p.uncond, p.cond), 5.0).isfinite().all()
