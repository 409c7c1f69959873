import math

import pytest
import torch

from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.tests.toys import FAMILIES, SHAPES, guide, items, largest_error, toy


def inner(a, b):
    return math.fsum((a * b).tolist())


def paper(item, gamma, cap, keep_norm):
    u, c = item["u"], item["c"]
    turn = math.acos(inner(u, c) / math.sqrt(inner(u, u) * inner(c, c)))
    turned = max(-cap, min(cap, (gamma - 1) * turn))
    across = c - u * inner(u, c) / inner(u, u)
    guided = math.cos(turned) * c + math.sin(turned) / math.sin(turn) * across
    return guided * math.sqrt(inner(c, c) / inner(guided, guided)) if keep_norm else guided


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("keep_norm", [False, True], ids=["free", "kept"])
@pytest.mark.parametrize(("gamma", "cap"), [(3.0, 60.0), (9.0, 60.0), (2.0, 5.0)])
def test_the_turn_is_the_papers(family, shape, gamma, cap, keep_norm):
    p = toy(family, shape)
    expected = [paper(item, gamma, math.radians(cap), keep_norm) for item in items(p)]
    assert largest_error(guide(Angle(cap, keep_norm), p, gamma), expected) < 1e-12


def test_the_length_stays_below_the_papers_bound_at_any_scale():
    p = toy()
    longest = guide(Angle(90.0), p, 500.0).flatten(1).norm(dim=1) / p.cond.flatten(1).norm(dim=1)
    assert longest.max() <= math.sqrt(2)
    kept = guide(Angle(90.0, keep_norm=True), p, 500.0).flatten(1).norm(dim=1)
    assert torch.allclose(kept, p.cond.flatten(1).norm(dim=1))


def test_gamma_one_is_cond_and_equal_predictions_stay():
    p = toy()
    assert torch.equal(guide(Angle(), p, 1.0), p.cond)
    p.uncond[:] = p.cond
    assert torch.equal(guide(Angle(), p, 7.0), p.cond)


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
