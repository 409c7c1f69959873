"""Where guidance matters: the proxies follow from vectors, and the interval is the shortest one."""

import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.gram import VECTORS, GramRecord, gram
from guidance_geometry.trace.places import places_of
from guidance_geometry.trace.pushes import GUIDANCE, contraction, interval, push, push_shares, shares


def test_the_push_is_what_the_scale_beyond_one_moved():
    draws = torch.Generator().manual_seed(1)
    vectors = {name: torch.randn(3, 2, 5, generator=draws, dtype=torch.float64) for name in VECTORS}
    guided = vectors["u"] + 2.5 * vectors["delta"] + vectors["D-G"]
    beyond = 0.3 * (guided - vectors["u"] - vectors["delta"])
    found = push(GramRecord(VECTORS, gram(vectors)), 2.5, -0.3)
    assert torch.allclose(found, beyond.flatten(1).norm(dim=1), rtol=1e-12)


def test_the_contraction_is_how_a_gaussian_world_forgets():
    sigma, alpha = torch.tensor([0.3, 0.5]).double(), torch.tensor([1.0, 0.5]).double()
    assert torch.allclose(contraction(sigma, alpha, 0.4, False)[0], torch.tensor(0.8).double())
    assert torch.allclose(contraction(sigma, alpha, 0.4, True)[0], torch.tensor(0.64).double())
    assert torch.allclose(contraction(sigma, alpha, 0.4, False)[1], torch.tensor(0.4 / math.hypot(0.2, 0.5)).double())
    assert contraction(sigma, alpha, None, True).isnan().all()
    assert contraction(sigma, alpha, 1e308, True).isnan().all(), "and no fault where nothing can be told"


def test_shares_sum_to_one_and_leave_the_unknown_out():
    found = shares(torch.tensor([[1.0, 0.0], [3.0, 0.0], [math.nan, 0.0]]).double())
    assert torch.allclose(found[:2, 0], torch.tensor([0.25, 0.75]).double())
    assert found[2, 0].isnan()
    assert found[:, 1].eq(0).all()


def test_the_interval_is_the_shortest_that_holds_80_percent():
    row = torch.tensor([0.1, 0.5, 0.35, 0.05]).double()
    assert interval(row, row) == (1, 2)
    assert interval(row, torch.full_like(row, math.nan)) == (1, 2)
    assert interval(0 * row, 0 * row) is None


@pytest.mark.parametrize(("scale", "beyond"), [(3.0, 2 / 0.8), (math.nan, 3.0)])
def test_a_push_is_shared_out_by_the_lengths_of_what_made_it(scale, beyond):
    """cfg and rules moved D - c by its scale and its share across, or where these are unknown by all of D - c."""
    trace, one = exact_trace(4.0, batch=2, steps=3, capture=False), torch.ones(3, 2, dtype=torch.float64)
    passes = {"evals PAG": torch.tensor([1.0, 1.0, 0.0]).double(), "scale PAG": -2 * one[:, 0], "pass PAG": 0.1 * one}
    columns = {**trace.steps, **passes, "gamma_eff": scale * one, "across": 0.36 * one}
    kappa, delta = trace.steps["kappa"].abs()[:, None], trace.record.dot("delta", "delta").sqrt()
    guided = float((kappa * beyond * delta).sum())
    made = float((kappa * 0.2 * 3072**0.5 * one)[:2].sum())
    expected = {GUIDANCE: guided / (guided + made), "PAG": made / (guided + made)}
    assert push_shares(replace(trace, steps=columns)) == pytest.approx(expected, rel=1e-6)
    assert push_shares(trace) == {GUIDANCE: 1.0}
    assert push_shares(exact_trace(1.0, batch=2, steps=3, capture=False)) == {}


def test_what_goes_across_the_difference_leaves_the_plane_as_far_as_a_lies_across_it_too():
    gamma, draws = 3.0, torch.Generator().manual_seed(2)
    u, a, delta, side, move = (torch.randn(2, 64, generator=draws, dtype=torch.float64) for _ in range(5))
    record = GramRecord(VECTORS, gram(dict(zip(VECTORS, (u, a, delta, side, move, None), strict=True))))
    push = (gamma - 1) * delta + side
    along = (push * delta).sum(dim=1) / delta.square().sum(dim=1)
    across = push - along[:, None] * delta
    share = across.square().sum(dim=1) / push.square().sum(dim=1)
    frame = torch.linalg.qr(torch.stack([a, delta], dim=2)).Q
    beyond = side - (frame @ (frame.mT @ side[..., None]))[..., 0]
    found = places_of(record, gamma, 64, 1 + along, share)["outside"]
    assert found.tolist() == pytest.approx((beyond.norm(dim=1) / across.norm(dim=1)).tolist(), rel=1e-9)
    assert places_of(record, gamma, 64, 1 + along, share + 0.019)["outside"].isfinite().all()
    assert places_of(record, gamma, 64, 1 + along, share + 0.021)["outside"].isnan().all(), "D holds more than that"
    plain = GramRecord(VECTORS, gram(dict(zip(VECTORS, (u, a, delta, 0.1 * side, move, None), strict=True))))
    slight = places_of(plain, gamma, 64, torch.tensor(gamma), torch.tensor([0.0049, 0.0051]))["outside"]
    assert slight.isnan().tolist() == [True, False]
