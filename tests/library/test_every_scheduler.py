"""The schedulers that diffusers exports, watched: no bit of the run changes, and what is recorded is true."""

import copy
import inspect

import pytest
import torch

from guidance_geometry.library.guiders import watch_guider
from guidance_geometry.trace.gram import point

diffusers = pytest.importorskip("diffusers")
STEPS, BATCH, SCALE = 6, 2, 4.0
NAMES = sorted(name for name in dir(diffusers) if name.endswith("Scheduler"))
NOT_FOLLOWED = {  # and what the reason says
    "CMStochasticIterativeScheduler": "does not lead to the next one",  # an EDM whose lowest level is not 0
    "DDIMInverseScheduler": "neither add_noise nor scale_noise",
    "DPMSolverMultistepInverseScheduler": "its noise level rises",
}
OF_THEIR_OWN = (  # loops
    *("Amused", "DDPMWuerstchen", "KarrasVe", "RFD4Proteina", "ScoreSdeVe", "UnCLIP", "BlockRefinement"),
    *("CogVideoXDPM", "DiscreteDDIM", "EntropyBound", "HeliosDMD", "Helios", "IPNDM", "LTXEulerAncestralRF"),
    *("Piflow", "RePaint", "SCM", "VQDiffusion"),
)
SILENT = ("PNDM", "LCM", "TCD", "FlowMatchLCM", "FlowMatchHeunDiscrete", "FlowMapEulerDiscrete", "MiniMaxH3")
SILENT += ("DEISMultistep",)  # these hand out no x0-hat to hold a record against
SETTINGS = [
    ("EulerDiscreteScheduler", {"prediction_type": "v_prediction", "use_karras_sigmas": True}),
    (
        "DDIMScheduler",
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    ),
    ("UniPCMultistepScheduler", {"prediction_type": "flow_prediction", "use_flow_sigmas": True}),
    ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True}),
    ("DPMSolverMultistepScheduler", {"thresholding": True, "prediction_type": "sample"}),
    ("FlowMatchEulerDiscreteScheduler", {"stochastic_sampling": True}),
]


def output_of(x, condition):
    """What a tiny network says of a state."""
    weight = torch.randn(4, 4, generator=torch.Generator().manual_seed(3)) / 4
    return torch.sin(torch.einsum("bc...,cd->bd...", x.float(), weight) + 0.3 * condition)


