"""Rules where their formulas end: nothing to scale, to turn or to compare with, and the ends of half precision."""

import math
from math import inf

import pytest
import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.guidance.rules.energy_preserving import middle_energy
from guidance_geometry.guidance.rules.feedback import Feedback
from guidance_geometry.guidance.rules.power_law import PowerLaw
from guidance_geometry.guidance.rules.spaces import SPACES, view_in
from guidance_geometry.guidance.rules.tangential import leading_direction
from guidance_geometry.guidance.rules.threshold import DynamicThreshold, quantile_of
from guidance_geometry.tests.toys import RUN, draw, guide, items, largest_error, toy


def test_the_robust_energy_forgets_an_outlier():
    v = draw((1, 400), 0)
    spiked = v.clone()
    spiked[0, 7] = 1e4
    assert abs(middle_energy(spiked) / middle_energy(v) - 1) < 0.05


def test_where_nothing_leads_u_stays():
    u, c = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    w, k = leading_direction(u, c)
    assert w.tolist() == [1.0, 1.0]
    assert k.tolist() == [0.0, 0.0]


def test_the_length_stays_below_the_papers_bound_at_any_scale():
    p = toy()
    longest = guide(Angle(90.0), p, 500.0).flatten(1).norm(dim=1) / p.cond.flatten(1).norm(dim=1)
    assert longest.max() <= math.sqrt(2)
    kept = guide(Angle(90.0, keep_norm=True), p, 500.0).flatten(1).norm(dim=1)
    assert torch.allclose(kept, p.cond.flatten(1).norm(dim=1))


@pytest.mark.parametrize("name", ["uncond", "cond"])
def test_a_zero_vector_does_not_turn(name):
    p = toy()
    getattr(p, name)[:] = 0.0
    assert torch.equal(guide(Angle(), p, 7.0), p.cond)


def test_a_straight_angle_and_a_tiny_one_stay_finite():
    p = toy(dtype=torch.float32)
    p.uncond[:] = -p.cond
    assert guide(Angle(), p, 7.0).isfinite().all()
    p.uncond[:] = p.cond * (1 + 1e-6)
    assert (guide(Angle(), p, 7.0) - p.cond).abs().max() < 1e-4


def test_below_scale_one_it_turns_towards_u_and_keeps_the_length_of_c():
    p = toy()
    p.uncond[:] = 2 * (p.cond + 0.1 * p.uncond)  # twice as long, at a small angle
    found = guide(Angle(), p, 0.0)
    lengths = [v.flatten(1).norm(dim=1) for v in (found, p.cond, p.uncond)]
    turned = (found * p.uncond).flatten(1).sum(1) / (lengths[0] * lengths[2])
    before = (p.cond * p.uncond).flatten(1).sum(1) / (lengths[1] * lengths[2])
    assert ((1 - turned) < 1e-3 * (1 - before)).all()
    assert torch.allclose(lengths[0], lengths[1], rtol=0.01)


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


def test_mimicking_the_scale_itself_is_plain_guidance_bit_for_bit():
    p = toy(shape=(2, 3, 4, 5), dtype=torch.float32)
    plain = p.uncond + (p.cond - p.uncond) * 5.0
    assert torch.equal(guide(DynamicThreshold("mimic", mimic_scale=5.0), p, 5.0), plain)
    assert torch.equal(guide(DynamicThreshold("percentile", bound=inf), p, 5.0), plain)
    assert DynamicThreshold("percentile", bound=inf).neutral
    assert DynamicThreshold("mimic", mimic_scale=inf).neutral


def test_the_quantile_is_the_librarys():
    rows = torch.randn(3, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for q in (0.0, 0.33, 0.995, 1.0):
        assert (quantile_of(rows, q) - rows.quantile(q, dim=-1)).abs().max() <= 1e-12


@pytest.mark.parametrize("space", SPACES)
def test_pure_noise_and_no_noise_stay_finite_and_a_factor_of_one_changes_no_bit(space):
    p = toy("flow", dtype=torch.float16)
    assert torch.equal(view_in(space, p).rescale(p.cond, torch.ones(2, dtype=torch.float64)), p.cond)
    p.sigma[:], p.alpha[:] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert view_in(space, p).rescale(p.cond, torch.tensor([1.0, 0.5])).isfinite().all()


def test_the_scale_of_feedback_lies_between_one_and_the_samplers():
    chain = Chain((Feedback(),))
    state = chain.init(RUN)
    assert torch.equal(chain.step(state, toy(), 1.0)[0], toy().cond)
    assert torch.equal(chain.step(state, toy(), 0.0)[0], toy().uncond)
    for seed in range(4):
        p = toy(seed=seed)
        guided, state = chain.step(state, p, 1.5)
        scale = (guided - p.uncond).norm() / (p.cond - p.uncond).norm()
        assert 1.0 <= scale <= 1.5 + 1e-9


def test_the_cap_of_a_projection_does_not_depend_on_the_resolution():
    for side in (4, 64):
        p = toy(shape=(2, 3, side, side))
        found = guide(AdaptiveProjected(1.0, 0.1, 0.0), p, 2.0)
        assert float((found - p.cond).square().mean().sqrt()) == pytest.approx(0.1)
