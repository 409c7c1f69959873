"""Every sampler of the host has a response, and its runs are what the response says."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from typing import Any

import comfy.samplers
import pytest
import torch
from comfy import model_management
from comfy.k_diffusion.sampling import BrownianTreeNoiseSampler
from comfy_extras import nodes_custom_sampler as custom

from guidance_geometry.dev.fixtures.predicted_states import misses
from guidance_geometry.host import dry_run
from guidance_geometry.host.dry_run import MOST_STEPS, response
from guidance_geometry.host.run_facts import MOST_ASTRAY
from guidance_geometry.nodes.sampling import GGInspectedSampler
from guidance_geometry.samplers.response import MOST_CALLS

from .runs import draws_a_path, guided, names, own_noise, trace_of_both
from .schedules import node_samplers, sampling_of, schedule

EXACT = 1e-5  # relative
ADAPTIVE = "dpm_adaptive"


def response_of(sampler, kind, sigmas):
    return response(sampler.sampler_function, sampler.extra_options, sigmas, sampling_of(kind))


def missed(sampler, kind, sigmas):
    """Why a sampler has no response, or by how much its states miss it; None where all is well."""
    found = response_of(sampler, kind, sigmas)
    worst = max(misses(found, sampler, sampling_of(kind), sigmas)) if found.steps else 0
    return found.why or (worst if worst > EXACT else None)


@pytest.mark.parametrize("kind", ["ve", "flow"])
@pytest.mark.parametrize("steps", [3, 10])
def test_every_sampler_of_the_host_moves_as_its_response_says(host, kind, steps):
    sigmas = schedule(kind, steps)
    found = {name: missed(comfy.samplers.sampler_object(name), kind, sigmas) for name in names()}
    assert {name: why for name, why in found.items() if why} == {ADAPTIVE: "its steps depend on what is predicted"}


def test_a_samplers_options_are_in_its_response(host):
    found = {}
    for shown, sampler in node_samplers("flow").items():
        if "Adaptative" not in shown and "LCMUpscale" not in shown and "s_noise=0" not in shown:
            found[shown] = missed(sampler, "flow", schedule("flow", 5))
    assert len(found) > 30
    assert {shown: why for shown, why in found.items() if why} == {}


def test_a_response_is_responses_for_the_same_sampler_schedule_and_model(host, monkeypatch):
    made, plain = [], dry_run.measure_response
    monkeypatch.setattr(dry_run, "measure_response", lambda *given: made.append(1) or plain(*given))
    dry_run.forget()
    for name, options, kind, steps in [
        ("dpm_fast", {}, "ve", 4),
        ("dpm_fast", {}, "ve", 4),
        ("dpm_fast", {}, "ve", 5),
        ("dpm_fast", {}, "flow", 4),
        ("heun", {}, "ve", 4),
        ("heun", {"s_churn": 1.0}, "ve", 4),
        ("heun", {"s_churn": 1.0}, "ve", 4),
    ]:
        assert response_of(comfy.samplers.ksampler(name, options), kind, schedule(kind, steps)).steps
    assert len(made) == 5
    for steps in range(2, 50):
        response_of(comfy.samplers.ksampler("euler"), "ve", schedule("ve", steps))
    assert len(dry_run._responses) == dry_run.KEPT


@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_which_samplers_leave_their_noise_levels_is_measured(host, kind):
    """Those that step on flow as on VE: their states keep more of the clean sample than belongs to the level."""

    def excess(name):
        return response_of(comfy.samplers.sampler_object(name), kind, schedule(kind, 8)).excess_signal(kind == "flow")

    wrong = {"ddpm", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "dpmpp_2s_ancestral_cfg_pp"}
    found = {name: excess(name) for name in names()}
    assert {name for name, share in found.items() if share > MOST_ASTRAY} == (wrong if kind == "flow" else set())
    assert min(found.values()) > -MOST_ASTRAY


def test_a_trace_says_that_a_sampler_leaves_its_noise_levels(labelled, empty_latent):
    def notes(kind, name):
        trace = guided(*labelled[kind], empty_latent(kind, 1), name, scheduler="simple", steps=4)[2]
        return [note for note in trace.header["notes"] if "noise levels" in note]

    [note] = notes("flow", "ddpm")
    assert note.startswith("ddpm does not keep to its noise levels here: its states hold up to 25 % more of the clean ")
    assert notes("ve", "ddpm") == notes("flow", "euler_ancestral") == []


class Damped:
    """A sampler that is a method; what it does depends on whose."""

    def __init__(self, damping):
        self.damping = damping

    def sample(self, model, x, sigmas, extra_args, callback, disable):
        for now, then in pairwise(sigmas):
            denoised = model(x, now * x.new_ones([len(x)]), **extra_args)
            callback({"x": x, "sigma": now, "denoised": denoised})
            x = denoised + self.damping * then / now * (x - denoised)
        return x


def test_two_samplers_of_one_class_have_each_their_own_response(host):
    sigmas, sampling = schedule("ve", 3), sampling_of("ve")
    found = [response(Damped(damping).sample, {}, sigmas, sampling).steps[0].kappa for damping in (1.0, 0.5)]
    assert found[1] - found[0] == pytest.approx(float(0.5 * sigmas[1] / sigmas[0]), rel=1e-4)


def test_a_dry_run_leaves_options_schedule_and_random_numbers_alone(host):
    sampler, sigmas = comfy.samplers.ksampler("dpmpp_sde", {"eta": 0.5}), schedule("ve", 4)
    before, options = sigmas.clone(), dict(sampler.extra_options)
    torch.manual_seed(1)
    expected = torch.randn(2)
    torch.manual_seed(1)
    assert response_of(sampler, "ve", sigmas).steps
    assert torch.equal(torch.randn(2), expected)
    assert torch.equal(sigmas, before)
    assert sampler.extra_options == options


def test_too_many_steps_and_other_kinds_of_samplers_have_none(host):
    assert "0" in response_of(comfy.samplers.ksampler("euler"), "ve", torch.tensor([1.0])).why
    long = torch.linspace(1, 0, MOST_STEPS + 2)
    assert str(MOST_STEPS + 1) in response_of(comfy.samplers.ksampler("euler"), "ve", long).why
    assert "another kind" in response(None, {}, long, sampling_of("ve")).why
    unknown = torch.tensor([10.0, torch.nan, 1.0, 0.0])
    assert "not finite" in response_of(comfy.samplers.ksampler("euler"), "ve", unknown).why
    assert response_of(comfy.samplers.ksampler("euler"), "ve", torch.tensor([])).why.endswith("there are 0")


@pytest.mark.parametrize("pressed", ["by the user", "by the sampler", "before"])
@pytest.mark.parametrize("raises", [False, True])
def test_a_wish_to_stop_is_after_a_dry_run_what_it_was(host, monkeypatch, pressed, raises):
    presses, answer = iter([pressed == "by the user"]), dry_run.Network.__call__

    def answering(*given, **named):
        if next(presses, False):
            model_management.interrupt_current_processing()
        return answer(*given, **named)

    monkeypatch.setattr(dry_run.Network, "__call__", answering)

    def function(model, x, sigmas, extra_args, callback, disable):
        for sigma, after in pairwise(sigmas):
            x = x + (after - sigma) * (x - model(x, sigma.expand(1), **extra_args)) / sigma
            if pressed == "by the sampler":
                model_management.interrupt_current_processing()
            if raises:
                model_management.throw_exception_if_processing_interrupted()
            callback({"x": x, "sigma": sigma, "denoised": x})
        return x

    dry_run.forget()
    model_management.interrupt_current_processing(pressed == "before")
    try:
        found = response_of(comfy.samplers.KSAMPLER(function), "ve", schedule("ve", 4))
        assert model_management.processing_interrupted() == (pressed != "by the sampler")
        assert bool(found.steps) == (pressed == "by the user" or (pressed == "by the sampler" and not raises))
        assert pressed != "before" or not dry_run._responses
    finally:
        model_management.interrupt_current_processing(False)


def steps(model, x, sigmas, extra_args, callback, change=lambda x: x):
    """Euler, with a change of each state."""
    for sigma, after in pairwise(sigmas):
        denoised = model(x, sigma * x.new_ones([len(x)]), **extra_args)
        callback({"x": x, "sigma": sigma, "denoised": denoised, "i": 0})
        x = change(denoised + after / sigma * (x - denoised))
    return x


def with_a_memory():
    """A sampler that counts its runs, in an option too, and draws from a generator of its own."""
    generator, runs = torch.Generator().manual_seed(3), []

    def function(model, x, sigmas, extra_args, callback, disable, table):
        runs.append(1)
        table["runs"] = table.get("runs", 0) + 1
        shift = len(runs) + table["runs"] + torch.randn((), generator=generator) + random.random()
        return steps(model, x, sigmas, extra_args, callback, lambda x: x + 0.01 * shift)

    return function, {"table": {}}


def with_a_stream():
    """A sampler that reads from what nobody can turn back."""
    stream = (0.01 * i for i in range(100))

    def function(model, x, sigmas, extra_args, callback, disable):
        return steps(model, x, sigmas, extra_args, callback, lambda x: x + next(stream))

    return function, {}


def where_dry(do):
    """A sampler that does something where it runs on a few numbers."""

    def function(model, x, sigmas, extra_args, callback, disable):
        if x.shape[1] == 1:
            do(model, x, callback)
        return steps(model, x, sigmas, extra_args, callback)

    return function, {}


def leave(*_):
    raise SystemExit(3)


def turn(*_):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pass


def insist(model, x, callback):
    for _ in range(10**5):
        with suppress(Exception):
            model(x, x.new_ones(1))


def chatter(model, x, callback):
    while True:
        callback({"x": x, "denoised": x, "sigma": 1.0, "i": 0})


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (with_a_memory, ""),
        (with_a_stream, "iterator"),
        (lambda: where_dry(leave), "SystemExit"),
        (lambda: where_dry(turn), "takes longer than"),
        (lambda: where_dry(insist), f"more than {MOST_CALLS} times"),
        (lambda: where_dry(chatter), f"more than {MOST_CALLS} times"),
    ],
    ids=["memory", "stream", "leaves", "turns", "insists", "chatters"],
)
def test_a_dry_run_leaves_no_mark_and_comes_to_an_end(labelled, empty_latent, monkeypatch, make, why):
    monkeypatch.setattr(dry_run, "MOST_WAIT", 0.3 if "longer" in why else 60.0)
    model, positive, negative = labelled["ve"]
    sigmas, noise, found = torch.tensor([10.0, 5.0, 1.0, 0.0]), custom.Noise_RandomNoise(7), []
    for node in (custom.SamplerCustomAdvanced, GGInspectedSampler):
        random.seed(1)
        guider = custom.CFGGuider.execute(model, positive, negative, 3.0)[0]
        out = node.execute(noise, guider, comfy.samplers.KSAMPLER(*make()), sigmas, dict(empty_latent("ve", 2)))
        found.append(out[0]["samples"])
    assert torch.equal(*found)
    assert not out[2].header["faults"]
    began = time.monotonic()
    assert why in response_of(comfy.samplers.KSAMPLER(*make()), "ve", sigmas).why
    assert time.monotonic() - began < 10


def test_a_sampler_that_is_stopped_from_the_keyboard_stops_no_worker(host):
    def press(*_):
        raise KeyboardInterrupt

    sampler = comfy.samplers.KSAMPLER(*where_dry(press))
    with pytest.raises(KeyboardInterrupt):  # in the main thread that is the user's own
        response_of(sampler, "ve", schedule("ve", 3))
    with ThreadPoolExecutor() as worker:
        assert "KeyboardInterrupt" in worker.submit(response_of, sampler, "ve", schedule("ve", 3)).result().why


def test_what_a_sampler_writes_into_the_models_noise_levels_is_taken_back(host):

    def function(model, x, sigmas, extra_args, callback, disable):
        levels = model.inner_model.inner_model.model_sampling
        levels.sigmas.mul_(2)
        levels.shift, levels.multiplier = 5.0, 3
        return steps(model, x, sigmas, extra_args, callback)

    sampling = sampling_of("ve")
    before, names_before = sampling.sigmas.clone(), sorted(vars(sampling))
    assert response(function, {}, schedule("ve", 3), sampling).steps
    assert torch.equal(sampling.sigmas, before)
    assert sorted(vars(sampling)) == names_before


def test_responses_of_what_holds_something_are_made_anew(host):
    damping = [1.0]

    def function(model, x, sigmas, extra_args, callback, disable):
        return steps(model, x, sigmas, extra_args, callback, lambda x: damping[0] * x)

    dry_run.forget()
    kappas = []
    for value in (1.0, 0.5):
        damping[0] = value
        kappas.append(response_of(comfy.samplers.KSAMPLER(function), "ve", schedule("ve", 3)).steps[0].kappa)
    assert kappas[1] == pytest.approx(0.5 * kappas[0])
    assert not dry_run._responses, "what it holds is not kept in memory"


def scaled(by):
    def function(model, x, sigmas, extra_args, callback, disable, *, factor=by):
        return steps(model, x, sigmas, extra_args, callback, lambda x: factor * x)

    return function


def test_samplers_of_one_code_and_other_defaults_are_told_apart(host):
    sigmas = schedule("ve", 3)
    found = [response_of(comfy.samplers.KSAMPLER(scaled(by)), "ve", sigmas).steps[0].kappa for by in (1.0, 0.5)]
    assert found[1] == pytest.approx(0.5 * found[0])


def newer(model, x, sigmas, extra_args: Any = None, callback: Any = None, disable=None, noise_sampler=None):
    """A sampler of tomorrow's host: it draws a Brownian path, and stops at the last level with noise."""
    span = sigmas[sigmas > 0].min(), sigmas.max()
    noise_sampler = noise_sampler or BrownianTreeNoiseSampler(x, *span, seed=extra_args["seed"], cpu=True)
    for i, (sigma, after) in enumerate(pairwise(sigmas[sigmas > 0])):
        denoised = model(x, sigma.expand(len(x)), **extra_args)
        callback({"x": x, "i": i, "sigma": sigma, "sigma_hat": sigma, "denoised": denoised})
        down = after**2 / sigma
        x = denoised + down / sigma * (x - denoised) + (after**2 - down**2).sqrt() * noise_sampler(sigma, after)
    return x


