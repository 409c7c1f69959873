"""One sampler step each, as arithmetic: no loop, no network, no random draw.

A state is x = alpha x0 + sigma eps with a noise level (alpha, sigma): alpha = 1 on variance-exploding models,
1 - sigma on flow. D is the guided x0-hat, eps-hat = (x - alpha D) / sigma. Primes mark the next level.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from torch import Tensor


class Level(NamedTuple):
    """A noise level: x = alpha x0 + sigma eps."""

    alpha: float
    sigma: float


def level(sigma: float, flow: bool) -> Level:
    """The noise level at sigma: alpha is 1 - sigma on flow, 1 elsewhere."""
    return Level(1 - sigma if flow else 1.0, sigma)


class Step(NamedTuple):
    """The two parts of a step: x' = x + move + noise."""

    move: Tensor
    noise: Tensor


def noise_estimate(x: Tensor, denoised: Tensor, now: Level) -> Tensor:  # [B, ...] -> [B, ...]
    """The noise that a prediction implies.  eps-hat = (x - alpha D) / sigma"""
    return (x - now.alpha * denoised) / now.sigma


def up_and_down(now: Level, then: Level, eta: float) -> tuple[float, float]:
    """Split the next noise level into fresh noise (up) and what is kept of the old (down).

        up = eta sigma' sqrt(1 - (n'/n)^2)     down = sqrt(sigma'^2 - up^2)      n = sigma / alpha

    eta: 0 keeps all (ODE), 1 is the ancestral split.  Source: Song et al. 2020, arXiv 2010.02502, eq. 16.
    """
    noisy = then.alpha and now.sigma  # from a clean state, and to one of noise alone, nothing is drawn afresh
    ratio = then.sigma * now.alpha / (then.alpha * now.sigma) if noisy else 1.0
    up = eta * then.sigma * sqrt(max(1 - ratio**2, 0))
    return up, sqrt(max(then.sigma**2 - up**2, 0))


def ddim(x: Tensor, denoised: Tensor, now: Level, then: Level, eps: Tensor, *, eta: float = 0.0) -> Step:
    """One DDIM step; eta = 0 is the ODE (Euler) step, eta = 1 equals `ddpm`.

        x' = alpha' D + down eps-hat + up eps

    x, denoised, eps: [B, ...]. Source: Song et al. 2020, arXiv 2010.02502, eq. 12.
    """
    up, down = up_and_down(now, then, eta)
    return Step(then.alpha * denoised + down * noise_estimate(x, denoised, now) - x, up * eps)


def ddpm(x: Tensor, denoised: Tensor, now: Level, then: Level, eps: Tensor, *, eta: float = 1.0) -> Step:
    """One ancestral step with the exact posterior q(x' | x, x0 = D).

        mean = alpha' (D + (n'/n)^2 (x/alpha - D))     std = sigma' sqrt(1 - (n'/n)^2)     n = sigma / alpha

    x, denoised, eps: [B, ...]. eta: factor on the noise, 1 is the posterior, 0 follows its mean.
    Source: Ho et al. 2020, arXiv 2006.11239, eq. 7, in any (alpha, sigma).
    """
    up, down = up_and_down(now, then, 1.0)
    return Step(then.alpha * denoised + down * noise_estimate(x, denoised, now) - x, eta * up * eps)


def renoise(x: Tensor, denoised: Tensor, now: Level, then: Level, eps: Tensor) -> Step:
    """A step back to a noisier level, as the forward process makes it; D is not read.

        x' = (alpha'/alpha) x + sqrt(sigma'^2 - (alpha'/alpha)^2 sigma^2) eps

    VE adds sqrt(sigma'^2 - sigma^2) eps; at flow's sigma' = 1 nothing of x is left. x, eps: [B, ...].
    Source: Yu et al. 2023, arXiv 2303.09833, alg. 2, in any (alpha, sigma).
    """
    kept = then.alpha / now.alpha
    return Step((kept - 1) * x, sqrt(max(then.sigma**2 - (kept * now.sigma) ** 2, 0)) * eps)


def follow(now: Level, then: Level, down: float) -> float:
    """How far the next state follows the prediction.  dx'/dD = alpha' - alpha down / sigma

    down: what the step keeps of the old noise; sigma' without fresh noise.
    """
    return then.alpha - now.alpha * down / now.sigma
