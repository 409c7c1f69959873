"""A sampler function of the host's form around a step of the guidance blog; right on VE and on flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor
from tqdm.auto import trange

from ...samplers.loop import ONCE, Recurrence, State, item_noise, run
from ...samplers.steps import Level, ddim, ddpm, level, up_and_down
from ..models import adapter
from .steering import RATES, Steering

STEPS = {"gg_ddpm": ddpm, "gg_ddim": ddim}


@dataclass(frozen=True)
class BlogSampler:
    """A sampler function of the host's form around one of our steps.

    name: in traces. eta: the step's. noise_seed_offset: another stream of injected noise for the same starting noise.
    """

    name: str
    eta: float
    noise_seed_offset: int = 0
    recurrence: Recurrence = ONCE
    steering: Steering = RATES

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def options(self) -> dict:
        """What the step's formula needs to know, and what a trace should tell."""
        given = {"eta": self.eta, "noise_seed_offset": self.noise_seed_offset}
        if self.steering.way != RATES.way:
            given |= {"gradient": self.steering.way, "dsg_weight": self.steering.lean}
        if self.recurrence != ONCE:
            given |= {"recurrence": self.recurrence.times}
            given |= {"recur_start": self.recurrence.start, "recur_end": self.recurrence.end}
        return given

    @property
    def dry(self) -> BlogSampler:
        """The sampler without gradients, which act on predictions and noise, not on what the step makes of them."""
        return replace(self, steering=RATES)

    def count(self, sigmas: Tensor) -> int:
        """Steps of a run over a schedule, those back to a noisier level included."""
        return self.recurrence.count(len(sigmas) - 1)

    def noise(self, x: Tensor, seed: int | None) -> Callable:
        """Noise with one stream per batch item."""
        draw = item_noise(x, (seed or 0) + self.noise_seed_offset)
        return lambda *levels: draw()

    def down(self, now: Level, then: Level) -> float:
        """What a step keeps of the old noise; DDPM's eta is a factor on the fresh noise alone."""
        return up_and_down(now, then, 1.0 if self.name == "gg_ddpm" else self.eta)[1]

    def __call__(
        self,
        model: Any,
        x: Tensor,
        sigmas: Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Callable | None = None,
        disable: bool | None = None,
        noise_sampler: Callable | None = None,
    ) -> Tensor:
        """Sample from sigmas[0] to sigmas[-1]; the host calls this."""
        extra_args = extra_args or {}
        flow = adapter.is_flow(model.inner_model.model_patcher)
        levels = [level(s, flow) for s in sigmas.tolist()]
        steered = self.steering.begin(extra_args.get("model_options", {}), levels, self.down)
        draw, rule = noise_sampler or self.noise(x, extra_args.get("seed")), STEPS[self.name]
        ones = x.new_ones([len(x)])
        states = run(
            lambda x, now: model(x, now.sigma * ones, **extra_args),
            x,
            levels,
            lambda x, denoised, now, then, eps: rule(x, denoised, now, then, steered(eps), eta=self.eta),
            draw,
            self.recurrence,
        )
        for _ in trange(self.count(sigmas), disable=disable):
            state = next(states)
            if callback is not None:
                callback(report_of(state, sigmas))
            x = cast(Tensor, next(states).x_next)  # the step has been taken
        return x


def report_of(state: State, sigmas: Tensor) -> dict:
    """What the host's callbacks are told of a state; `back` marks a step to a noisier level, which asks for nothing."""
    i = state.index
    info = {"x": state.x, "i": i, "sigma": sigmas[i], "denoised": state.denoised}
    return info | ({"back": True, "sigma": state.now.sigma} if state.back else {})
