"""Where the states of a diffusers scheduler are and what its network puts out, measured on copies of the scheduler.

If all data were one point x0, a right network would know it, and a state alpha x0 + sigma eps would stay one with the
same x0 and eps through every step. So one copy goes through the run with x0 = 1 and eps = 0, another with x0 = 0 and
eps = 1, on what such a network would put out. Where they arrive proves how levels and outputs are to be read. No
scheduler is known by its name, and the one that the pipeline uses is asked nothing.
"""

from __future__ import annotations

import copy
import math
from inspect import BoundArguments
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..guidance.predictions import TABLE, x0_from_output
from ..samplers.steps import Level

SEED = 0  # of every step, so that all copies draw the same noise
POINTS = ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0))  # x0 and eps; the last shows the noise alone
EXACT = 1e-5  # relative; right readings arrive within 1e-6
ROUGH = 0.05  # of a step: schedulers round their timesteps, and step to others
CLIPPING = ("clip_sample", "thresholding")
KINDS_OF_LEVELS = {"flow": lambda a, s: a + s - 1, "vp": lambda a, s: a**2 + s**2 - 1, "ve": lambda a, s: a - 1}
MOST = 1e6  # noise over signal that is told as x0 + sigma eps


class NotFollowed(ValueError):
    """Why a record ends."""


class Arrival(NamedTuple):
    """What a step made of a state: how much of x0 and of eps is left, and whether noise was added."""

    at: Level
    noisy: bool


class Reading:
    """One way to read a network's output, and copies of the scheduler that take every step by it.

    kind: as in `x0_from_output`. sign: of the output. at: the level of the latest step. arrival: where it led.
    has_led_on: whether a step has led to the next level.
    """

    at: Level
    arrival: Arrival

    def __init__(self, scheduler: Any, kind: str, sign: float):
        self.kind, self.sign, self.sigma_data = kind, sign, scheduler.config.get("sigma_data") or 1.0
        self.copies, self.has_led_on = [separate(scheduler) for _ in POINTS], False

    def clean(self, output: Tensor, x: Tensor) -> Tensor:  # [B, ...] -> [B, ...]
        """x0-hat from what the network put out at the latest step."""
        return x0_from_output(self.kind, self.sign * output, x, self.at.sigma, self.at.alpha, self.sigma_data)

    def step(self, call: BoundArguments, at: Level) -> None:
        """Take a step from a level."""
        self.at, zero, unit = at, *torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        share_of_x, gain = (float(x0_from_output(self.kind, self.sign * out, x, at.sigma, at.alpha, self.sigma_data))
                      for out, x in ((zero, unit), (unit, zero)))  # fmt: skip
        states = [(x0, at.alpha * x0 + at.sigma * eps) for x0, eps in POINTS]
        outputs = [(x0 - share_of_x * x) / gain if gain else math.nan for x0, x in states]
        ends = [end_of(copied, call, out, x) for copied, out, (_, x) in zip(self.copies, outputs, states, strict=True)]
        self.arrival = Arrival(Level(ends[0] - ends[2], ends[1] - ends[2]), ends[2] != 0)

    def leads_to(self, then: Level, family: str) -> bool:
        """Whether the latest step arrived at a level; where it added noise, less of eps may be left."""
        self.has_led_on = self._meets(then, family)
        return self.has_led_on

    def _meets(self, then: Level, family: str) -> bool:
        (alpha, sigma), noisy = self.arrival
        off, spare = abs(alpha - then.alpha), then.sigma - sigma
        limits = EXACT * (then.alpha + 0.1), EXACT * max(self.at.sigma, then.sigma)
        if off <= limits[0] and (-limits[1] <= spare if noisy else abs(spare) <= limits[1]):
            return True
        near = max(off, abs(spare)) <= ROUGH * math.dist(self.at, then)
        return near and not noisy and belongs(self.arrival.at, family)

    def end(self, family: str) -> Level | None:
        """The level at which the run ends with the latest step, None where that cannot be told."""
        (alpha, sigma), noisy = self.arrival
        if noisy:  # so much was added that it is a level of its kind again
            sigma = {"vp": math.sqrt(max(1 - alpha**2, 0)), "flow": 1 - alpha}.get(family, math.nan)
        level = Level(alpha, sigma if sigma > EXACT else 0.0)
        sure = self.has_led_on or (alpha >= self.at.alpha - EXACT and belongs(level, family))
        return level if sure and -EXACT <= sigma <= self.at.sigma else None


