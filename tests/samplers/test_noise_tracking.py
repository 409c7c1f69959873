import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.samplers.noise_tracking import Tracked, parts_of, track, untrack

SCALARS = st.floats(-3, 3, allow_nan=False).filter(lambda v: abs(v) > 1e-3)


def noise(seed=0):
    eps = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))
    return track(eps, {0: eps})


def state():
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(9))


UPDATES = {
    "x + e * s": lambda x, e, s: x + e * s,
    "x - e / s": lambda x, e, s: x - e / s,
    "e - x": lambda x, e, s: e - x,
    "1 - e": lambda x, e, s: 1 - e,
    "x.sub(e)": lambda x, e, s: x.sub(e),
    "-(x + e)": lambda x, e, s: -(x + e),
    "(x + e) * s": lambda x, e, s: (x + e) * s,
    "x.add(e)": lambda x, e, s: x.add(e),
    "in place": lambda x, e, s: x.clone().add_(e * s),
    "noise += x": lambda x, e, s: (e * s).add_(x),
    "tensor factor": lambda x, e, s: torch.tensor(s) * e + x * torch.tensor(s),
    "twice": lambda x, e, s: (x + e * s) + e,
    "to and clone": lambda x, e, s: (x + e.to(torch.float32)).clone(),
}


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES.keys())
@given(s=SCALARS)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_a_linear_update_keeps_its_noise_and_its_bits(update, s):
    x, e = state(), noise()
    result = update(x.clone(), e, s)
    alone = update(x.clone(), e.value.clone(), s)
    quiet = update(x.clone(), torch.zeros_like(x), s)
    assert torch.equal(untrack(result), alone)
    assert (parts_of(result)[0] - (alone - quiet)).abs().max() <= 1e-5 * (1 + abs(s) + 1 / abs(s))


def test_draws_of_two_steps_stay_apart():
    first = noise(0)
    second = noise(1)
    second.parts = {1: second.value}
    result = (state() + first * 2.0) * 0.5 + second * 3.0
    assert torch.equal(parts_of(result)[0], first.value * 2.0 * 0.5)
    assert torch.equal(parts_of(result)[1], second.value * 3.0)


BENDS = [torch.exp, torch.abs, lambda t: t * t, lambda t: 1.0 / t, lambda t: t / t, lambda t: state().add(t, alpha=2.0)]


@pytest.mark.parametrize("bend", BENDS)
def test_a_nonlinear_operation_drops_the_noise(bend):
    assert not isinstance(bend(noise()), Tracked)
