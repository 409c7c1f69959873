"""The host runs in inference mode, and a record may be read in any other: no step is lost, no number changed."""

from contextlib import contextmanager, nullcontext

import pytest
import torch

from guidance_geometry.trace import accumulator
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.trace import Trace

from .runs import STEPS, guided


@contextmanager
def ordinary(grad):
    with torch.inference_mode(False), torch.set_grad_enabled(grad):
        yield


MODES = {
    "no_grad": lambda: ordinary(False),
    "enable_grad": lambda: ordinary(True),
    "inference": torch.inference_mode,
}


def recorded(labelled, empty_latent, loop, read):
    with loop():
        found = guided(*labelled["ve"], empty_latent("ve"), "euler_ancestral", capture="tensors")
    (trace,) = (one for one in found if isinstance(one, Trace))
    with read():
        return trace, {name: trace.column(name).clone() for name in trace.metrics}


@pytest.mark.parametrize(
    ("loop", "read", "waiting"),
    [
        ("no_grad", "inference", 0),
        ("enable_grad", "no_grad", 1 << 20),
        ("inference", "enable_grad", 2 * 3 * 16 * 16),
    ],
)
def test_every_step_is_measured_in_every_mode(labelled, empty_latent, loop, read, waiting, monkeypatch):
    expected = recorded(labelled, empty_latent, torch.no_grad, nullcontext)
    monkeypatch.setattr(accumulator, "WAITING", waiting)
    trace, columns = recorded(labelled, empty_latent, MODES[loop], MODES[read])
    assert (trace.n, trace.header["faults"], check(trace)) == (STEPS, [], [])
    for name, column in expected[1].items():
        assert torch.allclose(columns[name], column, rtol=1e-9, equal_nan=True), name
    assert not any(column.is_inference() for column in trace.steps.values())
