"""Sampling under observation gives the bits of sampling without it."""

import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy_extras import nodes_custom_sampler as custom

from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.nodes.sampling import GGGuidedSampler, GGInspectedSampler
from guidance_geometry.trace.checks import check

from .runs import CFG, SEED, STEPS, guided, half_mask, ksampler, names

SCHEDULERS = ("simple", "karras", "normal", "sgm_uniform")


def test_every_sampler_gives_the_host_pixels(labelled, empty_latent):
    """The samplers take their turns at models, schedulers, captures and sizes of a batch."""
    different = []
    for i, name in enumerate(names()):
        model = ("ve", "flow", "pocket")[i % 3]
        latent = empty_latent(model, (1, 2)[i % 2])
        run = {"scheduler": SCHEDULERS[i % 4], "steps": 4}
        expected = ksampler(*labelled[model], latent, name, **run)
        out, _, trace = guided(*labelled[model], latent, name, capture=("numbers", "tensors")[i // 2 % 2], **run)
        if not torch.equal(out["samples"], expected):
            different.append(name)
        assert trace.batch == len(latent["samples"])
        assert trace.n > 0
        assert not check(trace), (name, check(trace))
    assert not different


@pytest.fixture
def runs(labelled, empty_latent):
    """Samplers with a MODEL, its conditions and a LATENT: ve and flow in turn, every third under a noise mask."""
    found = []
    for i, name in enumerate(names()):
        model = ("ve", "flow")[i % 2]
        latent = empty_latent(model, 2)
        found.append((name, *labelled[model], latent if i % 3 else half_mask(latent)))
    return found


def test_a_recorded_model_gives_the_host_pixels(runs):
    """KSampler with one node added: bit-equal for all names, and the trace has every step."""
    for name, plain, positive, negative, latent in runs[::2]:
        expected = ksampler(plain, positive, negative, latent, name, steps=4)
        recorded, recorder = GGRecord.execute(plain, "tensors").args
        found = ksampler(recorded, positive, negative, latent, name, steps=4)
        trace, passed = GGReadTrace.execute(recorder, {"samples": found}).args
        assert torch.equal(found, expected), name
        assert passed["samples"] is found
        assert trace.n == 4 or name in ("dpm_fast", "dpm_adaptive"), name
        assert not check(trace), (name, check(trace))


def test_custom_samplers_give_the_host_pixels(runs):
    noise, run = custom.Noise_RandomNoise(SEED), custom.SamplerCustomAdvanced.execute
    for name, plain, positive, negative, latent in runs[1::4]:
        sigmas = comfy.samplers.calculate_sigmas(plain.get_model_object("model_sampling"), "simple", 4)
        sampler = comfy.samplers.sampler_object(name)
        recorded, recorder = GGRecord.execute(plain, "pictures").args
        models = (plain, recorded)
        guiders = [custom.CFGGuider.execute(one, positive, negative, CFG)[0] for one in models]
        theirs, added = (run(noise, one, sampler, sigmas.clone(), latent)[0]["samples"] for one in guiders)
        given = ((True, SEED, CFG, positive, negative, sampler, sigmas.clone(), latent) for _ in models)
        pairs = (custom.SamplerCustom.execute(one, *more).args for one, more in zip(models, given, strict=True))
        (expected, expected_clean), (found, found_clean) = pairs
        out, clean, trace = GGInspectedSampler.execute(noise, guiders[0], sampler, sigmas, latent).args
        assert torch.equal(added, theirs), name
        assert torch.equal(out["samples"], theirs), name
        assert torch.equal(found["samples"], expected["samples"]), name
        assert torch.equal(clean["samples"], expected_clean["samples"]), name
        assert torch.equal(found_clean["samples"], expected_clean["samples"]), name
        assert trace.n == recorder.runs[-1].trace.n
        assert sigmas[-1] == 0, "the recorder must not let a sampler write into the schedule"


@pytest.mark.parametrize(("name", "cfg"), [("euler", 0.0), ("euler_cfg_pp", 1.0)])
def test_every_scale_gives_the_host_pixels(labelled, empty_latent, cfg, name):
    arguments = (*labelled["ve"], {**empty_latent("ve"), "batch_index": [4, 0, 4]}, name)
    assert torch.equal(guided(*arguments, cfg=cfg)[0]["samples"], ksampler(*arguments, cfg=cfg))


@pytest.mark.parametrize("denoise", [0.0, 0.4])
def test_partial_denoising_gives_the_host_pixels(labelled, empty_latent, denoise):
    latent = half_mask(empty_latent("ve"))
    arguments = (*labelled["ve"], latent, "euler")
    out, _, trace = guided(*arguments, denoise=denoise)
    assert torch.equal(out["samples"], ksampler(*arguments, denoise=denoise))
    assert trace.n == (STEPS if denoise else 0)
    assert "noise_mask" in out


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
    assert trace.header["split"].startswith("noise not observable")
