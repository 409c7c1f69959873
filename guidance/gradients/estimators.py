"""What a classifier asks of a prediction: gradients of log p(y | x) in units of x0-hat.

Three places to ask at, one currency. x = alpha x0 + sigma eps, D = x0-hat:

    noisy x_t       D' = D + gamma (sigma^2 / alpha) grad_x log p(y | x, sigma)       gamma = 1 is Bayes
    x0 + backprop   D' = D + gamma (sigma^2 / alpha) grad_x log p(y | D(x))           the same, p asked at D
    x0              D' = D + gamma r^2 grad_D log p(y | D)                            r^2 instead of Cov[x0 | x]

The exact denoiser has dD/dx = (alpha / sigma^2) Cov[x0 | x], so that the second is gamma Cov[x0 | x] grad_D log p.
All three are rates: the result of a run does not depend on the number of its steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..vectors import gradient_mode, numbers, per_item, promote, put_beside, rms

LogProb = Callable[[Tensor], Tensor]  # [B, ...] -> [B], each from its own item alone
LEAST_ALPHA = 0.02  # below it sigma^2 / alpha multiplies what a network's gradient leaves instead of an exact 0
EVALUATIONS = ("noisy x_t", "x0 + backprop", "x0")
NORMALISATIONS = ("none", "rms_ratio", "clip")


class Shift(NamedTuple):
    """What a classifier asks for at weight 1.  shift: change of x0-hat [B, ...]. log_prob: [B], where it was asked."""

    shift: Tensor
    log_prob: Tensor


def gradient_of(log_prob: LogProb, point: Tensor) -> Shift:  # point [B, ...]
    """Gradient of log p at a point, also where the host forbids gradients."""
    with gradient_mode():
        leaf = point.detach().clone().requires_grad_()
        value = log_prob(leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return Shift(gradient, value.detach())


def gain(sigma: float, alpha: float) -> float:
    """sigma^2 / alpha, what turns a gradient by x into a shift of x0-hat; 0 where alpha < 0.02.

    At alpha = 0 (flow at sigma = 1) the product with an exact gradient has a limit, but a network's explodes.
    """
    return sigma**2 / alpha if alpha >= LEAST_ALPHA else 0.0


def spread(sigma: float, alpha: float, sigma_data: float) -> float:
    """r^2: variance per element of what x leaves open, for Gaussian data of standard deviation sigma_data.

    r^2 = sigma^2 s^2 / (sigma^2 + alpha^2 s^2): 0 at sigma = 0, s^2 where nothing is known.
    """
    return (sigma * sigma_data) ** 2 / (sigma**2 + (alpha * sigma_data) ** 2)


def noisy_shift(log_prob: LogProb, x: Tensor, sigma: float, alpha: float = 1.0) -> Shift:
    """Shift by a classifier that reads the noisy sample itself.

        (sigma^2 / alpha) grad_x log p(y | x, sigma)

    u + w g is the prediction under p(x) p(y | x)^w; for the exact classifier g = c - u.
    Source: Dhariwal and Nichol 2021, arXiv 2105.05233, algorithm 2, for an x0-hat.
    """
    gradient = gradient_of(log_prob, x)
    return gradient._replace(shift=gradient.shift * gain(sigma, alpha))


def backprop_shift(
    log_prob: LogProb, x: Tensor, denoised: Tensor, sigma: float, alpha: float = 1.0, again: bool = False
) -> Shift:
    """Shift by a classifier of clean samples, asked at D(x), with the gradient taken through the denoiser.

        (sigma^2 / alpha) grad_x log p(y | D(x))

    x: requires a gradient; denoised: D(x) with its graph. again: the graph is needed once more.
    Asked at the mean of what x leaves open, it is too sure at high noise: gamma = 1 is not Bayes.
    Source: Bansal et al. 2023, arXiv 2302.07121, eq. 6.
    """
    with gradient_mode():
        value = log_prob(denoised)
        (gradient,) = torch.autograd.grad(value.sum(), x, retain_graph=again)
    return Shift(gradient * gain(sigma, alpha), value.detach())


def clean_shift(
    log_prob: LogProb,
    denoised: Tensor,
    sigma: float,
    alpha: float,
    sigma_data: float,
    weight: float = 1.0,
    steps: int = 1,
) -> Shift:
    """Shift by a classifier of clean samples, asked at D, without a gradient through the denoiser.

        repeat `steps` times from 0:  Delta += weight r^2 grad log p(y | D + Delta)        the shift is Delta / weight

    One step is r^2 grad_D log p(y | D). weight: of the steps on the way; not 0.
    Source: one step: isotropic form of Song et al. 2023 (PiGDM); more: Bansal et al. 2023, arXiv 2302.07121, eq. 7-9.
    """
    size = weight * spread(sigma, alpha, sigma_data)
    start = gradient_of(log_prob, denoised)
    moved = size * start.shift
    for _ in range(steps - 1):
        moved = moved + size * gradient_of(log_prob, denoised.detach() + moved).shift
    return Shift(moved / weight, start.log_prob)


def smooth_over_cloud(log_prob: LogProb, noise: Tensor, radius: float) -> LogProb:  # noise [n, ...], of one sample
    """log p averaged over a cloud about the sample: log (1/n) sum_i p(y | x0 + radius noise_i).

    The cloud stands for what the noise leaves open, so that the classifier is not asked at a mean nobody will see.
    Source: Song et al. 2023, "Loss-guided diffusion models for plug-and-play controllable generation", eq. 11.
    """

    def mean_log_prob(x0: Tensor) -> Tensor:
        log_probs = torch.stack([log_prob(x0 + radius * put_beside(eps, x0)) for eps in noise])
        return log_probs.logsumexp(dim=0) - math.log(len(noise))

    return mean_log_prob


def bound_push(push: Tensor, kind: str, longest: Tensor | float) -> Tensor:  # [B, ...], [B] or scalar -> [B, ...]
    """A push gamma * shift held to a size, per item.

        none       as it is: Bayes
        rms_ratio  always `longest` in rms: as long as guidance itself where that is a share of rms(delta)
        clip       at most `longest` in rms; what is smaller stays as it is

    Zero stays zero. Source: rms_ratio: Yu et al. 2023, arXiv 2303.09833 (FreeDoM), with the ratio per item.
    """
    if kind == "none":
        return push
    size = rms(push)
    longest = numbers(longest, size)
    wanted = torch.minimum(size, longest) if kind == "clip" else longest
    factor = torch.where(size == 0, torch.ones_like(size), wanted / size)
    return (promote(push) * per_item(factor, promote(push))).to(push.dtype)


def is_dead(shift: Tensor) -> Tensor:  # [B, ...] -> [B] bool
    """Whether a classifier asks for nothing at all: exactly zero, which no smooth network gives by chance."""
    return (shift == 0).flatten(1).all(dim=1)
