"""Recording never changes or stops a run: schedules nobody would choose, empty batches, and faults of the recorder."""

import random

import comfy.samplers
import pytest
import torch

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


@pytest.mark.matrix(parts=4)
@pytest.mark.parametrize("model", ["ve", "flow"])
@pytest.mark.parametrize("kind", ODD)
def test_odd_schedules_end_recorded_as_they_end_unrecorded(labelled, empty_latent, model, kind):
    for name in names():
        if restless(name) and kind not in CALM:
            continue
        sampler, sigmas = comfy.samplers.sampler_object(name), levels(ODD[kind], model)
        expected, found, trace = both(labelled[model], empty_latent(model, 2), sampler, sigmas)
        assert same(expected, found), (name, expected, found)
        if trace is not None:
            assert not trace.header["faults"], (name, trace.header["faults"])
            readable(trace)


@pytest.mark.matrix(parts=2)
@pytest.mark.parametrize("model", ["ve", "flow"])
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("node", ["GGSamplerDDPM", "GGSamplerDDIM"])
@pytest.mark.parametrize("recurrence", [1, 3])
def test_our_steps_take_any_schedule(labelled, empty_latent, model, kind, node, recurrence):
    sampler = getattr(blog_samplers, node).execute(1.0, 0, recurrence)[0]
    sigmas = levels(ODD[kind], model)
    trace = trace_of_both(labelled[model], empty_latent(model, 2), sampler, sigmas)
    assert not trace.header["faults"]
    assert trace.n == max(len(sigmas) - 1, 0) * (2 * recurrence - 1)
    readable(trace)


@pytest.mark.matrix(parts=3)
@pytest.mark.parametrize("capture", ["numbers", "pictures", "tensors"])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_schedules_of_chance_end_recorded_as_they_end_unrecorded(labelled, empty_latent, batch, capture):
    for i, name in enumerate(names()):
        if restless(name):
            continue
        model = ("ve", "flow")[i % 2]
        sampler, sigmas = comfy.samplers.sampler_object(name), levels(chance(100 * i + batch), model)
        expected, found, trace = both(labelled[model], empty_latent(model, batch), sampler, sigmas, capture)
        assert same(expected, found), (name, sigmas, expected, found)
        if trace is not None and batch:
            assert not trace.header["faults"], (name, sigmas, trace.header["faults"])
            readable(trace)


def test_an_empty_batch_is_sampled_and_said(labelled, empty_latent):
    latent, sampler = empty_latent("ve", 0), comfy.samplers.sampler_object("euler")
    trace = trace_of_both(labelled["ve"], latent, sampler, [10.0, 1.0, 0.0])
    assert trace.header["faults"] == ["not recorded from step 1 on: the batch is empty"]


@pytest.mark.parametrize("name", ["euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde"])
@pytest.mark.matrix(parts=2)
def test_four_hundred_steps_are_recorded(labelled, empty_latent, name):
    sigmas = [*torch.linspace(14, 0.1, 400).tolist(), 0.0]
    sampler = comfy.samplers.sampler_object(name)
    trace = trace_of_both(labelled["ve"], empty_latent("ve", 1), sampler, sigmas, "pictures")
    assert trace.n == 400
    assert not trace.header["faults"]
