"""The schedulers that diffusers exports, watched: no bit of the run changes, and what is recorded is true."""

import pytest
import torch

from guidance_geometry.library.guiders import watch_guider
from guidance_geometry.trace.gram import point

from .scheduler_loops import SCALE, Loop, is_stage, rms, sampled, stated

diffusers = pytest.importorskip("diffusers")
NAMES = sorted(name for name in dir(diffusers) if name.endswith("Scheduler"))
NOT_FOLLOWED = {  # and what the reason says
    "CMStochasticIterativeScheduler": "does not lead to the next one",  # an EDM whose lowest level is not 0
    "DDIMInverseScheduler": "neither add_noise nor scale_noise",
    "DPMSolverMultistepInverseScheduler": "its noise level rises",
}
OF_THEIR_OWN = {  # loops
    *(
        "AmusedScheduler",
        "DDPMWuerstchenScheduler",
        "KarrasVeScheduler",
        "RFD4ProteinaScheduler",
        "ScoreSdeVeScheduler",
    ),
    *("UnCLIPScheduler",),
    *("BlockRefinementScheduler", "CogVideoXDPMScheduler", "DiscreteDDIMScheduler", "EntropyBoundScheduler"),
    *("HeliosDMDScheduler", "HeliosScheduler", "IPNDMScheduler", "LTXEulerAncestralRFScheduler", "PiflowScheduler"),
    *("RePaintScheduler", "SCMScheduler", "VQDiffusionScheduler"),
}
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


def watched(name, config, **loop_too):
    """A run without and with the watch, with it again, what it recorded, and what the scheduler says of each step."""
    scheduler, loop = getattr(diffusers, name)(**config), Loop(**loop_too)
    guider, told = diffusers.guiders.ClassifierFreeGuidance(guidance_scale=SCALE), []

    def seen(asked, u, c, guided, x, given):
        told.append((is_stage(asked, len(told)), [stated(asked, output, x, given) for output in (u, c, guided)], x))

    plain = sampled(scheduler, guider, loop)
    with watch_guider(guider, scheduler) as watch:
        found = sampled(scheduler, guider, loop)
    assert torch.equal(plain, found)
    assert "step" not in vars(scheduler)
    assert "forward" not in vars(guider)
    if name not in NOT_FOLLOWED:
        assert torch.equal(sampled(scheduler, guider, loop, seen), plain)
    return watch, [one for one in told if not one[0]]


@pytest.mark.parametrize(("name", "config"), [*((name, {}) for name in NAMES if name not in OF_THEIR_OWN), *SETTINGS])
def test_no_bit_changes_and_what_is_recorded_is_true(name, config):
    watch, told = watched(name, config)
    if name in NOT_FOLLOWED:
        assert NOT_FOLLOWED[name] in watch.fault
    else:
        holds(watch, told)


def holds(watch, told):
    """Hold a record against what the scheduler said of each step."""
    assert watch.fault == ""
    trace = watch.trace
    assert trace.n == len(told)
    assert trace.stage == ["step"] * trace.n
    for i, (_, (u, c, guided), _) in enumerate(told):
        sizes = {"u": u, "delta": c - u}
        for vector, expected in sizes.items():
            length = (trace.record.dot(vector, vector)[i] / trace.count).sqrt()
            assert torch.allclose(length, rms(expected), rtol=1e-5, atol=0), (i, vector)
        assert torch.allclose(trace.column("M2")[i], rms(c - u), rtol=1e-5, atol=0), i
        length = (trace.record.square(point("D", SCALE))[i] / trace.count).sqrt()
        assert torch.allclose(length, rms(guided), rtol=1e-4), i


def test_timesteps_that_are_alike_after_rounding_are_told_apart():
    watch, told = watched(
        "DPMSolverMultistepScheduler", {"use_karras_sigmas": True}, steps={"num_inference_steps": 100}
    )
    assert len(set(watch.scheduler.timesteps.tolist())) < 100
    holds(watch, told)


