"""The split of a step into move and noise, held against re-running each sampler without noise."""

import pytest
import torch

from .test_bits import CFG, SEED, STEPS, names

HIDDEN_STATE = ("sa_solver", "sa_solver_pece", "uni_pc", "uni_pc_bh2")  # the x they show the model is not their state
BOUND = {"ve": 5e-5, "flow": 1.5e-6}  # in units of sigma; ddpm and cfg_pp on VE rescale the state to unit variance


class Collected:
    """A SAMPLER that samples under observation and keeps every call and every complete step in full precision."""

    def __new__(cls, inner, calls, steps):
        import comfy.samplers

        from guidance_geometry.host.host_run import host_run
        from guidance_geometry.host.recording import Recording, Watch

        class Sampler(comfy.samplers.Sampler):
            def sample(self, guider, sigmas, extra_args, callback, *rest):
                watch = Watch(Recording("numbers"), host_run(inner, guider, sigmas, extra_args, masked=False))
                watch.recorder.commit = steps.append
                watch.listen(extra_args["model_options"])
                note = watch.recorder.called
                watch.recorder.called = lambda x, sigma: calls.append(note(x, sigma)) or calls[-1]
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
        import inspect

        import comfy.samplers

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


def guider_over(labelled, model, cfg):
    from guidance_geometry.guidance.chain import PLAIN
    from guidance_geometry.host.guider import chain_guider

    return chain_guider(*labelled[model], cfg, PLAIN)


def collect(labelled, empty_latent, model, name, cfg=CFG):
    import comfy.sample
    import comfy.samplers

    patcher = labelled[model][0]
    sigmas = comfy.samplers.KSampler(patcher, STEPS, patcher.load_device, name, "karras", 1.0).sigmas
    latent = empty_latent(model)["samples"]
    noise = comfy.sample.prepare_noise(latent, SEED)
    inner = comfy.samplers.sampler_object(name)
    calls, steps, arrived = [], [], {}

    def run(sampler):
        guider_over(labelled, model, cfg).sample(noise, latent, sampler, sigmas, disable_pbar=True, seed=SEED)

    run(Collected(inner, calls, steps))
    if name not in HIDDEN_STATE:
        run(Replaying(inner, calls, steps, arrived))
    return steps, arrived


@pytest.mark.parametrize("model", ["ve", "flow"])
def test_a_rerun_without_noise_arrives_where_the_move_says(labelled, empty_latent, model):
    checked = []
    for name in names():
        steps, arrived = collect(labelled, empty_latent, model, name)
        if name in HIDDEN_STATE:
            continue
        for step in steps:
            reached = arrived[step.index + 1]
            error = float((reached - step.x - step.move).abs().max())
            rounding = 4 * torch.finfo(torch.float32).eps * float(step.x.abs().max())
            assert error <= BOUND[model] * step.sigma + rounding, (name, step.index, error)
        checked.append(name)
    assert len(checked) == len(names()) - len(HIDDEN_STATE)


@pytest.mark.parametrize("model", ["ve", "flow"])
def test_the_noise_is_what_the_formula_says(labelled, empty_latent, model):
    """euler_ancestral: sigma_up of the published formulas, over N = 3 x 192 elements."""
    steps, _ = collect(labelled, empty_latent, model, "euler_ancestral")
    for step in steps[:-1]:
        s, t = step.sigma, step.sigma_next
        down = t * t / s
        expected = (t * t - down * down) ** 0.5
        if model == "flow":
            expected = (t * t - (down * (1 - t) / (1 - down)) ** 2) ** 0.5
        assert float(step.noise.std()) == pytest.approx(expected, rel=0.15)
    assert steps[-1].noise is None


def test_deterministic_samplers_have_no_noise(labelled, empty_latent):
    quiet = ("euler", "heun", "dpm_2", "lms", "dpmpp_2m", "ipndm", "deis", "uni_pc", "res_multistep", "dpm_adaptive")
    for name in quiet:
        steps, _ = collect(labelled, empty_latent, "ve", name)
        assert all(step.noise is None or step.noise.abs().max() == 0 for step in steps), name


def test_a_sampler_that_cannot_be_checked_says_so(labelled, empty_latent):
    from .test_bits import guided

    known = guided(*labelled["ve"], empty_latent("ve"), "euler")[2]
    unknown = guided(*labelled["ve"], empty_latent("ve"), "seeds_2")[2]
    assert known.header["split"].endswith("checked by the step's formula")
    assert known.column("M12").max() <= 1e-5
    assert unknown.header["split"].endswith("not verified by a formula")
    assert unknown.column("M12").isnan().all()
