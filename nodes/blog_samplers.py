"""The steps of the guidance blog as SAMPLERs: DDPM with its exact posterior, DDIM with eta; right on VE and on flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import comfy.samplers
from comfy_api.latest import io
from tqdm.auto import trange

from ..host import adapter
from ..host.checks import CheckedNode, empty_window
from ..host.steering import LEAN, RATES, WAYS, Steering
from ..samplers.loop import ONCE, Recurrence, item_noise, run
from ..samplers.steps import Level, ddim, ddpm, level, up_and_down
from .sampling import CATEGORY

MAX_OFFSET, MOST_TIMES = 1 << 31, 100
ALONE = "Each image of a batch has its own noise stream, so it comes out as it would alone."
STILL = "DSG turns the noise of a step, and at eta 0 there is none. Raise eta, or choose another gradient."
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
        """The same without its gradients, which act on predictions and noise, not on what the step makes of them."""
        return replace(self, steering=RATES)

    def count(self, sigmas) -> int:
        """Steps of a run over a schedule, those back to a noisier level included."""
        return self.recurrence.count(len(sigmas) - 1)

    def noise(self, x, seed: int | None) -> Callable:
        """Noise with one stream per batch item."""
        draw = item_noise(x, (seed or 0) + self.noise_seed_offset)
        return lambda *levels: draw()

    def down(self, now: Level, then: Level) -> float:
        """What a step keeps of the old noise; DDPM's eta is a factor on the fresh noise alone."""
        return up_and_down(now, then, 1.0 if self.name == "gg_ddpm" else self.eta)[1]

    def __call__(self, model, x, sigmas, extra_args=None, callback=None, disable=None, noise_sampler=None):
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
            x = next(states).x_next
        return x


def report_of(state, sigmas) -> dict:
    """What the host's callbacks are told of a state; `back` marks a step to a noisier level, which asks for nothing."""
    i = state.index
    info = {"x": state.x, "i": i, "sigma": sigmas[i + state.back], "denoised": state.denoised}
    return info | ({"back": True} if state.back else {})


def _share(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, optional=True, tooltip=tooltip)


def _eta(default: float, most: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input("eta", default=default, min=0.0, max=most, step=0.05, tooltip=tooltip)


EXTRAS = (  # the widgets after eta: what the steps do besides stepping
    io.Int.Input(
        "noise_seed_offset",
        default=0,
        min=0,
        max=MAX_OFFSET,
        tooltip="Added to the seed of the injected noise only: different noise during the run from the same "
        "starting noise.",
    ),
    io.Int.Input(
        "recurrence",
        default=1,
        min=1,
        max=MOST_TIMES,
        optional=True,
        tooltip="How often each step is taken; before each repetition the result is noised again (time travel). 1 "
        "is off. Repairs what strong guidance breaks, at that many times the cost.",
    ),
    _share("recur_start", 0.0, "Share of the run's steps before the first repeated one; 0 is from the start."),
    _share("recur_end", 1.0, "Share of the steps after which none is repeated; 1 is to the end."),
    io.Combo.Input(
        "gradient",
        options=list(WAYS),
        default=WAYS[0],
        optional=True,
        tooltip="How Classifier Guidance acts. rate: as with other samplers, independent of the number of steps. "
        "DPS, FreeDoM, MPGD, TFG: a shift of every step as in the paper; scale is the paper's number. DSG: turns "
        "the noise only.",
    ),
    _share("dsg_weight", 0.2, "For DSG: how far the noise turns towards the gradient; 0 not at all, 1 fully."),
)


class _BlogStep(CheckedNode):
    """A step as a SAMPLER.  step: of STEPS"""

    category = CATEGORY
    outputs = (io.Sampler.Output(tooltip="For KSampler + Guidance Trace, SamplerCustom or any custom sampler."),)
    step: ClassVar[str]

    @classmethod
    def validate_inputs(cls, eta, recur_start, recur_end, gradient):
        still = STILL if eta == 0 and gradient == LEAN else None
        return empty_window("recur_start", recur_start, recur_end) or still

    @classmethod
    def execute(
        cls, eta, noise_seed_offset, recurrence=1, recur_start=0.0, recur_end=1.0, gradient=WAYS[0], dsg_weight=0.2
    ) -> io.NodeOutput:
        again = ONCE if recurrence == 1 else Recurrence(recurrence, recur_start, recur_end)
        how = (again, Steering(gradient, dsg_weight))
        return io.NodeOutput(comfy.samplers.KSAMPLER(BlogSampler(cls.step, float(eta), noise_seed_offset, *how)))


class GGSamplerDDPM(_BlogStep):
    """DDPM as a SAMPLER."""

    name = "DDPM Sampler (exact posterior)"
    description = f"Ancestral sampling with the exact posterior of the forward process, on VE and flow models. {ALONE}"
    step = "gg_ddpm"
    inputs = (
        _eta(
            1.0,
            2.0,
            "Factor on the injected noise. 1 is the exact posterior; 0 follows its mean (blurry); above 1 leaves "
            "grain.",
        ),
        *EXTRAS,
    )


class GGSamplerDDIM(_BlogStep):
    """DDIM as a SAMPLER."""

    name = "DDIM Sampler (eta)"
    description = f"DDIM on VE and flow models: eta 0 is the deterministic ODE step, eta 1 equals DDPM. {ALONE}"
    step = "gg_ddim"
    inputs = (
        _eta(0.0, 1.0, "Share of fresh noise. 0 is deterministic (the Euler ODE step), 1 is ancestral (DDPM)."),
        *EXTRAS,
    )
