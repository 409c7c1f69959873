"""A tiny pipeline for every scheduler that diffusers exports, each called as the pipelines that use it call it."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

STEPS, BATCH, SCALE, TOKENS = 6, 2, 4.0, 5


@dataclass
class Loop:
    """What a scheduler needs beside the usual.

    config: of its class. steps: arguments of `set_timesteps`. timesteps: those that are run. state: how it begins.
    arguments: further ones of a step, from scheduler, number of the step, state and what steps returned so far.
    output: of the network, for a state and a condition. step: its name, where it is another.
    """

    config: dict = field(default_factory=dict)
    steps: dict = field(default_factory=dict)
    timesteps: Callable = lambda scheduler: scheduler.timesteps
    state: Callable = lambda scheduler, draws: (
        torch.randn(BATCH, 4, 8, 8, generator=draws) * float(scheduler.__dict__.get("init_noise_sigma", 1.0))
    )
    arguments: Callable = lambda scheduler, i, x, past: {}
    output: Callable = lambda x, condition: torch.sin(mixed(x.float()) + 0.3 * condition)
    step: str = "step"
    plan: Callable = lambda scheduler, t: t


def mixed(x, size=4):
    weight = torch.randn(size, size, generator=torch.Generator().manual_seed(3)) / size
    return torch.einsum("bc...,cd->bd...", x, weight)


def logits(tokens, condition):
    """Logits [B, N, TOKENS] of a network that reads tokens."""
    table = torch.randn(TOKENS + 1, TOKENS, generator=torch.Generator().manual_seed(3))
    return table[tokens] + 0.3 * condition * torch.arange(TOKENS)


def tokens(scheduler, draws):
    return torch.full((BATCH, 8), TOKENS)


def churned(scheduler, i, x, past):
    schedule = scheduler.schedule
    return {"sigma_hat": schedule[STEPS - 1 - i], "sigma_prev": schedule[max(STEPS - 2 - i, 0)], "sample_hat": x}


LOOPS = {
    "AmusedScheduler": Loop({"mask_token_id": TOKENS}, state=tokens, output=logits),
    "DDPMWuerstchenScheduler": Loop(
        timesteps=lambda scheduler: scheduler.timesteps[:-1], plan=lambda scheduler, t: t.expand(BATCH)
    ),
    "KarrasVeScheduler": Loop(arguments=churned),
    "RFD4ProteinaScheduler": Loop(
        {"schedule_mode": "log", "noise_mode": "1/t", "tsr_k": 1.0, "tsr_sigma": 1.0, "tail_steps": 1},
        state=lambda scheduler, draws: torch.randn(BATCH, 16, 4, generator=draws),
        output=lambda x, y: torch.tanh(x + 0.3 * y),
        arguments=lambda scheduler, i, x, past: {
            "emit_mask": torch.ones(BATCH, 16, dtype=torch.bool),
            "generator": [torch.Generator().manual_seed(BATCH * i + k) for k in range(BATCH)],
        },
    ),
    "ScoreSdeVeScheduler": Loop(step="step_pred"),
    "UnCLIPScheduler": Loop(
        arguments=lambda scheduler, i, x, past: {
            "prev_timestep": scheduler.timesteps[i + 1] if i + 1 < len(scheduler.timesteps) else None
        }
    ),
}


def sampled(scheduler, guider, loop, seen=lambda *_: None, seed=1):
    """One run.  seen: is shown scheduler, u, c, the guided output, the state and the arguments of each step."""
    torch.manual_seed(seed)
    scheduler.set_timesteps(**{"num_inference_steps": STEPS} | loop.steps)
    x, past = loop.state(scheduler, torch.Generator().manual_seed(seed)), []
    step, random = getattr(scheduler, loop.step), torch.Generator().manual_seed(seed)
    known = inspect.signature(step).parameters
    for i, t in enumerate(loop.timesteps(scheduler)):
        given = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        u, c = (loop.output(given, condition) for condition in (0, 1))
        guided = guider.forward(pred_cond=c, pred_uncond=u).pred
        more = loop.arguments(scheduler, i, x, past)
        usual = {"generator": random, "timestep": loop.plan(scheduler, t), "sample": x}
        more |= {name: value for name, value in usual.items() if name in known and name not in more}
        seen(scheduler, u, c, guided, x, more)
        if "return_dict" in known:
            more["return_dict"] = False
        past.append(getattr(scheduler, loop.step)(guided, **more))
        x = past[-1][0]
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


def of_ratio(scheduler, output, x, t, index):
    signal = scheduler._alpha_cumprod(t, "cpu").view(-1, 1, 1, 1)
    return (x - (1 - signal).sqrt() * output) / signal.sqrt()


FORMULAS = {  # x0-hat of schedulers that hand none out, from their own tables
    "PNDMScheduler": of_table,
    "LCMScheduler": of_table,
    "TCDScheduler": of_table,
    "FlowMatchEulerDiscreteScheduler": of_flow,
    "FlowMatchHeunDiscreteScheduler": of_flow,
    "FlowMatchLCMScheduler": of_flow,
    "FlowMapEulerDiscreteScheduler": of_flow,
    "MiniMaxH3Scheduler": lambda scheduler, output, x, t, index: x + scheduler.sigmas[index] * output,
    "RFD4ProteinaScheduler": lambda scheduler, output, x, t, index: x + (1 - t) * output,
    "DEISMultistepScheduler": of_noise,
    "DDPMWuerstchenScheduler": of_ratio,
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