class Coordinates:
    """Where the states of one run are, and what its network puts out, as far as its steps prove it.

    readings: those that no step has refuted, that of the scheduler's own configuration first. family: of its levels, of
    KINDS_OF_LEVELS. flow: whether its states are told as (1 - sigma) x0 + sigma eps instead of x0 + sigma eps.
    """

    def __init__(self, scheduler: Any, timestep: Any, ndim: int):
        stated = str(scheduler.config.get("prediction_type") or "flow").replace("sample", "x0")
        kinds = sorted(TABLE, key=lambda kind: not stated.startswith(kind))
        self.readings = [Reading(scheduler, kind, sign) for kind in kinds for sign in (1.0, -1.0)]
        first, levels = self.level(timestep, ndim), [self.level(t, ndim) for t in scheduler.timesteps]
        families = [name for name in KINDS_OF_LEVELS if all(belongs(level, name) for level in levels)]
        if not families:
            raise NotFollowed("its noise levels are of no known kind")
        self.family = families[0]
        self.flow = self.family == "flow" or first.sigma > MOST * first.alpha

    @property
    def best(self) -> Reading:
        """How outputs are read."""
        return self.readings[0]

    def level(self, timestep: Any, ndim: int) -> Level:
        """The noise level at which the next step begins."""
        return level_of(self.best.copies[0], timestep, ndim)

    def step(self, call: BoundArguments, level: Level, within: bool) -> None:
        """Take a step.  within: from a state inside a step, of which the way a scheduler adds noise says little."""
        for reading in self.readings:
            reading.step(call, reading.arrival.at if within and not reading.arrival.noisy else level)

    def settle(self, then: Level) -> None:
        """Keep the readings that the latest step proves.  Raises NotFollowed where it refutes all, or noise rises."""
        now, follows = self.sigma(self.best.at), self.sigma(then)
        self.readings = [reading for reading in self.readings if reading.leads_to(then, self.family)]
        if not self.readings:
            raise NotFollowed(f"its step from noise level {now:.4g} does not lead to the next one, {follows:.4g}")
        if follows > now * (1 + EXACT):
            raise NotFollowed(f"its noise level rises from {now:.4g} to {follows:.4g}")

    def end(self) -> Level:
        """The level at which the run ends with the latest step.  Raises NotFollowed where that cannot be told."""
        ends = [(reading, end) for reading in self.readings if (end := reading.end(self.family))]
        if not ends:
            raise NotFollowed("the noise level at which it ends is unknown")
        self.readings, (_, end) = [reading for reading, _ in ends], ends[0]
        return end

    def sigma(self, at: Level) -> float:
        """A level in the coordinates of a trace."""
        return at.sigma / self._scale(at)

    def state(self, latents: Tensor, at: Level) -> Tensor:
        """Latents in the coordinates of a trace."""
        return latents / self._scale(at)

    def _scale(self, at: Level) -> float:
        return at.alpha + at.sigma if self.flow else at.alpha


def belongs(level: Level, family: str) -> bool:
    """Whether a level is of a kind of KINDS_OF_LEVELS."""
    return abs(KINDS_OF_LEVELS[family](*level)) <= EXACT


def level_of(scheduler: Any, timestep: Any, ndim: int) -> Level:
    """The noise level at which a copy of a scheduler takes its next step, from how it adds noise."""
    probe, when = copy.copy(scheduler), torch.as_tensor(timestep).cpu().flatten()
    if getattr(probe, "step_index", None) is not None and hasattr(probe, "set_begin_index"):
        probe.set_begin_index(0)  # then it counts its steps: several of its timesteps may be alike
    if len(when.unique()) > 1:
        raise NotFollowed("its samples are at several noise levels")
    unit, zero = point(1.0, ndim), point(0.0, ndim)
    if hasattr(probe, "scale_noise"):
        ends = [probe.scale_noise(sample=x, timestep=when[:1], noise=eps) for x, eps in ((unit, zero), (zero, unit))]
    elif hasattr(probe, "add_noise"):
        ends = [probe.add_noise(x, eps, when[:1]) for x, eps in ((unit, zero), (zero, unit))]
    else:
        raise NotFollowed("it has neither add_noise nor scale_noise, so the noise levels of its states are unknown")
    return Level(*(float(end.flatten()[0]) for end in ends))


def separate(scheduler: Any) -> Any:
    """A copy that shares nothing with the scheduler, on the CPU; it clips nothing, which would hide a wrong reading."""
    twin = copy.deepcopy(scheduler)
    vars(twin).pop("step", None)  # of whoever watches it
    twin.register_to_config(**{name: False for name in CLIPPING if name in twin.config})
    vars(twin).update({name: value.cpu() for name, value in vars(twin).items() if isinstance(value, Tensor)})
    return twin


def end_of(scheduler: Any, call: BoundArguments, output: float, x: float) -> float:
    """Where a copy's step leads, with numbers in the place of the call's samples."""
    sample = call.arguments["sample"]
    given = {name: _beside(value, sample) for name, value in call.arguments.items()}
    given |= {"model_output": point(output, sample.ndim), "sample": point(x, sample.ndim), "return_dict": False}
    if "generator" in call.signature.parameters:
        given["generator"] = torch.Generator().manual_seed(SEED)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        return float(scheduler.step(**given)[0].flatten()[0])


def _beside(value: Any, sample: Tensor) -> Any:
    if isinstance(value, Tensor):
        return point(0.0, sample.ndim) if value.shape == sample.shape else value.cpu()
    return value


def point(value: float, ndim: int) -> Tensor:
    """One number, as a sample."""
    return torch.full([1] * ndim, value, dtype=torch.float64)