def later(scheduler):
    """The timesteps of a run that begins with a picture: all but the first two of six steps."""
    first = 2 * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return scheduler.timesteps[first:]


@pytest.mark.parametrize("name", ["HeunDiscreteScheduler", "FlowMatchEulerDiscreteScheduler"])
def test_a_run_may_begin_with_a_picture_and_its_network_have_half_precision(name):
    watch, told = watched(name, {}, timesteps=later)
    holds(watch, told)
    assert watch.trace.n == 4
    half = watched(name, {}, output=lambda x, y: Loop.output(x, y).bfloat16())[0]
    assert (half.fault, half.trace.n, half.trace.header["host"]["dtype"]) == ("", 6, "bfloat16")
    assert half.trace.steps["floor"][0] > 100 * watch.trace.steps["floor"][0]


def test_what_was_watched_goes_on_from_one_state_to_the_next():
    trace = watched("DDIMScheduler", {})[0].trace
    x, tip = ({"u": 1.0, "a": -1.0}, {"u": 1.0, "a": -1.0, "move": 1.0})
    for i in range(trace.n - 1):
        reached, begun = trace.record.square(tip)[i], trace.record.square(x)[i + 1]
        assert torch.allclose(reached, begun, rtol=1e-6)
        assert trace.steps["sigma_next"][i] == trace.steps["sigma"][i + 1]


def test_a_scheduler_whose_steps_do_not_fit_its_levels_ends_the_record_with_a_sentence():
    watch, _ = watched("DDIMScheduler", {"timestep_spacing": "linspace"})
    assert "DDIMScheduler is not followed: its step from noise level" in watch.fault
    with pytest.raises(ValueError, match="does not lead to the next one"):
        _ = watch.trace


@pytest.mark.parametrize("name", ["DDPMScheduler", "DPMSolverSDEScheduler"])
def test_noise_of_the_one_generator_of_all_is_left_alone(name):
    scheduler, guider = getattr(diffusers, name)(), diffusers.guiders.ClassifierFreeGuidance(guidance_scale=SCALE)
    loop = Loop(arguments=lambda: {"generator": None} if "SDE" not in name else {})
    plain, after = sampled(scheduler, guider, loop), torch.rand(1)
    with watch_guider(guider, scheduler) as watch:
        assert torch.equal(sampled(scheduler, guider, loop), plain)
        assert torch.equal(torch.rand(1), after)
    assert watch.fault == ""


def broken(monkeypatch, after):
    """The watch, with a fault in what it does at a step after so many."""
    from guidance_geometry.library import guiders

    calls, taken = [], guiders.GuiderWatch._step

    def step(self, *given):
        calls.append(given)
        if len(calls) > after:
            raise RuntimeError("boom")
        return taken(self, *given)

    monkeypatch.setattr(guiders.GuiderWatch, "_step", step)


def test_a_fault_ends_the_record_and_not_the_run(monkeypatch):
    whole = watched("EulerDiscreteScheduler", {})[0].trace
    broken(monkeypatch, 2)
    watch, _ = watched("EulerDiscreteScheduler", {})
    assert "RuntimeError" in watch.fault
    trace = watch.trace
    assert trace.n == 2
    assert trace.header["faults"] == [f"not recorded from step 3 on: {watch.fault}"]
    assert torch.allclose(trace.steps["K"][:, :, :6], whole.steps["K"][:2, :, :6], equal_nan=True)
    assert "boom" in trace.report().text()
    assert "incomplete" in repr(trace)
    broken(monkeypatch, 0)
    with pytest.raises(ValueError, match="boom"):
        _ = watched("EulerDiscreteScheduler", {})[0].trace
    with watch_guider(object(), object()) as watch:
        pass
    with pytest.raises(ValueError, match="took no step"):
        _ = watch.trace
