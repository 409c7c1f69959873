"""Recording never changes or stops a run: schedules nobody would choose, empty batches, and faults of the recorder."""

import random

import comfy.samplers
import pytest

from guidance_geometry.nodes import blog_samplers

from .runs import both, draws_a_path, names, readable, same, trace_of_both

ODD = {  # sigmas of a VE model; on flow they are divided by the largest that occurs
    "repeated": [10.0, 10.0, 1.0, 0.0],
    "clean twice": [0.0, 0.0],
    "clean in the middle": [10.0, 0.0, 5.0, 0.0],
    "rising": [0.0, 10.0],
    "rising later": [5.0, 1.0, 8.0, 2.0],
    "one level": [10.0],
    "none": [],
    "all the same": [3.0, 3.0, 3.0, 3.0],
    "ends noisy": [10.0, 4.0, 1.0],
}
MOST = 14.0
CALM = ("ends noisy", "one level", "none")  # the schedules that the host's own samplers all come to an end with


def restless(name):
    """Samplers that a rising schedule may keep for ever: one chooses its steps, the others ask a Brownian tree."""
    return name == "dpm_adaptive" or draws_a_path(name)


def chance(seed):
    """A schedule of one to six levels, some of them repeated, zero or higher than the one before."""
    draws = random.Random(seed)
    return [draws.choice([0.0, 1e-3, 0.5, 2.0, 2.0, MOST * draws.random()]) for _ in range(draws.randint(1, 6))]


def levels(sigmas, model):
    return [s / MOST for s in sigmas] if model == "flow" else list(sigmas)


def ends_as_unrecorded(labelled, empty_latent, name, model, sigmas, capture="numbers", batch=2):
    sampler, sigmas = comfy.samplers.sampler_object(name), levels(sigmas, model)
    expected, found, trace = both(labelled[model], empty_latent(model, batch), sampler, sigmas, capture)
    assert same(expected, found), (name, sigmas, expected, found)
    if trace is not None and batch:
        assert not trace.header["faults"], (name, sigmas, trace.header["faults"])
        readable(trace)


@pytest.mark.parametrize("kind", ODD)
def test_odd_schedules_end_recorded_as_they_end_unrecorded(labelled, empty_latent, kind):
    """Every sampler meets one, those that a rising schedule may keep a calm one, and euler all."""
    for i, name in enumerate(names()):
        its = CALM[i % len(CALM)] if restless(name) else [*ODD][i % len(ODD)]
        if its == kind or name == "euler":
            ends_as_unrecorded(labelled, empty_latent, name, ("ve", "flow")[i % 2], ODD[kind])


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(("node", "model", "recurrence"), [("GGSamplerDDPM", "ve", 3), ("GGSamplerDDIM", "flow", 1)])
def test_our_steps_take_any_schedule(labelled, empty_latent, model, kind, node, recurrence):
    sampler = getattr(blog_samplers, node).execute(1.0, 0, recurrence)[0]
    sigmas = levels(ODD[kind], model)
    trace = trace_of_both(labelled[model], empty_latent(model, 2), sampler, sigmas)
    assert not trace.header["faults"]
    assert trace.n == max(len(sigmas) - 1, 0) * (2 * recurrence - 1)
    readable(trace)


@pytest.mark.parametrize(("batch", "capture"), [(0, "tensors"), (1, "pictures"), (3, "tensors")])
def test_schedules_of_chance_end_recorded_as_they_end_unrecorded(labelled, empty_latent, batch, capture):
    for i, name in [*enumerate(names()[batch % 2 :: 2])][batch // 2 :: 2]:
        if not restless(name):
            sigmas, model = chance(100 * i + batch), ("ve", "flow")[i % 2]
            ends_as_unrecorded(labelled, empty_latent, name, model, sigmas, capture, batch)


def test_an_empty_batch_is_sampled_and_said(labelled, empty_latent):
    latent, sampler = empty_latent("ve", 0), comfy.samplers.sampler_object("euler")
    trace = trace_of_both(labelled["ve"], latent, sampler, [10.0, 1.0, 0.0])
    assert trace.header["faults"] == ["not recorded from step 1 on: the batch is empty"]
