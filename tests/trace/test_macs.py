"""A run on a device without float64 that does not meet the CPU's tensors leaves the record that it leaves here."""

from dataclasses import fields, is_dataclass, replace

import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import mac
from guidance_geometry.samplers.response import Response, StepResponse
from guidance_geometry.tests.two_parts import PACKED, steps
from guidance_geometry.trace.accumulator import Accumulator, Capture
from guidance_geometry.trace.rows import Setting
from guidance_geometry.trace.terms import GUIDES, MEASURES, Term

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


@pytest.mark.parametrize(
    ("part", "setting", "waiting"),
    [(0, "pixels", 0), (1, "latents", 1 << 20), (1, "response", 0), (0, "response", 1 << 20)],
)
def test_columns_and_tensors_are_the_same(part, setting, waiting, monkeypatch):
    setting = SETTINGS[setting]
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