def sampled(scheduler, guider, seen=lambda *_: None, timesteps=lambda scheduler: scheduler.timesteps, **more_of_a_step):
    """One run, as a pipeline calls them.  seen: is shown scheduler, u, c, the guided output and a step's arguments"""
    torch.manual_seed(1)
    scheduler.set_timesteps(num_inference_steps=STEPS)
    start = torch.randn(BATCH, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    x, random = start * float(vars(scheduler).get("init_noise_sigma", 1.0)), torch.Generator().manual_seed(1)
    known = inspect.signature(scheduler.step).parameters
    for t in timesteps(scheduler):
        given = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        u, c = (output_of(given, condition) for condition in (0, 1))
        guided = guider.forward(pred_cond=c, pred_uncond=u).pred
        usual = {"generator": random, "timestep": t, "sample": x}
        more = {name: value for name, value in usual.items() if name in known} | more_of_a_step
        seen(scheduler, u, c, guided, more)
        if "return_dict" in known:
            more["return_dict"] = False
        x = scheduler.step(guided, **more)[0]
    return x


def stated(scheduler, output, given):
    """x0-hat [B, ...] as a scheduler says it itself, in float64, unclipped."""
    asked = copy.copy(scheduler)
    asked.noise_sampler = None  # a tree of noise cannot be copied
    asked = copy.deepcopy(asked)
    vars(asked).pop("step", None)
    asked.register_to_config(**{name: False for name in ("thresholding", "clip_sample") if name in asked.config})
    if getattr(asked, "step_index", 0) is None and hasattr(asked, "_init_step_index"):
        asked._init_step_index(given["timestep"])
    output, x = output.double(), given["sample"].double()
    if type(scheduler).__name__ == "FlowMatchEulerDiscreteScheduler":
        return x - asked.sigmas[asked.step_index] * output
    if hasattr(asked, "convert_model_output"):
        return asked.convert_model_output(output, sample=x)
    alone = {"generator": torch.Generator()} if "generator" in given else {}
    with torch.random.fork_rng(devices=[]):
        return asked.step(output, **{**given, **alone, "sample": x}).pred_original_sample


def watched(name, config, **loop_too):
    """A run without and with the watch, with it again, what it recorded, and what the scheduler says of each step."""
    scheduler, told = getattr(diffusers, name)(**config), []
    guider = diffusers.guiders.ClassifierFreeGuidance(guidance_scale=SCALE)

    def seen(asked, u, c, guided, given):
        if getattr(asked, "state_in_first_order", True):  # else it is a further evaluation of the step before
            told.append([stated(asked, output, given) for output in (u, c, guided)])

    plain = sampled(scheduler, guider, **loop_too)
    with watch_guider(guider, scheduler) as watch:
        found = sampled(scheduler, guider, **loop_too)
    assert torch.equal(plain, found)
    assert "step" not in vars(scheduler)
    assert "forward" not in vars(guider)
    if name not in NOT_FOLLOWED and name.removesuffix("Scheduler") not in SILENT:
        assert torch.equal(sampled(scheduler, guider, seen, **loop_too), plain)
    return watch, told


@pytest.mark.parametrize(
    ("name", "config"),
    [*((name, {}) for name in NAMES if name.removesuffix("Scheduler") not in OF_THEIR_OWN), *SETTINGS],
)
def test_no_bit_changes_and_what_is_recorded_is_true(name, config):
    watch, told = watched(name, config)
    if name in NOT_FOLLOWED:
        assert NOT_FOLLOWED[name] in watch.fault
    elif told:
        holds(watch, told)
    else:
        assert watch.fault == ""
        assert watch.trace.n >= STEPS - 1


def rms(v):
    return v.double().square().flatten(1).mean(dim=1).sqrt()


def holds(watch, told):
    """Hold a record against what the scheduler said of each step."""
    assert watch.fault == ""
    trace = watch.trace
    assert trace.stage == ["step"] * len(told)
    for i, (u, c, guided) in enumerate(told):
        for vector, expected in {"u": u, "delta": c - u}.items():
            length = (trace.record.dot(vector, vector)[i] / trace.count).sqrt()
            assert torch.allclose(length, rms(expected), rtol=1e-5, atol=0), (i, vector)
        length = (trace.record.square(point("D", SCALE))[i] / trace.count).sqrt()
        assert torch.allclose(length, rms(guided), rtol=1e-4), i


@pytest.mark.parametrize("name", ["HeunDiscreteScheduler", "FlowMatchEulerDiscreteScheduler"])
def test_a_run_may_begin_with_a_picture(name):
    """With all but the first two of six steps."""

    def later(scheduler):
        first = 2 * scheduler.order
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(first)
        return scheduler.timesteps[first:]

    watch, told = watched(name, {}, timesteps=later)
    holds(watch, told)
    assert watch.trace.n == 4


def test_a_scheduler_whose_steps_do_not_fit_its_levels_ends_the_record_with_a_sentence():
    watch, _ = watched("DDIMScheduler", {"timestep_spacing": "linspace"})
    assert "DDIMScheduler is not followed: its step from noise level" in watch.fault
    with pytest.raises(ValueError, match="does not lead to the next one"):
        _ = watch.trace


def test_noise_of_the_one_generator_of_all_is_left_alone():
    scheduler, guider = diffusers.DDPMScheduler(), diffusers.guiders.ClassifierFreeGuidance(guidance_scale=SCALE)
    plain, after = sampled(scheduler, guider, generator=None), torch.rand(1)
    with watch_guider(guider, scheduler) as watch:
        assert torch.equal(sampled(scheduler, guider, generator=None), plain)
        assert torch.equal(torch.rand(1), after)
    assert watch.fault == ""


def test_a_fault_ends_the_record_and_not_the_run(monkeypatch):
    from guidance_geometry.library import guiders

    whole = watched("EulerDiscreteScheduler", {})[0].trace
    calls, taken = [], guiders.GuiderWatch._step

    def broken(self, *given):
        calls.append(given)
        if len(calls) > 2:
            raise RuntimeError("boom")
        return taken(self, *given)

    monkeypatch.setattr(guiders.GuiderWatch, "_step", broken)
    watch, _ = watched("EulerDiscreteScheduler", {})
    trace = watch.trace
    assert trace.n == 2
    assert trace.header["faults"] == [f"not recorded from step 3 on: {watch.fault}"]
    assert torch.allclose(trace.steps["K"][:, :, :6], whole.steps["K"][:2, :, :6], equal_nan=True)
    assert "boom" in trace.report().text()
    with watch_guider(object(), object()) as watch:
        pass
    with pytest.raises(ValueError, match="took no step"):
        _ = watch.trace
