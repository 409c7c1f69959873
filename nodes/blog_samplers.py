"""The steps of the guidance blog as SAMPLERs: DDPM with its exact posterior, DDIM with eta; right on VE and on flow."""

from __future__ import annotations

from typing import ClassVar

import comfy.samplers
from comfy_api.latest import io

from .. import host, samplers
from ..host.editor.checks import CheckedNode, empty_window
from ..host.limits import LEAN, WAYS
from .sampling import CATEGORY

MAX_OFFSET, MOST_TIMES = 1 << 31, 100
ALONE = "Each picture of a batch has its own noise, so it comes out as it would alone."
STILL = "DSG turns the noise of a step, and at eta 0 there is none. Raise eta, or choose another gradient."


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
        tooltip="Added to the seed of the fresh noise alone: other noise during the run, the same noise at the start.",
    ),
    io.Int.Input(
        "recurrence",
        default=1,
        min=1,
        max=MOST_TIMES,
        optional=True,
        tooltip="How often each step is taken; before each repetition noise is added again (time travel). 1 "
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
    """A step as a SAMPLER.  step: of `host.sampling.blog_sampler.STEPS`"""

    category = CATEGORY
    outputs = (io.Sampler.Output(tooltip="For KSampler + Guidance Trace, SamplerCustom or any custom sampler."),)
    step: ClassVar[str]

    @classmethod
    def validate_inputs(
        cls, eta: float | None, recur_start: float | None, recur_end: float | None, gradient: str | None
    ) -> str | None:
        still = STILL if eta == 0 and gradient == LEAN else None
        return empty_window("recur_start", recur_start, recur_end) or still

    @classmethod
    def execute(
        cls,
        eta: float,
        noise_seed_offset: int,
        recurrence: int = 1,
        recur_start: float = 0.0,
        recur_end: float = 1.0,
        gradient: str = WAYS[0],
        dsg_weight: float = 0.2,
    ) -> io.NodeOutput:
        loop, steering = samplers.loop, host.sampling.steering.Steering(gradient, dsg_weight)
        again = loop.ONCE if recurrence == 1 else loop.Recurrence(recurrence, recur_start, recur_end)
        sampler = host.sampling.blog_sampler.BlogSampler(cls.step, float(eta), noise_seed_offset, again, steering)
        return io.NodeOutput(comfy.samplers.KSAMPLER(sampler))


class GGSamplerDDPM(_BlogStep):
    """DDPM as a SAMPLER."""

    name = "DDPM Sampler (exact posterior)"
    search_words = ("ancestral", "posterior")
    description = (
        f"The sampler of the first diffusion papers: a small step, then some noise. For flow models too. {ALONE}"
    )
    step = "gg_ddpm"
    inputs = (
        _eta(
            1.0,
            2.0,
            "How much fresh noise each step gets. 1: DDPM. 0: none (blurry). Above 1 leaves grain.",
        ),
        *EXTRAS,
    )


class GGSamplerDDIM(_BlogStep):
    """DDIM as a SAMPLER."""

    name = "DDIM Sampler (eta)"
    search_words = ("deterministic", "eta")
    description = (
        f"A sampler with one setting for fresh noise: 0 is the same as euler, 1 as DDPM. For flow models too. {ALONE}"
    )
    step = "gg_ddim"
    inputs = (
        _eta(0.0, 1.0, "How much fresh noise each step gets. 0: none, the same as euler. 1: the same as DDPM."),
        *EXTRAS,
    )
