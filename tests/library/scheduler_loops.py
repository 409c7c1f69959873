"""A tiny pipeline for the schedulers that diffusers exports, called as its pipelines call them."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

STEPS, BATCH, SCALE = 6, 2, 4.0


@dataclass
class Loop:
    """What a run needs beside the usual.

    steps: arguments of `set_timesteps`. timesteps: those that are run. arguments: further ones of a step. output: of
    the network, for a state and a condition.
    """

    steps: dict = field(default_factory=dict)
    timesteps: Callable = lambda scheduler: scheduler.timesteps
    arguments: Callable = dict
    output: Callable = lambda x, condition: torch.sin(mixed(x.float()) + 0.3 * condition)


def mixed(x, size=4):
    weight = torch.randn(size, size, generator=torch.Generator().manual_seed(3)) / size
    return torch.einsum("bc...,cd->bd...", x, weight)


def sampled(scheduler, guider, loop, seen=lambda *_: None, seed=1):
    """One run.  seen: is shown scheduler, u, c, the guided output, the state and the arguments of each step."""
    torch.manual_seed(seed)
    scheduler.set_timesteps(**{"num_inference_steps": STEPS} | loop.steps)
    start = torch.randn(BATCH, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    x, random = start * float(vars(scheduler).get("init_noise_sigma", 1.0)), torch.Generator().manual_seed(seed)
    known = inspect.signature(scheduler.step).parameters
    for t in loop.timesteps(scheduler):
        given = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        u, c = (loop.output(given, condition) for condition in (0, 1))
        guided = guider.forward(pred_cond=c, pred_uncond=u).pred
        usual = {"generator": random, "timestep": t, "sample": x}
        more = {name: value for name, value in usual.items() if name in known} | loop.arguments()
        seen(scheduler, u, c, guided, x, more)
        if "return_dict" in known:
            more["return_dict"] = False
        x = scheduler.step(guided, **more)[0]
    return x


def unclipped(scheduler):
    """A copy whose predictions are the network's own."""
    found = copy.copy(scheduler)
    found.noise_sampler = None  # a tree of noise cannot be copied
    found = copy.deepcopy(found)
    vars(found).pop("step", None)
    found.register_to_config(**{name: False for name in ("thresholding", "clip_sample") if name in found.config})
    return found


def of_table(scheduler, output, x, t, index):
    signal = scheduler.alphas_cumprod[t]
    return (x - (1 - signal).sqrt() * output) / signal.sqrt()


def of_flow(scheduler, output, x, t, index):
    return x - scheduler.sigmas[index] * output


def of_noise(scheduler, output, x, t, index):
    alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[index])
    return (x - sigma * scheduler.convert_model_output(output, sample=x)) / alpha


FORMULAS = {  # x0-hat of schedulers that hand none out, from their own tables
    "PNDMScheduler": of_table,
    "LCMScheduler": of_table,
    "TCDScheduler": of_table,
    "FlowMatchEulerDiscreteScheduler": of_flow,
    "FlowMatchHeunDiscreteScheduler": of_flow,
    "FlowMatchLCMScheduler": of_flow,
    "FlowMapEulerDiscreteScheduler": of_flow,
    "MiniMaxH3Scheduler": lambda scheduler, output, x, t, index: x + scheduler.sigmas[index] * output,
    "DEISMultistepScheduler": of_noise,
}


def stated(scheduler, output, x, given):
    """x0-hat [B, ...] as a scheduler says it itself, in float64."""
    asked, output, x = unclipped(scheduler), output.double(), x.double()
    name, t = type(scheduler).__name__, given["timestep"]
    if getattr(asked, "step_index", 0) is None and hasattr(asked, "_init_step_index"):
        asked._init_step_index(t)
    if name in FORMULAS:
        return FORMULAS[name](asked, output, x, t, getattr(asked, "step_index", 0) or 0)
    if hasattr(asked, "convert_model_output"):
        return asked.convert_model_output(output, sample=x)
    alone = {"generator": torch.Generator()} if "generator" in given else {}
    with torch.random.fork_rng(devices=[]):
        return asked.step(output, **{**given, **alone, "sample": x}).pred_original_sample


def rms(v):
    return v.double().square().flatten(1).mean(dim=1).sqrt()


def is_stage(scheduler, i):
    """Whether a call is a further evaluation of the step before."""
    times = scheduler.timesteps
    again = type(scheduler).__name__ == "PNDMScheduler" and i + 1 < len(times) and times[i] == times[i + 1]
    return again or not getattr(scheduler, "state_in_first_order", True)
