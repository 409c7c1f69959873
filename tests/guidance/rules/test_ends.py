"""Rules where their formulas end: nothing to scale, to turn or to compare with, and the ends of half precision."""

import math
from math import inf

import pytest
import torch

from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.guidance.rules.energy_preserving import EnergyPreserving, middle_energy
from guidance_geometry.guidance.rules.location_norm import LocationNorm
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.guidance.rules.power_law import PowerLaw
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.tangential import leading_direction
from guidance_geometry.guidance.rules.tangential_amplify import TangentialAmplify
from guidance_geometry.guidance.rules.threshold import DynamicThreshold, quantile_of
from guidance_geometry.tests.toys import draw, guide, items, largest_error, toy


def test_the_robust_energy_forgets_an_outlier():
    v = draw((1, 400), 0)
    spiked = v.clone()
    spiked[0, 7] = 1e4
    assert abs(middle_energy(spiked) / middle_energy(v) - 1) < 0.05


def test_zero_predictions_stay_zero():
    p = toy()
    p.cond[:], p.uncond[:] = 0.0, 0.0
    assert torch.equal(guide(EnergyPreserving(space="x0"), p, 3.0), torch.zeros_like(p.cond))


def test_a_place_without_length_stays_as_it_is():
    p = toy()
    p.cond[..., 0], p.uncond[..., 0] = 0.0, 0.0
    guided = guide(LocationNorm(match=True), p, 4.0)
    assert guided.isfinite().all()
    assert torch.equal(guided[..., 0], torch.zeros_like(guided[..., 0]))


def test_without_the_empty_prompt_it_is_plain_guidance():
    p = toy()
    assert largest_error(guide(PerpNeg("e"), p, 4.0), list(p.uncond + 4.0 * (p.cond - p.uncond))) < 1e-14


def test_on_flow_the_full_rescale_keeps_the_contrast_of_the_image():
    p = toy("flow")
    guided = guide(Rescale(1.0, "x0"), p, 7.5)
    assert torch.allclose(guided.flatten(1).std(dim=1), p.cond.flatten(1).std(dim=1), rtol=1e-12)


def test_a_flat_prediction_has_no_contrast_to_scale():
    p = toy()
    p.cond[:], p.uncond[:] = 0.5, 0.25
    assert torch.allclose(guide(Rescale(1.0, "x0"), p, 3.0), torch.full_like(p.cond, 1.0))


def test_where_nothing_leads_u_stays():
    u, c = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    w, k = leading_direction(u, c)
    assert w.tolist() == [1.0, 1.0]
    assert k.tolist() == [0.0, 0.0]


def test_at_a_zero_sample_everything_is_across():
    p = toy()
    p.x[:] = 0.0
    assert torch.allclose(guide(TangentialAmplify(1.5), p, 2.0), 1.5 * (2 * p.cond - p.uncond))


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


def test_mimicking_the_scale_itself_is_plain_guidance_bit_for_bit():
    p = toy(shape=(2, 3, 4, 5), dtype=torch.float32)
    plain = p.uncond + (p.cond - p.uncond) * 5.0
    assert torch.equal(guide(DynamicThreshold("mimic", mimic_scale=5.0), p, 5.0), plain)
    assert torch.equal(guide(DynamicThreshold("percentile", bound=inf), p, 5.0), plain)
    assert DynamicThreshold("percentile", bound=inf).neutral
    assert DynamicThreshold("mimic", mimic_scale=inf).neutral


@pytest.mark.parametrize("method", ["percentile", "mimic"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_constant_and_half_precision_predictions_stay_finite(method, dtype):
    p = toy(shape=(2, 3, 4, 5), dtype=dtype)
    flat = Predictions(p.x, p.sigma, p.alpha, torch.zeros_like(p.x), torch.zeros_like(p.x))
    for one in (p, flat):
        found = guide(DynamicThreshold(method), one, 7.0)
        assert found.dtype == dtype
        assert found.isfinite().all()


def test_the_quantile_is_the_librarys():
    rows = torch.randn(3, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for q in (0.0, 0.33, 0.995, 1.0):
        assert (quantile_of(rows, q) - rows.quantile(q, dim=-1)).abs().max() <= 1e-12
