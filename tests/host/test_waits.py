"""How often a run keeps the CPU waiting until the device has done all before: time in which the device then idles.

The device is a make-believe one, so that copies to it and from it are seen too. Counted are the waits of a run beyond
those of the host's own run of the same model.
"""

from contextlib import suppress
from functools import partial, reduce
from uuid import uuid4

import comfy.samplers
import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import mac_host
from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.gradients.estimators import EVALUATIONS
from guidance_geometry.guidance.rules.function import FunctionRule
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.host import run_store
from guidance_geometry.nodes.sampling import GGInspectedSampler
from guidance_geometry.nodes.tap import GGTap

from .chains import chain_of
from .devices import LONG, SHORT, Shapes, alone, energy, mixture, waits
from .rule_knobs import ALL, acting, chain
from .runs import ksampler

RECORDED = {"node": GGInspectedSampler}


@pytest.fixture(scope="module")
def device():
    """Models on a device like CUDA."""
    with torch.inference_mode(), mac_host(float64=True):
        yield Shapes()


def test_no_recorded_step_waits(device):
    run = partial(alone, device["pocket"], chain("GGCFGSchedule"), **RECORDED, capture="pictures")
    assert device.more("pocket", run)[1] == 0


@pytest.mark.parametrize(("sampler", "how"), [("heun", RECORDED), ("euler_ancestral", RECORDED), ("euler", {})])
def test_no_step_of_a_sampler_waits(device, sampler, how):
    """Before the first: for the schedule, for the model's tables, and where the host takes over."""
    before, each = device.more("ve", partial(alone, device["ve"], chain("GGRescale"), sampler=sampler, **how), sampler)
    assert before <= 6 or how
    assert each == 0


def companies(worse, condition):
    """Chains that hold every rule node's rules between them, as many in one as go together."""
    given = dict.fromkeys(("weak_model", "perturbed_model", "MODEL"), worse)
    given |= dict.fromkeys(("second", "empty", "CONDITIONING"), condition)
    given["rules"], found = chain("GGRescale", {"phi": 0.7, "space": "v"}), []
    for own in (acting(name, given) for name in ALL):
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


def test_a_rule_that_may_end_early_waits_until_it_knows(device):
    rules = chain("GGReuse", {"every": 1, "stop_cosine": 0.9})
    assert 0 < device.more("ve", partial(alone, device["ve"], rules))[1] <= 1


@pytest.mark.parametrize("evaluation", EVALUATIONS[:2])
def test_no_step_with_a_classifier_waits(device, evaluation):
    asked = energy("noisy" if evaluation == EVALUATIONS[0] else "clean")
    run = partial(alone, device["pocket"], chain_of(asked, evaluation=evaluation, normalise="rms_ratio"))
    assert device.more("pocket", partial(run, **RECORDED))[1] == 0


def asking(parts):
    """The parts of a run whose MODEL has a patch that asks for what predicts as c, at a copy of x."""
    model = parts[0].clone()

    def again(args):
        cond = [{**entry, "uuid": uuid4()} for entry in args["cond"]]
        given = (args["model"], [cond], args["input"].clone(), args["sigma"], args["model_options"])
        return args["denoised"] + 0.5 * (args["cond_denoised"] - comfy.samplers.calc_cond_batch(*given)[0])

    model.set_model_sampler_post_cfg_function(again)
    return model, *parts[1:]


def test_no_step_with_a_further_pass_waits(device):
    parts = asking(device["ve"])
    plain, recorded = (partial(alone, parts, None, **how) for how in ({}, RECORDED))
    assert waits(recorded, LONG) - waits(recorded, SHORT) == waits(plain, LONG) - waits(plain, SHORT)


class Here:
    """A thread that runs where it is started: no other one sees the make-believe device."""

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


def test_a_device_without_float64_waits_for_the_rules_of_others():
    """They act where float64 is: what they read is copied there, and what they make is copied back."""
    rules = Chain((FunctionRule(lambda u, c, x, gamma, sigma: u + gamma * (c - u)),)).then(Rescale())
    with mac_host():
        there = Shapes()
        assert there.more("pocket", partial(alone, there["pocket"], rules))[1] == len(("there", "and back"))
