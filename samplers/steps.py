"""One sampler step each, as arithmetic: no loop, no network, no random draw.

A state is x = alpha x0 + sigma eps with a noise level (alpha, sigma): alpha = 1 on variance-exploding models,
1 - sigma on flow. D is the guided x0-hat, eps-hat = (x - alpha D) / sigma. Primes mark the next level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import log, sqrt
from typing import NamedTuple

import torch
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


@dataclass(frozen=True)
class Update:
    """All that a step may read: the state, the predictions at it, both noise levels, and the step before.

    x, denoised, uncond: [B, ...]. previous: the update of the step before, None at the start. options: the sampler's.
    """

    x: Tensor
    denoised: Tensor
    now: Level
    then: Level
    uncond: Tensor | None = None
    previous: Update | None = None
    options: dict = field(default_factory=dict)


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


def euler(update: Update) -> Tensor:
    """Move of the Euler step.  x' - x = (alpha' - alpha r) D + (r - 1) x,   r = sigma' / sigma"""
    ratio = update.then.sigma / update.now.sigma
    return (update.then.alpha - update.now.alpha * ratio) * update.denoised + (ratio - 1) * update.x


def ancestral(update: Update, eta: float) -> Tensor:
    """Move of a DDIM or ancestral step; the noise is not part of it."""
    return ddim(update.x, update.denoised, update.now, update.then, torch.zeros_like(update.x), eta=eta).move


def euler_ancestral(update: Update) -> Tensor:
    """Move of the host's `euler_ancestral`: the DDIM split on VE, its own down-step and rescale on flow.

    flow: down = sigma' (1 + (sigma'/sigma - 1) eta)    r = down / sigma
          x' - x = (1 - sigma') / (1 - down) (r x + (1 - r) D) - x
    """
    eta = update.options.get("eta", 1.0)
    if update.now.alpha == 1 or update.then.sigma == 0:
        return ancestral(update, eta)
    down = update.then.sigma * (1 + (update.then.sigma / update.now.sigma - 1) * eta)
    ratio = down / update.now.sigma
    rescale = update.then.alpha / (1 - down) if eta > 0 else 1.0
    return rescale * (ratio * update.x + (1 - ratio) * update.denoised) - update.x


def euler_cfg_pp(update: Update) -> Tensor:
    """Move of CFG++: towards the guided x0-hat, with the noise of the unconditional one.

        x' - x = alpha' D + down (x - alpha u) / sigma - x

    Source: Chung et al. 2024, arXiv 2406.08070, algorithm 2.
    """
    eta = update.options.get("eta", 1.0)
    if update.uncond is None:
        raise ValueError("CFG++ steps along the unconditional prediction, and this step has none.")
    _, down = up_and_down(update.now, update.then, eta)
    return update.then.alpha * update.denoised + down * noise_estimate(update.x, update.uncond, update.now) - update.x


def back(update: Update) -> Tensor:
    """Move of a step back to a noisier level: what becomes of the signal.  (alpha'/alpha - 1) x"""
    return renoise(update.x, update.denoised, update.now, update.then, torch.zeros_like(update.x)).move


def lcm(update: Update) -> Tensor:
    """Move of consistency sampling: jump to the prediction.  x' - x = alpha' D - x"""
    return update.then.alpha * update.denoised - update.x


def dpmpp_2m(update: Update) -> Tensor:
    """Move of DPM-Solver++(2M), second order from the last prediction.

        x' = (sigma'/sigma) x + (1 - sigma'/sigma) ((1 + h/2h_) D - (h/2h_) D_),   h = ln sigma/sigma',  _ = step before

    Source: Lu et al. 2022, arXiv 2211.01095, algorithm 2.
    """
    ratio = update.then.sigma / update.now.sigma
    target = update.denoised
    if update.previous is not None and update.then.sigma > 0:
        before = update.previous
        lean = log(update.now.sigma / update.then.sigma) / (2 * log(before.now.sigma / update.now.sigma))
        target = (1 + lean) * target - lean * before.denoised
    return (ratio - 1) * update.x + (1 - ratio) * target


def _posterior_mean(update: Update) -> Tensor:
    return ancestral(update, 1.0)


def host_ddpm(update: Update) -> Tensor:
    """Move of the host's `ddpm`: the posterior mean of a unit-variance state, with its float32 coefficients.

        z' = (z - (1 - a) eps-hat / sqrt(1 - A)) / sqrt(a)
        z = x / sqrt(1 + sigma^2)    A = 1 / (1 + sigma^2)    a = A / A'

    Below sigma = 0.05 its 1 - a loses digits, which shows in samples too; and it takes every state for a VE one, also
    on flow, where that is wrong.  Source: Ho et al. 2020, arXiv 2006.11239, eq. 11.
    """
    sigma, sigma_next = torch.tensor((update.now.sigma, update.then.sigma), dtype=torch.float32)
    kept, kept_next = 1 / (sigma * sigma + 1), 1 / (sigma_next * sigma_next + 1)
    a = kept / kept_next
    z = update.x / torch.sqrt(1 + sigma**2)
    eps = (update.x - update.denoised) / sigma
    mean = (1 / a).sqrt() * (z - (1 - a) * eps / (1 - kept).sqrt())
    return mean * torch.sqrt(1 + sigma_next**2) - update.x


def _gg_ddim(update: Update) -> Tensor:
    return ancestral(update, update.options["eta"])


def _euler_cfg_pp_ode(update: Update) -> Tensor:
    return euler_cfg_pp(replace(update, options={"eta": 0.0}))


FORMULAS: dict[str, Callable[[Update], Tensor]] = {
    "euler": euler,
    "ddim": euler,
    "euler_ancestral": euler_ancestral,
    "ddpm": host_ddpm,
    "gg_ddpm": _posterior_mean,
    "gg_ddim": _gg_ddim,
    "lcm": lcm,
    "dpmpp_2m": dpmpp_2m,
    "euler_cfg_pp": _euler_cfg_pp_ode,
    "euler_ancestral_cfg_pp": euler_cfg_pp,
}
READS_UNCOND = ("euler_cfg_pp", "euler_ancestral_cfg_pp")
