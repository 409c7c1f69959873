"""Every call and every complete step of a run, in full precision."""

import inspect

import comfy.sample
import comfy.samplers
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.host.guided_run import chain_guider
from guidance_geometry.host.host_run import host_run
from guidance_geometry.host.recording import Recording, Watch

from .runs import CFG, SEED, STEPS

HIDDEN_STATE = ("sa_solver", "sa_solver_pece", "uni_pc", "uni_pc_bh2")  # the x they show the model is not their state


class Collected:
    """A SAMPLER that samples under observation and keeps every call and every complete step in full precision."""

    def __new__(cls, inner, calls, steps):
        class Sampler(comfy.samplers.Sampler):
            def sample(self, guider, sigmas, extra_args, callback, *rest):
                watch = Watch(Recording("numbers"), host_run(inner, guider, sigmas, extra_args, masked=False))
                watch.recorder.commit = steps.append
                watch.listen(extra_args["model_options"])
                note = watch.recorder.begin_call
                watch.recorder.begin_call = lambda x, sigma: calls.append(note(x, sigma)) or calls[-1]
                return watch.sample(lambda sampler, *r: sampler.sample(*r), extra_args, callback, rest)

        return Sampler()


class Replayed:
    """Answers for the model with the recorded predictions, and puts the recorded state under the sampler's feet."""

    def __init__(self, model, calls, steps, arrived):
        self.inner_model, self.calls, self.steps, self.arrived = model.inner_model, list(calls), steps, arrived

    def __call__(self, x, sigma, model_options=None, **_):
        call = self.calls.pop(0)
        step = next((s for s in self.steps if s.x is call.x), None)
        if step is not None:
            self.arrived[step.index] = x.clone()
            x.copy_(call.x)
        for function in (model_options or {}).get("sampler_post_cfg_function", []):
            seen = call.evaluation
            function({"denoised": seen.denoised, "uncond_denoised": seen.uncond, "cond_denoised": seen.cond})
        return call.evaluation.denoised.clone()


class Replaying:
    """A SAMPLER that, inside a real run, reruns the sampler function on what `Collected` kept."""

    def __new__(cls, inner, calls, steps, arrived):
        class Sampler(comfy.samplers.Sampler):
            def sample(self, guider, sigmas, extra_args, callback, noise, *rest):
                model = comfy.samplers.KSamplerX0Inpaint(guider, sigmas)
                function = inner.sampler_function
                quiet = {}
                if "noise_sampler" in inspect.signature(function).parameters:
                    quiet = {"noise_sampler": lambda *_: torch.zeros_like(steps[0].x)}
                stand_in = Replayed(model, calls, steps, arrived)
                start = steps[0].x.clone()
                end = function(
                    stand_in, start, sigmas, extra_args=extra_args, callback=lambda i: None, disable=True, **quiet
                )
                arrived[len(steps)] = end
                return end

        return Sampler()


def collect(labelled, empty_latent, model, name, cfg=CFG):
    patcher = labelled[model][0]
    sigmas = comfy.samplers.KSampler(patcher, STEPS, patcher.load_device, name, "karras", 1.0).sigmas
    latent = empty_latent(model)["samples"]
    noise = comfy.sample.prepare_noise(latent, SEED)
    inner = comfy.samplers.sampler_object(name)
    calls, steps, arrived = [], [], {}

    def run(sampler):
        guider = chain_guider(*labelled[model], cfg=cfg, guidance=PLAIN)
        guider.sample(noise, latent, sampler, sigmas, disable_pbar=True, seed=SEED)

    run(Collected(inner, calls, steps))
    if name not in HIDDEN_STATE:
        run(Replaying(inner, calls, steps, arrived))
    return steps, arrived


def observed(parts, latent, inner, guidance):
    """The complete steps of a run in full precision.  inner: a SAMPLER, or the name of one"""
    inner = comfy.samplers.sampler_object(inner) if isinstance(inner, str) else inner
    sigmas = comfy.samplers.KSampler(parts[0], STEPS, parts[0].load_device, "euler", "karras", 1.0).sigmas
    noise = comfy.sample.prepare_noise(latent["samples"], SEED)
    steps = []
    guider = chain_guider(*parts, cfg=1.0, guidance=guidance)
    guider.sample(noise, latent["samples"], Collected(inner, [], steps), sigmas, disable_pbar=True, seed=SEED)
    return steps
