"""A run on a device without float64 that does not meet the CPU's tensors leaves the record that it leaves here."""

import math
from dataclasses import fields, is_dataclass, replace

import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import MacTensor, mac
from guidance_geometry.samplers.response import Response, StepResponse
from guidance_geometry.tests.two_parts import PACKED, SIGMAS, steps
from guidance_geometry.trace import metrics
from guidance_geometry.trace.accumulator import Accumulator, Capture
from guidance_geometry.trace.recorder import RECUR, Evaluation, Recorder
from guidance_geometry.trace.rows import Setting
from guidance_geometry.trace.terms import GUIDES, MEASURES, Term
from guidance_geometry.trace.trace import Trace

TERMS = (Term("push", GUIDES), Term("watch", MEASURES))


def moved(found, device):
    """The same with every tensor on a device."""
    if isinstance(found, torch.Tensor):
        return found.to(device)
    if isinstance(found, dict):
        return {name: moved(one, device) for name, one in found.items()}
    if isinstance(found, tuple):
        return tuple(moved(one, device) for one in found)
    if is_dataclass(found) and not isinstance(found, type):
        return replace(found, **{one.name: moved(getattr(found, one.name), device) for one in fields(found)})
    return found


def of_parts(part):
    """Steps of one part, with a gradient, noise, what two energies said, and once without u."""
    found = []
    for i, step in enumerate(steps()):
        own = step.split(PACKED)[part]
        seen = replace(
            own.evaluation,
            gradients={"push": 0.1 * own.x},
            log_probs=dict.fromkeys(("push", "watch"), own.x[:, 0].flatten(1).sum(1)),
        )
        seen = replace(seen, uncond=None) if i == 1 else seen
        found.append(replace(own, evaluation=seen, calls=(seen,), noise=0.05 * own.x.flip(-1)))
    return found


def accumulated(taken, setting, later=()):
    accumulator = Accumulator(setting, Capture("tensors"))
    for step in taken:
        accumulator.enter(step)
    for step in later:
        accumulator.amend(step)
    return accumulator, accumulator.columns()


REMEMBERS = StepResponse((0.5, 0.1), ((0.6,), (-0.2,)), ((0.0,), (0.1,)))
RESPONSE = Response((StepResponse((0.5,), ((0.5,),), ((0.3,),)), StepResponse((0.5,), ((0.5,),), ((0.0,),)), REMEMBERS))
SETTINGS = {
    "pixels": Setting(True, terms=TERMS),
    "latents": Setting(True, bound=None, terms=TERMS),
    "response": Setting(True, RESPONSE, terms=TERMS),
}


@pytest.mark.parametrize("waiting", [0, 1 << 20], ids=["at once", "afterwards"])
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("part", range(2), ids=PACKED.names)
def test_columns_and_tensors_are_the_same(part, setting, waiting, monkeypatch):
    monkeypatch.setattr("guidance_geometry.trace.accumulator.WAITING", waiting)
    taken = of_parts(part)
    later = [replace(taken[1], evaluation=replace(taken[1].evaluation, uncond=0.5 * taken[1].x))]
    here, expected = accumulated(taken, setting, later)
    with mac() as device:
        there, found = accumulated(moved(tuple(taken), device), setting, moved(tuple(later), device))
    assert there.fault == here.fault == ""
    assert list(found) == list(expected)
    assert all(torch.equal(found[name].nan_to_num(7.0), expected[name].nan_to_num(7.0)) for name in expected)
    assert all(torch.equal(found[name].isnan(), expected[name].isnan()) for name in expected)
    pairs = zip(there.capture.stack()[1].items(), here.capture.stack()[1].items(), strict=True)
    assert all(name == other and torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0)) for (name, a), (other, b) in pairs)


def test_every_metric_is_the_same():
    def trace_of(taken):
        accumulator, columns = accumulated(taken, replace(SETTINGS["pixels"], response=RESPONSE))
        header = {"vectors": list(accumulator.setting.vectors), "sigmas": list(SIGMAS), "sigma_data": 0.5}
        header |= {"latent": {"shape": [*taken[0].x.shape[1:]]}, "space": "flow"}
        return Trace(header, columns, accumulator.stage)

    taken = of_parts(0)
    here = trace_of(taken)
    with mac() as device:
        there = trace_of(moved(tuple(taken), device))
    assert set(metrics.METRICS) < set(here.metrics)
    same = {
        name: torch.equal(there.column(name).nan_to_num(7.0), here.column(name).nan_to_num(7.0))
        for name in here.metrics
    }
    assert [name for name, one in same.items() if not one] == []
    assert any(here.column(name).isfinite().any() for name in here.metrics)


def test_a_sampler_is_watched_there():
    """Draws that know they are noise, a step back to more noise, a state that is written into."""

    def run(device):
        taken, draws = [], torch.Generator().manual_seed(0)
        recorder = Recorder(taken.append, 0.0)
        x = torch.randn(2, 3, 8, 8, generator=draws).to(device)
        for sigma, then in ((1.0, 0.5), (0.5, 0.2), (0.2, 0.0)):
            call = recorder.begin_call(x, torch.full((2,), sigma).to(device))
            denoised = 0.5 * call.x
            recorder.keep_answer(call, Evaluation(denoised, denoised, 0.4 * call.x, 2.0, 2))
            recorder.end_step(sigma)
            x = x + (then - sigma) * (x - denoised) / sigma
            eps = recorder.mark(torch.randn(x.shape, generator=draws).to(device))
            x += 0.1 * then * eps
            if then == 0.5:
                recorder.keep_recurrence(x, 0.7)
        recorder.end_run(x)
        return taken

    here = run("cpu")
    with mac() as device:
        there = run(device)
        assert all(isinstance(step.move, MacTensor) for step in there)
        found = accumulated(there, Setting())[1]
    assert [step.evaluation.stage for step in there].count(RECUR) == 1
    assert sum(step.noise is not None for step in there) == 3
    expected = accumulated(here, Setting())[1]
    assert all(torch.equal(found[name].nan_to_num(7.0), expected[name].nan_to_num(7.0)) for name in expected)
    assert math.isfinite(float(found["m10"].sum()))
