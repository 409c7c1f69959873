"""Samplers and guiders of other packs: what the trace says of them is what was measured, and no more.

The stand-ins behave as such packs do: a sampler that reports after its stages or once more at the end, guiders that
ask two models, combine three predictions, or skip one.
"""

import math
from itertools import pairwise

import comfy.samplers
import comfy.supported_models
import comfy.supported_models_base
import pytest
import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.host.adapter import family_of
from guidance_geometry.trace import recorder
from guidance_geometry.trace.checks import check

from .runs import SEED, both, guided, of_the_host, readable, trace_of_both

LEVELS = [10.0, 4.0, 1.5, 0.5, 0.0]


def two_stages(model, x, sigmas, extra_args, report):
    """Heun's steps; `report` is called after both stages of each."""
    ones = x.new_ones([len(x)])
    for i, (now, then) in enumerate(pairwise(sigmas)):
        denoised = model(x, now * ones, **extra_args)
        slope = (x - denoised) / now
        if then > 0:
            ahead = x + slope * (then - now)
            again = model(ahead, then * ones, **extra_args)
            slope = (slope + (ahead - again) / then) / 2
        report({"x": x, "i": i, "sigma": now, "sigma_hat": now, "denoised": denoised})
        x = x + slope * (then - now)
    return x


def late(model, x, sigmas, extra_args, callback, disable):
    return two_stages(model, x, sigmas, extra_args, callback)


def late_and_once_more(model, x, sigmas, extra_args, callback, disable):
    """And a last report, which no model call belongs to."""
    x = two_stages(model, x, sigmas, extra_args, callback)
    callback({"x": x, "i": len(sigmas) - 2, "sigma": sigmas[-2], "denoised": x})
    return x


@of_the_host
def noisy_before_it_reports(model, x, sigmas, extra_args, callback, disable, noise_sampler=None):
    """Euler with noise, drawn before the step is reported."""
    noise_sampler = noise_sampler or (lambda *_: torch.ones_like(x))
    ones = x.new_ones([len(x)])
    for i, (now, then) in enumerate(pairwise(sigmas)):
        denoised = model(x, now * ones, **extra_args)
        end = x + (x - denoised) / now * (then - now)
        end = end + 0.5 * then * noise_sampler(now, then) if then > 0 else end
        callback({"x": x, "i": i, "sigma": now, "denoised": denoised})
        x = end
    return x


def many_methods(model, x, sigmas, extra_args, callback, disable, **options):
    """One function for a whole family, told by an option which member it is."""
    return two_stages(model, x, sigmas, extra_args, callback)


class Momentum:
    """A sampler that a pack writes as a method of a class, which all its samplers share."""

    @classmethod
    def sampler(cls, model, x, sigmas, extra_args, callback, disable, inner_sampler=None):
        return two_stages(model, x, sigmas, extra_args, callback)


def around(inner):
    """What a pack makes of another sampler."""

    def detailed(model, x, sigmas, extra_args, callback, disable):
        return inner.sampler_function(model, x, sigmas, extra_args, callback, disable, **inner.extra_options)

    return detailed


def test_samplers_of_other_packs_bear_their_own_names(labelled, empty_latent, monkeypatch):
    make, host = comfy.samplers.KSAMPLER, comfy.samplers.k_diffusion_sampling
    several = make(many_methods, {"sampler_mode": "standard", "many_type": "res_2m", "methods_type": "gaussian"})
    implicit = {"many_type": "euler", "implicit_sampler_name": "gauss-legendre_2s"}

    def name(sampler):
        trace = trace_of_both(labelled["ve"], empty_latent("ve", 1), sampler, LEVELS)
        assert trace.n == len(LEVELS) - 1
        return trace.header["sampler"]

    assert name(several) == "many_methods (res_2m)"
    assert name(make(many_methods, implicit)) == "many_methods (euler, gauss-legendre_2s)"

    assert name(make(Momentum.sampler, {"inner_sampler": several})) == "Momentum (many_methods (res_2m))"
    assert name(make(around(comfy.samplers.sampler_object("dpmpp_2m")))) == "detailed (dpmpp_2m)"
    for one, listed in ((many_methods, "many_beta"), (late, "euler")):
        monkeypatch.setattr(host, f"sample_{listed}", one, raising=False)
    monkeypatch.setattr(comfy.samplers.KSampler, "SAMPLERS", [*comfy.samplers.KSampler.SAMPLERS, "many_beta"])
    assert name(several) == "many_beta (res_2m)"
    assert name(comfy.samplers.ksampler("many_beta")) == "many_beta"
    assert name(make(late)) == "late"  # its steps are not those of the host's sampler that it stands for