@pytest.fixture
def of_the_host(monkeypatch):
    monkeypatch.setattr(newer, "__module__", "comfy.k_diffusion.sampling")
    return newer


def test_a_sampler_whose_name_nobody_knows_is_handed_its_own_noise(labelled, empty_latent, of_the_host):
    levels = schedule("ve", 4).tolist()
    trace = trace_of_both(labelled["ve"], empty_latent("ve"), comfy.samplers.KSAMPLER(of_the_host), levels)
    assert trace.header["split"].startswith("move and noise separated")
    assert (trace.column("M8") > 0).all()


def test_a_run_ends_where_its_sampler_stops(labelled, empty_latent, of_the_host):
    levels = schedule("ve", 4).tolist()
    trace = trace_of_both(labelled["ve"], empty_latent("ve"), comfy.samplers.KSAMPLER(of_the_host), levels)
    assert trace.n == 3
    assert trace.steps["sigma_next"].tolist() == pytest.approx(levels[1:4])


@pytest.mark.parametrize("kind", ["ve", "flow"])
@pytest.mark.parametrize("ends_at_zero", [False, True])
def test_where_every_sampler_of_the_host_ends_is_measured(host, kind, ends_at_zero):
    """Two stop at the last level with noise; where noise is left, two hand out the state of the step before."""
    sigmas = schedule(kind, 4, ends_at_zero)
    found = {name: response_of(comfy.samplers.sampler_object(name), kind, sigmas).end for name in names()}
    early = {"dpm_fast", ADAPTIVE} if ends_at_zero else {"sa_solver", "sa_solver_pece"}
    assert {name for name, end in found.items() if end == float(sigmas[-2])} == early
    assert {end for name, end in found.items() if name not in early} == {float(sigmas[-1])}


def test_what_a_sampler_of_the_host_draws_from_is_asked_of_itself(host):
    def tree(name):
        return own_noise(name).tree.cpu_tree

    paths = {name for name in names() if draws_a_path(name)}
    assert paths >= {"dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m_sde", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde"}
    assert [tree(name) for name in ("dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "dpmpp_2m_sde_heun")] == [True, False, True]
    for name in ("ddpm", "euler_ancestral", "sa_solver_pece"):
        assert own_noise(name, "flow")(1.0, 0.5).shape == (1, 3, 4, 4)
        assert not isinstance(own_noise(name, "flow"), BrownianTreeNoiseSampler)
    assert own_noise("euler") is None
