"""Whole runs on a simulated Mac, whose GPU has no float64 and does not meet the CPU's tensors, against the CPU's."""

import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import mac_host
from guidance_geometry.guidance.gradients.estimators import EVALUATIONS, NORMALISATIONS

from .chains import chain_of
from .devices import energy, mixture, pocket
from .rule_knobs import acting
from .runs import guided, names, readable


def here_and_there(run):
    """What it gives on the CPU and on the Mac; models are made anew for both, since they remember where they are."""
    here = run()
    with mac_host():
        there = run()
    return here, there


def same(here, there):
    """Every number and every tensor of two traces, nan where nan is."""
    assert there.header["host"]["device"] == "mps:0"
    assert there.header["notes"] == here.header["notes"]
    assert list(there.steps) == list(here.steps)
    assert list(there.tensors) == list(here.tensors)
    pairs = {name: (there.steps[name], here.steps[name]) for name in here.steps}
    pairs |= {name: (there.tensors[name], here.tensors[name]) for name in here.tensors}
    return [name for name, (a, b) in pairs.items() if not torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))] == []


def near(here, there, part=1e-4):
    """The same of networks, whose float32 sums a device may order as it likes: within a part of the largest number."""
    return float((here - there).abs().max()) <= part * float(here.abs().max())


def test_every_eighth_sampler_and_its_record():
    """They take their turns at the two worlds."""
    for i, name in enumerate(names()[::8]):
        kind = ("ve", "flow")[i % 2]
        here, there = here_and_there(lambda one=name, k=kind: guided(*mixture(k)[0], one, steps=3, capture="tensors"))
        assert torch.equal(there[0]["samples"], here[0]["samples"]), name
        assert same(here[2], there[2]), name


@pytest.mark.parametrize("name", ["GGFrequencyBands", "GGReuse", "GGAutoguidance", "GGWindow"])
def test_a_rule_node(name):
    def run():
        parts, _ = mixture("flow")
        sockets = {"MODEL": mixture("flow", seed=5)[0][0], "CONDITIONING": parts[1]}
        return guided(*parts, "euler", steps=4, guidance=acting(name, sockets))

    here, there = here_and_there(run)
    assert near(here[0]["samples"], there[0]["samples"], 1e-5)
    own, other = (trace.steps["K"].nan_to_num(7.0) for trace in (here[2], there[2]))
    assert near(own, other, 1e-5)
    assert there[2].header["notes"] == here[2].header["notes"]
    readable(there[2])


@pytest.mark.parametrize(("evaluation", "normalise"), zip(EVALUATIONS, NORMALISATIONS[-3:], strict=True))
def test_a_gradient(evaluation, normalise):
    def run():
        asked = energy("noisy" if evaluation == EVALUATIONS[0] else "clean")
        guidance = chain_of(asked, evaluation=evaluation, normalise=normalise)
        return guided(*pocket(), "euler", steps=3, cfg=2.0, guidance=guidance)

    here, there = here_and_there(run)
    assert near(here[0]["samples"], there[0]["samples"], 1e-3)
    assert there[2].header["notes"] == here[2].header["notes"]
    for name in ("log_prob gradient", "K", "m10", "m12"):
        assert torch.equal(there[2].steps[name].isfinite(), here[2].steps[name].isfinite())
