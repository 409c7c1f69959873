"""Sampling under observation gives the bits of sampling without it."""

from itertools import pairwise

import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy_extras import nodes_custom_sampler as custom
from comfy_extras import nodes_perpneg as perpneg

from guidance_geometry.host.native_model import conditioning
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.nodes.sampling import GGGuidedSampler, GGInspectedSampler
from guidance_geometry.trace.checks import check
from guidance_geometry.verdict.sampler_class import sampler_class

from .runs import CFG, SEED, STEPS, guided, half_mask, host_nodes, inspected, ksampler, names

SCHEDULERS = ("simple", "karras", "normal", "sgm_uniform")


@pytest.mark.slow
@pytest.mark.matrix(parts=12)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("model", ["pocket", "ve", "flow"])
def test_every_sampler_gives_the_host_pixels(labelled, empty_latent, model, batch, scheduler):
    latent = empty_latent(model, batch)
    different = []
    for name in names():
        expected = ksampler(*labelled[model], latent, name, scheduler=scheduler)
        for capture in ("numbers", "tensors"):
            out, _, trace = guided(*labelled[model], latent, name, scheduler=scheduler, capture=capture)
            if not torch.equal(out["samples"], expected):
                different.append((name, capture))
            assert trace.batch == batch
            assert trace.n > 0
            assert not check(trace), (name, check(trace))
    assert not different


@pytest.fixture(params=[False, True], ids=["plain", "masked"])
def latent_for(request, empty_latent):
    """name -> a LATENT for the model of this name, empty or with a picture and a noise mask over half of it."""
    return lambda name: half_mask(empty_latent(name)) if request.param else empty_latent(name)


@pytest.mark.matrix(parts=3)
@pytest.mark.parametrize("model", ["ve", "flow"])
def test_a_recorded_model_gives_the_host_pixels(labelled, latent_for, model):
    """KSampler with one node added: bit-equal for all names, and the trace has every step."""
    plain, positive, negative = labelled[model]
    latent = latent_for(model)
    for name in names():
        expected = ksampler(plain, positive, negative, latent, name)
        recorded, recorder = GGRecord.execute(plain, "tensors").args
        found = ksampler(recorded, positive, negative, latent, name)
        trace, passed = GGReadTrace.execute(recorder, {"samples": found}).args
        assert torch.equal(found, expected), name
        assert passed["samples"] is found
        assert trace.n == STEPS or name in ("dpm_fast", "dpm_adaptive"), name
        assert not check(trace), (name, check(trace))


@pytest.mark.matrix(parts=3)
@pytest.mark.parametrize("model", ["ve", "flow"])
def test_two_recorded_halves_give_the_host_pixels(labelled, latent_for, model):
    plain, positive, negative = labelled[model]

    def halves(patched, name):
        advanced = host_nodes().KSamplerAdvanced().sample
        settings = (STEPS, CFG, name, "karras", positive, negative)
        half = advanced(patched, "enable", SEED, *settings, latent_for(model), 0, 3, "enable")[0]
        return half, advanced(patched, "disable", SEED, *settings, half, 3, 10000, "disable")[0]

    for name in names():
        recorded, recorder = GGRecord.execute(plain, "numbers").args
        found, expected = halves(recorded, name), halves(plain, name)
        assert torch.equal(found[1]["samples"], expected[1]["samples"]), name
        first, last = (GGReadTrace.execute(recorder, latent)[0] for latent in found)
        assert first.header["sigmas"][-1] == last.header["sigmas"][0]


@pytest.mark.matrix(parts=3)
@pytest.mark.parametrize("model", ["ve", "flow"])
def test_custom_samplers_give_the_host_pixels(labelled, latent_for, model):
    plain, positive, negative = labelled[model]
    sampling = plain.get_model_object("model_sampling")
    noise = custom.Noise_RandomNoise(SEED)
    for name in names():
        sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", STEPS)
        sampler = comfy.samplers.sampler_object(name)

        def with_custom(patched, name=name, sampler=sampler, sigmas=sigmas):
            return custom.SamplerCustom.execute(
                patched, True, SEED, CFG, positive, negative, sampler, sigmas.clone(), latent_for(model)
            ).args

        recorded, recorder = GGRecord.execute(plain, "pictures").args
        expected, expected_clean = with_custom(plain)
        found, found_clean = with_custom(recorded)
        guider = custom.CFGGuider.execute(plain, positive, negative, CFG)[0]
        advanced = custom.SamplerCustomAdvanced.execute
        theirs, _ = advanced(noise, guider, sampler, sigmas.clone(), latent_for(model)).args
        watched = custom.CFGGuider.execute(recorded, positive, negative, CFG)[0]
        added, _ = advanced(noise, watched, sampler, sigmas.clone(), latent_for(model)).args
        out, clean, trace = GGInspectedSampler.execute(noise, guider, sampler, sigmas, latent_for(model)).args
        assert torch.equal(added["samples"], theirs["samples"]), name
        assert torch.equal(out["samples"], theirs["samples"]), name
        assert torch.equal(found["samples"], expected["samples"]), name
        assert torch.equal(out["samples"], expected["samples"]), name
        assert torch.equal(clean["samples"], expected_clean["samples"]), name
        assert torch.equal(found_clean["samples"], expected_clean["samples"]), name
        assert trace.n == recorder.runs[-1].trace.n
        assert sigmas[-1] == 0, "the recorder must not let a sampler write into the schedule"


