"""Samplers as functions of any denoiser, and a schedule of noise levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..samplers.loop import item_noise, run
from ..samplers.noise_tracking import untrack
from ..samplers.response import Probes, Response, measure_response
from ..samplers.steps import Level, ddim, ddpm, level


class Sampler(NamedTuple):
    """A step, and what a trace calls it."""

    step: Callable
    name: str


SAMPLERS = {"euler": Sampler(ddim, "euler"), "ddpm": Sampler(ddpm, "gg_ddpm")}


def sampler_of(word: str) -> Sampler:
    """The sampler of a word.  Raises ValueError for an unknown one."""
    if word not in SAMPLERS:
        raise ValueError(f"Sampler {word!r} is unknown. Use one of {', '.join(SAMPLERS)}, or a loop of your own.")
    return SAMPLERS[word]


def check_samples(x: object) -> None:
    """Raise TypeError or ValueError unless x is samples, [B, ...], of floating-point numbers."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"x is {kind}, but samples are a tensor of floating-point numbers. Write x.float().")
    if x.ndim < 2 or not x.numel():
        needed = "one axis for the samples and one or more for each, none of them empty"
        raise ValueError(f"x has the shape {[*x.shape]}, but a batch has {needed}. Write x[None] for one sample.")


def sample(
    denoise: Callable[[Tensor, float], Tensor],
    x: Tensor,
    sigmas: Sequence[float],
    sampler: str = "euler",
    *,
    seed: int = 0,
    flow: bool = False,
    mark: Callable[[Tensor], Tensor] = untrack,
) -> Tensor:  # x [B, ...] -> [B, ...]
    """Sample from x at sigmas[0] to sigmas[-1].

    denoise(x, sigma) -> D [B, ...]. sampler: euler (also called DDIM) or ddpm, whose noise comes from seed, item by
    item. flow: x = (1 - sigma) x0 + sigma eps instead of x0 + sigma eps. mark: what to do with each draw of noise.
    Raises ValueError for an unknown sampler, TypeError or ValueError for an x that is no batch.
    """
    check_samples(x)
    step = sampler_of(sampler).step
    draw, levels = item_noise(x, seed), [level(sigma, flow) for sigma in sigmas]

    def denoise_at(x: Tensor, at: Level) -> Tensor:
        return denoise(x, at.sigma)

    for state in run(denoise_at, x, levels, step, lambda *_: mark(draw())):
        x = x if state.x_next is None else state.x_next
    return x


def response_of(sampler: str, sigmas: Sequence[float], flow: bool) -> Response:
    """What a sampler makes of its predictions, measured.  Arguments as for `sample`"""

    def play(probes: Probes) -> Tensor:
        def denoise(x: Tensor, sigma: float) -> Tensor:
            denoised, _ = probes.answer(x, torch.tensor([sigma]))
            probes.note_report({"x": x, "sigma": sigma, "denoised": denoised})
            return denoised

        return sample(denoise, probes.start, sigmas, sampler, flow=flow, mark=probes.draw)

    return measure_response(play, sigmas)


def karras(steps: int, lowest: float = 0.02, highest: float = 20.0, rho: float = 7.0) -> list[float]:
    """Noise levels, evenly spaced in sigma^(1/rho), then 0.

    Source: Karras et al. 2022, arXiv 2206.00364, eq. 5.
    """
    first, last = highest ** (1 / rho), lowest ** (1 / rho)
    return [*((first + i / max(steps - 1, 1) * (last - first)) ** rho for i in range(steps)), 0.0]