@pytest.mark.parametrize(("model", "function"), [("ve", late), ("flow", late_and_once_more)])
def test_a_sampler_that_reports_after_its_stages_has_its_steps_told_right(labelled, empty_latent, model, function):
    sigmas = [level / 10 for level in LEVELS] if model == "flow" else LEVELS
    trace = trace_of_both(labelled[model], empty_latent(model, 2), comfy.samplers.KSAMPLER(function), sigmas, "tensors")
    assert not trace.header["faults"]
    assert trace.steps["sigma"].tolist() == pytest.approx(sigmas[:-1], rel=1e-6)
    assert trace.steps["sigma_next"].tolist() == pytest.approx(sigmas[1:], rel=1e-6)
    assert trace.steps["evals"].tolist() == [4, 4, 4, 2]
    states = [*trace.tensors["x"][1:].float(), trace.tensors["end"].float()]
    for i, reached in enumerate(states):
        travelled = trace.tensors["x"][i].float() + trace.tensors["move"][i].float()
        assert (travelled - reached).abs().max() <= 4e-3 * max(1.0, float(reached.abs().max()))
    assert check(trace) == []


def test_noise_drawn_before_the_report_is_the_step_s_own(labelled, empty_latent):
    sampler = comfy.samplers.KSAMPLER(noisy_before_it_reports)
    trace = both(labelled["ve"], empty_latent("ve", 2), sampler, LEVELS, "tensors")[2]
    assert trace is not None
    expected = torch.tensor([0.5 * then for then in LEVELS[1:]], dtype=torch.float64)
    assert (trace.column("M8") - expected[:, None]).abs().max() <= 1e-5
    assert not [note for note in trace.header["notes"] if "could not be followed" in note]


@of_the_host
def bending(model, x, sigmas, extra_args, callback, disable, noise_sampler=None):
    """A sampler that does something to its noise that no split survives."""
    noise_sampler = noise_sampler or (lambda *_: torch.ones_like(x))
    for i, (now, then) in enumerate(pairwise(sigmas)):
        denoised = model(x, now.expand(len(x)), **extra_args)
        callback({"x": x, "i": i, "sigma": now, "denoised": denoised})
        x = denoised + then * torch.sin(noise_sampler(now, then))
    return x


def test_noise_that_is_lost_on_its_way_is_said(labelled, empty_latent):
    trace = guided(*labelled["ve"], empty_latent("ve", 1), "euler", sampler=comfy.samplers.KSAMPLER(bending), steps=4)[
        2
    ]
    assert any("noise of 4 steps could not be followed" in note for note in trace.header["notes"])


def two_models(ask, conds, sigma):
    """Asks a second model for u, with a list of conditions that is not the guider's own."""
    (c,) = ask(conds["positive"])
    (u,) = ask(list(conds["negative"]))
    return u + 6.0 * (c - u)


def scheduled(ask, conds, sigma):
    """Plain CFG at high noise, c alone at low noise; the guider's cfg stays."""
    if sigma < 2:
        return ask(conds["positive"])[0]
    c, u = ask(conds["positive"], conds["negative"])
    return u + 6.0 * (c - u)


def listed(ask, conds, sigma):
    """Plain CFG, of a guider whose cfg is a list."""
    c, u = ask(conds["positive"], conds["negative"])
    return u + 6.0 * (c - u)


CFGS = {listed: [6.0, 6.0]}  # of the guiders; 6 for the others


