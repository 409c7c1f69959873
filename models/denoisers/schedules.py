"""Noise levels of the four schedules, and the coordinates a network was trained in.

A sampler works in VE coordinates, x = x0 + n * eps (vp_linear, vp_cosine, edm), or in flow coordinates,
x = (1 - s) * x0 + s * eps (flow). A variance-preserving network saw x / sqrt(1 + n^2) instead, so that
alpha^2 + sigma^2 = 1. Both are the same picture up to a factor: n = sigma / alpha everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from . import SCHEDULES

TIMES = ("log_sigma", "sigma", "index")
COSINE_OFFSET = 0.008  # keeps the first betas from vanishing
LARGEST_BETA = 0.999  # the cosine schedule's last beta would be 1: no signal at all, n infinite
SMALLEST_ALPHA = 1e-3  # at alpha = 0 an epsilon or score network says nothing about x0; stop one table entry before


@dataclass(frozen=True)
class Levels:
    """Numbers that fix a schedule.

    timesteps: entries of the table.
    beta_start, beta_end: first and last beta of vp_linear.
    beta_power: order of the root of beta that rises evenly; 2 is the "scaled linear" of latent diffusion.
    sigma_min, sigma_max: ends of edm.
    """

    timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    beta_power: float = 1.0
    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self):
        if not 2 <= self.timesteps <= 100_000:
            raise ValueError(f"timesteps is {self.timesteps} but a schedule needs 2 .. 100000 of them.")
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise ValueError(f"betas {self.beta_start} .. {self.beta_end} must rise inside 0 .. 1.")
        if not 1 <= self.beta_power <= 10:
            raise ValueError(f"beta_power is {self.beta_power} but must be a number from 1 to 10.")
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(f"sigma {self.sigma_min} .. {self.sigma_max} must be positive, finite and rising.")


def table(schedule: str, levels: Levels | None = None) -> Tensor:  # -> [timesteps] float64, rising
    """The sampler's noise levels: n for vp_linear, vp_cosine and edm, s for flow.

        vp_linear  beta_i = (b + (b' - b) * i / (T - 1))^p, b^p = beta_start, b'^p = beta_end, p = beta_power
                   n^2 = 1 / prod(1 - beta) - 1
        vp_cosine  prod(1 - beta) = f(i + 1) / f(0), f(i) = cos^2(pi/2 * (i / T + o) / (1 + o)), beta <= 0.999
        edm        ln n evenly from ln sigma_min to ln sigma_max
        flow       s_i = (i + 1) / T

    Source: Ho et al. 2020, arXiv 2006.11239; Nichol and Dhariwal 2021, arXiv 2102.09672, eq. 17;
    Rombach et al. 2021, arXiv 2112.10752, released configurations (p = 2);
    Karras et al. 2022, arXiv 2206.00364; Lipman et al. 2022, arXiv 2210.02747.
    """
    levels = levels or Levels()
    count = levels.timesteps
    if schedule == "vp_linear":
        first, last = (beta ** (1 / levels.beta_power) for beta in (levels.beta_start, levels.beta_end))
        return _sigmas_of_betas(torch.linspace(first, last, count, dtype=torch.float64) ** levels.beta_power)
    if schedule == "vp_cosine":
        angle = (torch.arange(count + 1, dtype=torch.float64) / count + COSINE_OFFSET) / (1 + COSINE_OFFSET)
        signal = (angle * math.pi / 2).cos() ** 2
        return _sigmas_of_betas((1 - signal[1:] / signal[:-1]).clamp(max=LARGEST_BETA))
    if schedule == "edm":
        ends = (math.log(levels.sigma_min), math.log(levels.sigma_max))
        return torch.linspace(*ends, count, dtype=torch.float64).exp()
    if schedule == "flow":
        return torch.arange(1, count + 1, dtype=torch.float64) / count
    raise ValueError(f"Schedule {schedule!r} is unknown. Use one of {', '.join(SCHEDULES)}.")


def _sigmas_of_betas(betas: Tensor) -> Tensor:  # [T] -> [T]
    signal = (1 - betas).cumprod(dim=0)  # alpha^2
    return ((1 - signal) / signal).sqrt()


@dataclass(frozen=True)
class Coordinates:
    """How a network sees the sampler's x: scale * x = alpha * x0 + sigma * eps.  All three [B] or scalar."""

    scale: Tensor
    alpha: Tensor
    sigma: Tensor


def coordinates(schedule: str, sigma: Tensor) -> Coordinates:  # sigma [B]: the sampler's level
    """The network's own coordinates at the sampler's noise level.

    vp: scale = alpha = 1 / sqrt(1 + n^2), sigma = n * alpha. edm: 1, 1, n. flow: 1, 1 - s, s.
    """
    ones = torch.ones_like(sigma)
    if schedule == "flow":
        return Coordinates(ones, 1 - sigma, sigma)
    if schedule == "edm":
        return Coordinates(ones, ones, sigma)
    alpha = 1 / (1 + sigma**2).sqrt()
    return Coordinates(alpha, alpha, sigma * alpha)


def index_of(log_sigmas: Tensor, sigma: Tensor) -> Tensor:  # [T] rising, any shape -> that shape, 0 .. T - 1
    """Where a noise level stands in a table, between entries too: linear in ln(sigma), clamped to the ends."""
    wanted = sigma.log().flatten().to(log_sigmas)
    high = torch.searchsorted(log_sigmas, wanted.contiguous()).clamp(1, len(log_sigmas) - 1)
    low = high - 1
    part = (wanted - log_sigmas[low]) / (log_sigmas[high] - log_sigmas[low])
    return (low + part).clamp(0, len(log_sigmas) - 1).view(sigma.shape).to(sigma.device)


def usual_time(schedule: str) -> str:
    """What a network is told when its file does not say: ln(n) / 4, and for flow s itself (ln n has no end there)."""
    return "sigma" if schedule == "flow" else "log_sigma"


def network_time(time: str, schedule: str, sigma: Tensor) -> Tensor:  # sigma [B]: the sampler's level -> [B]
    """The number that tells the network the noise level.

    log_sigma: ln(n) / 4, n = sigma / alpha. sigma: n for vp and edm, s for flow.
    """
    if time == "sigma":
        return sigma
    n = sigma / (1 - sigma).clamp(min=SMALLEST_ALPHA) if schedule == "flow" else sigma
    return n.log() / 4
