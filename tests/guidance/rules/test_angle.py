import math

import pytest
import torch

from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.tests.toys import guide, toy


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