@pytest.mark.parametrize("cfg", [0.0, 1.0, 7.5])
@pytest.mark.parametrize("name", ["euler", "euler_cfg_pp", "dpmpp_2m"])
def test_every_scale_gives_the_host_pixels(labelled, empty_latent, cfg, name):
    arguments = (*labelled["ve"], empty_latent("ve"), name)
    assert torch.equal(guided(*arguments, cfg=cfg)[0]["samples"], ksampler(*arguments, cfg=cfg))


@pytest.mark.parametrize("denoise", [0.0, 0.4])
def test_partial_denoising_gives_the_host_pixels(labelled, empty_latent, denoise):
    latent = half_mask(empty_latent("ve"))
    arguments = (*labelled["ve"], latent, "euler")
    out, _, trace = guided(*arguments, denoise=denoise)
    assert torch.equal(out["samples"], ksampler(*arguments, denoise=denoise))
    assert trace.n == (STEPS if denoise else 0)
    assert "noise_mask" in out


def test_a_batch_index_gives_the_host_pixels(labelled, empty_latent):
    latent = {**empty_latent("ve"), "batch_index": [4, 0, 4]}
    arguments = (*labelled["ve"], latent, "euler")
    assert torch.equal(guided(*arguments)[0]["samples"], ksampler(*arguments))


def test_wrappers_of_other_packs_are_still_called(labelled, empty_latent):
    plain, positive, negative = labelled["ve"]
    called = []

    def watching(who):
        def wrapper(executor, *arguments):
            called.append(who)
            return executor(*arguments)

        return wrapper

    kind = comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE
    before = plain.clone()
    before.add_wrapper_with_key(kind, "first pack", watching("first"))
    after = GGRecord.execute(before, "numbers")[0].clone()
    after.add_wrapper_with_key(kind, "last pack", watching("last"))
    ksampler(after, positive, negative, empty_latent("ve"), "euler")
    assert called == ["first", "last"]


def test_a_foreign_sampler_object_is_recorded_without_changing_a_bit(labelled, empty_latent):
    class Halving(comfy.samplers.Sampler):
        def sample(self, guider, sigmas, extra_args, callback, noise, latent=None, mask=None, disable_pbar=False):
            x = noise * sigmas[0]
            for i, sigma in enumerate(sigmas[:-1]):
                denoised = guider(x, sigma * x.new_ones(len(x)), **extra_args)
                if callback:
                    callback(i, denoised, x, len(sigmas) - 1)
                x = (x + denoised) / 2
            return x

    model, positive, negative = labelled["ve"]
    sigmas = comfy.samplers.KSampler(model, STEPS, model.load_device, "euler", "karras", 1.0).sigmas
    latent = empty_latent("ve")
    noise = comfy.sample.prepare_noise(latent["samples"], SEED)
    expected = comfy.sample.sample_custom(
        model, noise, CFG, Halving(), sigmas, positive, negative, latent["samples"], seed=SEED
    )
    out, _, trace = GGGuidedSampler.execute(
        model, SEED, STEPS, CFG, "euler", "karras", positive, negative, latent, sampler=Halving()
    ).args
    assert torch.equal(out["samples"], expected)
    assert trace.n == STEPS
    assert trace.header["split"].startswith("noise not observable: a sampler of another kind")


@pytest.mark.parametrize(("noise", "expected"), [(0.0, "ode-few"), (0.1, "unseen-few")])
def test_noise_that_nobody_sees_is_not_taken_for_none(labelled, empty_latent, noise, expected):
    def sample_theirs(model, x, sigmas, extra_args, callback, disable):
        for i, (sigma, following) in enumerate(pairwise(sigmas)):
            denoised = model(x, sigma * x.new_ones(len(x)), **extra_args)
            if callback:
                callback({"x": x, "i": i, "sigma": sigma, "sigma_hat": sigma, "denoised": denoised})
            x = denoised + (x - denoised) * following / sigma + noise * following * torch.randn_like(x)
        return x

    model, positive, negative = labelled["ve"]
    sampler = comfy.samplers.KSAMPLER(sample_theirs)
    given = (model, SEED, STEPS, CFG, "euler", "karras", positive, negative, empty_latent("ve"))
    trace = GGGuidedSampler.execute(*given, sampler=sampler)[2]
    assert sampler_class(trace) == expected


@pytest.mark.parametrize(("churn", "expected"), [(0.0, "ode-few"), (5.0, "unseen-few")])
def test_churned_noise_is_not_taken_for_none(labelled, empty_latent, churn, expected):
    model, positive, negative = labelled["ve"]
    sampler = comfy.samplers.ksampler("euler", {"s_churn": churn})
    given = (model, SEED, STEPS, CFG, "euler", "karras", positive, negative, empty_latent("ve"))
    assert sampler_class(GGGuidedSampler.execute(*given, sampler=sampler)[2]) == expected


def foreign_guiders(model, positive, negative):
    """Guiders of the host that are not its plain CFG."""
    other = conditioning([1])
    return {
        "basic": custom.BasicGuider.execute(model, positive)[0],
        "dual": custom.DualCFGGuider.execute(model, positive, positive, negative, 3.0, 1.5, "regular")[0],
        "perp-neg": perpneg.PerpNegGuider.execute(model, positive, other, negative, 3.0, 0.5)[0],
    }


@pytest.mark.parametrize("kind", ["basic", "dual", "perp-neg"])
@pytest.mark.parametrize("name", ["euler", "dpmpp_2m_sde", "heun"])
def test_a_guider_of_another_kind_keeps_its_pixels(labelled, empty_latent, kind, name):
    trace = inspected(foreign_guiders(*labelled["pocket"])[kind], empty_latent("pocket"), name)
    assert trace.n == STEPS
    assert not check(trace)
    assert trace.stage[0] == ("cond_only" if kind == "basic" else "step")