def guider_of(parts, way):
    """A guider of another pack that predicts in this way."""

    class Stranger(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006
            def ask(*conds):
                return comfy.samplers.calc_cond_batch(self.inner_model, list(conds), x, timestep, model_options)

            return way(ask, self.conds, float(timestep[0]))

    guider = Stranger(parts[0])
    guider.inner_set_conds({"positive": parts[1], "negative": parts[2]})
    guider.cfg = CFGS.get(way, 6.0)
    return guider


@pytest.fixture
def watched(labelled, empty_latent):
    def run(way):
        guider = guider_of(labelled["ve"], way)
        sampler = comfy.samplers.sampler_object("euler")
        trace = trace_of_both(labelled["ve"], empty_latent("ve", 3), sampler, LEVELS, "tensors", guider)
        assert not trace.header["faults"]
        assert not check(trace)
        readable(trace)
        return trace

    return run


@pytest.mark.parametrize("way", [two_models, listed])
def test_what_completes_the_line_is_u_and_where_d_lies_on_it_is_gamma(watched, way):
    trace = watched(way)
    assert trace.steps["gamma"].tolist() == [6.0] * 4
    assert trace.stage == ["step"] * 4
    assert trace.header["cfg"] == 6.0
    assert not trace.header["notes"]
    assert trace.column("M1").isfinite().all()
    u, c, d = (trace.tensors[name][0].float() for name in ("uncond", "cond", "guided"))
    assert (d - (u + 6 * (c - u))).abs().max() <= 0.02


def unnamed(ask, conds, sigma):
    """Asks in two calls, under conditions that are nobody's."""
    fresh = {name: [{**entry, "uuid": object()} for entry in entries] for name, entries in conds.items()}
    (u,), (c,) = (ask(fresh[name]) for name in ("negative", "positive"))
    return u + 6.0 * (c - u)


def test_where_nobody_says_what_was_predicted_the_scale_is_unknown_and_said(watched):
    trace = watched(unnamed)
    assert all(math.isnan(gamma) for gamma in trace.steps["gamma"].tolist())
    assert trace.header["cfg"] is None
    assert any("its scale is unknown in 4 of 4 steps" in note for note in trace.header["notes"])
    assert trace.column("M19").isnan().all()


def test_where_only_c_ran_the_scale_is_one(watched):
    trace = watched(scheduled)
    assert trace.steps["gamma"].tolist() == [6.0, 6.0, 1.0, 1.0]
    assert trace.stage == ["step", "step", "cond_only", "cond_only"]
    assert trace.header["cfg"] is None
    assert "the prediction without the prompt was not made in 2 of 4 steps" in trace.header["notes"]


def test_a_chain_without_effect_says_so(labelled, empty_latent):
    chain = Chain((AdaptiveProjected(),))
    _, _, trace = guided(*labelled["ve"], empty_latent("ve"), "euler", cfg=1.0, guidance=chain)
    assert any("no effect" in note for note in trace.header["notes"])
    _, _, trace = guided(*labelled["ve"], empty_latent("ve"), "euler", cfg=3.0, guidance=chain)
    assert not [note for note in trace.header["notes"] if "no effect" in note]
    assert trace.header["seed"] == SEED


def test_a_model_family_is_named_by_its_configuration(host):
    class Patcher:
        def __init__(self, model_class, config):
            self.model = type(model_class, (), {"model_config": config})()

    known = comfy.supported_models
    assert family_of(Patcher("BaseModel", known.SD15({}))) == "SD15"
    assert family_of(Patcher("BaseModel", known.SD20({}))) == "SD20"
    assert family_of(Patcher("Flux", known.FluxSchnell({}))) == "FluxSchnell"
    assert family_of(Patcher("Denoiser", comfy.supported_models_base.BASE({}))) == "Denoiser"
    assert family_of(type("Patcher", (), {"model": type("Odd", (), {})()})) == "Odd"


def tireless(model, x, sigmas, extra_args, callback, disable):
    for _ in range(recorder.MOST_CALLS + 20):
        x = model(x, sigmas[:1].expand(len(x)), **extra_args)
    return x


def silent(model, x, sigmas, extra_args, callback, disable):
    return two_stages(model, x, sigmas, extra_args, lambda info: None)


@pytest.mark.parametrize(("function", "calls"), [(silent, 7), (tireless, 64)])
def test_a_sampler_that_never_reports_is_named_and_does_not_fill_the_memory(labelled, empty_latent, function, calls):
    trace = trace_of_both(labelled["ve"], empty_latent("ve", 2), comfy.samplers.KSAMPLER(function), LEVELS)
    assert trace.n == 0
    (fault,) = trace.header["faults"]
    assert f"{function.__name__} called the model {calls} times" in fault
    assert fault in trace.header["notes"]
    readable(trace)
