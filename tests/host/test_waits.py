"""How often a run keeps the CPU waiting until the device has done all before: time in which the device then idles."""

from contextlib import suppress
from functools import partial, reduce

import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import mac_host
from guidance_geometry.guidance.chain import Chain
from guidance_geometry.host.editor import run_store
from guidance_geometry.nodes.sampling import GGInspectedSampler
from guidance_geometry.nodes.tap import GGTap

from .chains import chain_of
from .devices import Shapes, alone, energy, mixture
from .rule_knobs import ALL, EMBEDDING, acting, chain
from .runs import ksampler

RECORDED = {"node": GGInspectedSampler}


@pytest.fixture(scope="module")
def device():
    """Models on a device like CUDA."""
    with torch.inference_mode(), mac_host(float64=True):
        yield Shapes()


def test_no_recorded_step_waits(device):
    run = partial(alone, device["ve"], chain("GGCFGSchedule"), **RECORDED, capture="pictures")
    assert device.more("ve", run)[1] == 0


def test_no_step_of_a_sampler_waits(device):
    run = partial(alone, device["ve"], chain("GGRescale"), sampler="euler_ancestral", **RECORDED)
    assert device.more("ve", run, "euler_ancestral")[1] == 0


def companies(worse, condition):
    """Chains that hold the rules of every node for exact mixtures between them, as many in one as go together.

    Economy reads what it measured to decide whether a pass is made at all, so its steps wait for that.
    """
    found, able = [], [name for name in ALL if name not in (EMBEDDING, "GGEconomy")]
    for own in (acting(name, {"MODEL": worse, "CONDITIONING": condition}) for name in able):
        for i, one in enumerate(found):
            with suppress(ValueError):
                found[i] = reduce(Chain.then, own.rules, one)
                break
        else:
            found.append(own)
    return found


def test_no_step_of_a_rule_waits(device):
    for rules in companies(mixture("ve", seed=5)[0][0], device["ve"][1]):
        run = partial(alone, device["ve"], rules, **RECORDED)
        assert device.more("ve", run)[1] == 0, rules.text


def test_no_step_that_changes_an_embedding_waits(device):
    run = partial(alone, device["pocket"], chain(EMBEDDING, {"tau1": 0.0, "tau2": 0.5}), **RECORDED)
    assert device.more("pocket", run)[1] == 0


def test_no_step_with_a_classifier_waits(device):
    guidance = chain_of(energy("clean"), evaluation="x0 + backprop", normalise="rms_ratio")
    assert device.more("pocket", partial(alone, device["pocket"], guidance, **RECORDED))[1] == 0


class Here:
    """A thread that runs where it is started: no other one sees the simulated device."""

    def __init__(self, target, **_):
        self.start = target

    def join(self):
        pass


def test_no_step_that_the_tab_sees_waits(device, job, monkeypatch):
    def run(steps):
        model, *given = device["ve"]
        ksampler(GGTap.execute(model)[0], *given, "euler", steps=steps)
        run_store.STORE.wait_for_runs()

    monkeypatch.setattr(run_store, "Thread", Here)
    assert device.more("ve", run)[1] == 0
