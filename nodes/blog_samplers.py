"""The steps of the guidance blog as SAMPLERs: DDPM with its exact posterior, DDIM with eta; right on VE and on flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import comfy.samplers
from comfy_api.latest import io
from tqdm.auto import trange

from ..samplers.loop import item_noise, run
from ..samplers.steps import ddim, ddpm, level
from . import host
from .checks import insist, number, verdict

MAX_OFFSET = 1 << 31


@dataclass(frozen=True)
class BlogSampler:
    """A sampler function of the host's form around one of our steps.

    name: in traces. eta: the step's. noise_seed_offset: another stream of injected noise for the same starting noise.
    """

    name: str
    rule: Callable
    eta: float
    noise_seed_offset: int = 0

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def options(self) -> dict:
        """What the step's formula needs to know."""
        return {"eta": self.eta}

    def noise(self, x, seed: int | None) -> Callable:
        """Noise with one stream per batch item."""
        draw = item_noise(x, (seed or 0) + self.noise_seed_offset)
        return lambda *levels: draw()

    def __call__(self, model, x, sigmas, extra_args=None, callback=None, disable=None, noise_sampler=None):
        """Sample from sigmas[0] to sigmas[-1]; the host calls this."""
        extra_args = extra_args or {}
        flow = host.is_flow(model.inner_model.model_patcher)
        levels = [level(s, flow) for s in sigmas.tolist()]
        noise = noise_sampler or self.noise(x, extra_args.get("seed"))
        ones = x.new_ones([len(x)])
        states = run(
            lambda x, now: model(x, now.sigma * ones, **extra_args),
            x,
            levels,
            lambda x, denoised, now, then, eps: self.rule(x, denoised, now, then, eps, eta=self.eta),
            noise,
        )
        for i in trange(len(levels) - 1, disable=disable):
            predicted = next(states)
            if callback is not None:
                callback({"x": predicted.x, "i": i, "sigma": sigmas[i], "denoised": predicted.denoised})
            x = next(states).x_next
        return x


OFFSET = io.Int.Input(
    "noise_seed_offset",
    default=0,
    min=0,
    max=MAX_OFFSET,
    tooltip="Added to the seed of the injected noise only: other noise along the way from the same starting noise.",
)


def _sampler(name: str, rule: Callable, eta: float, noise_seed_offset: int, most: float) -> io.NodeOutput:
    insist(number("eta", eta, 0, most), number("noise_seed_offset", noise_seed_offset, 0, MAX_OFFSET))
    return io.NodeOutput(comfy.samplers.KSAMPLER(BlogSampler(name, rule, float(eta), int(noise_seed_offset))))


class GGSamplerDDPM(io.ComfyNode):
    """DDPM as a SAMPLER."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GGSamplerDDPM",
            display_name="DDPM Sampler (exact posterior)",
            category="guidance geometry/sampling",
            description="Ancestral sampling with the exact posterior of the forward process, on VE and flow models. "
            "Each image of a batch has its own noise stream, so it comes out the same alone.",
            inputs=[
                io.Float.Input(
                    "eta",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Factor on the injected noise. 1 is the exact posterior; 0 follows its mean (blurry); "
                    "above 1 leaves grain.",
                ),
                OFFSET,
            ],
            outputs=[io.Sampler.Output(tooltip="For KSampler + Guidance Trace, SamplerCustom or any custom sampler.")],
        )

    @classmethod
    def validate_inputs(cls, eta=None, noise_seed_offset=None):
        return verdict(number("eta", eta, 0, 2), number("noise_seed_offset", noise_seed_offset, 0, MAX_OFFSET))

    @classmethod
    def execute(cls, eta, noise_seed_offset) -> io.NodeOutput:
        return _sampler("gg_ddpm", ddpm, eta, noise_seed_offset, 2)


class GGSamplerDDIM(io.ComfyNode):
    """DDIM as a SAMPLER."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GGSamplerDDIM",
            display_name="DDIM Sampler (eta)",
            category="guidance geometry/sampling",
            description="DDIM on VE and flow models: eta 0 is the deterministic ODE step, eta 1 equals DDPM. "
            "Each image of a batch has its own noise stream, so it comes out the same alone.",
            inputs=[
                io.Float.Input(
                    "eta",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Share of fresh noise. 0 is deterministic (the Euler ODE step), 1 is ancestral (DDPM).",
                ),
                OFFSET,
            ],
            outputs=[io.Sampler.Output(tooltip="For KSampler + Guidance Trace, SamplerCustom or any custom sampler.")],
        )

    @classmethod
    def validate_inputs(cls, eta=None, noise_seed_offset=None):
        return verdict(number("eta", eta, 0, 1), number("noise_seed_offset", noise_seed_offset, 0, MAX_OFFSET))

    @classmethod
    def execute(cls, eta, noise_seed_offset) -> io.NodeOutput:
        return _sampler("gg_ddim", ddim, eta, noise_seed_offset, 1)


NODES = [GGSamplerDDPM, GGSamplerDDIM]
