"""A loop may run in one mode of autograd and its record be read in another: no step is lost, no number changed."""

from contextlib import nullcontext
from itertools import pairwise

import pytest
import torch

from guidance_geometry.library.recording import record
from guidance_geometry.trace import accumulator
from guidance_geometry.trace.checks import check

from .worlds import DENOISER, SIGMAS, noise

MODES = {
    "plain": nullcontext,
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "inference": torch.inference_mode,
}


def euler(run, weight, modes=(nullcontext,)):
    """The run's loop, each step in the next of these modes."""
    x = noise()
    for i, (now, then) in enumerate(pairwise(SIGMAS)):
        with modes[i % len(modes)]():
            x = x + (then - now) * (x - weight * run(x, now)) / now
    return x


def recorded(loop, end, read, waiting, monkeypatch, capture="tensors"):
    monkeypatch.setattr(accumulator, "WAITING", waiting)
    run = record(DENOISER, SIGMAS, cond=1, capture=capture)
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    x = euler(run, weight.detach() if torch.inference_mode in loop else weight, loop)
    with end():
        trace = run.finish(x)
    with read():
        return trace, {name: trace.column(name).clone() for name in trace.metrics}


@pytest.fixture(scope="module")
def expected():
    return recorded([nullcontext], nullcontext, nullcontext, 1 << 20, pytest.MonkeyPatch())


WAYS = [
    ("plain", "no_grad", "enable_grad", 0),
    ("no_grad", "enable_grad", "inference", 2 * 2 * 192),
    ("enable_grad", "inference", "plain", 0),
    ("inference", "plain", "no_grad", 2 * 2 * 192),
]


@pytest.mark.parametrize(("loop", "end", "read", "waiting"), WAYS)
def test_every_step_is_measured_in_every_mode(expected, loop, end, read, waiting, monkeypatch):
    trace, columns = recorded([MODES[loop], nullcontext], MODES[end], MODES[read], waiting, monkeypatch)
    assert trace.header["notes"] == []
    assert check(trace) == []
    for name, column in expected[1].items():
        assert torch.allclose(columns[name], column, rtol=1e-9, equal_nan=True), name
    for name, tensor in trace.tensors.items():
        assert torch.equal(tensor, expected[0].tensors[name]), name
    for tensor in (*trace.steps.values(), *trace.tensors.values()):
        assert (tensor.is_inference(), tensor.requires_grad) == (False, False), "it can be worked with"


def test_the_loops_own_work_in_place_changes_nothing_that_was_recorded():
    run, other = (record(DENOISER, SIGMAS, cond=1) for _ in range(2))
    x = noise()
    euler_end = euler(other, torch.ones(()))
    for now, then in pairwise(SIGMAS):
        guided = run(x, now)
        guided.sub_(x).mul_(-1)  # x - D, where D was
        x = x + (then - now) / now * guided
    found, wanted = run.finish(x), other.finish(euler_end)
    assert torch.allclose(found.steps["K"], wanted.steps["K"], rtol=1e-6, equal_nan=True)
