"""Gradients as some papers use them: not as rates but as a fixed shift of every step, or as a lean of its noise.

The papers' states have unit variance, z = a x with a = 1 / sqrt(alpha^2 + sigma^2), and abar = (a alpha)^2. A shift of
the next state x' by d is a shift of the prediction by d / follow, follow = dx'/dD, so a step stays a function of D:

    DPS      z' += zeta grad_z log p(y | D)                  x' += zeta / (a a') grad_x
    FreeDoM  z' += rho sqrt(abar) grad_z log p(y | D)        x' += rho alpha / a' grad_x
    TFG      z' += rho_t / sqrt(abar / abar') grad_z         x' += rho_t alpha' / (alpha a^2) grad_x
             z' += sqrt(abar') Delta,  Delta = N steps of mu_t grad_D log p(y | D + Delta)
    MPGD     D += c / sqrt(abar) grad_D log p(y | D), the noise estimate kept: x' += alpha' c / (alpha a) grad_D

rho_t, mu_t = rho, mu times (abar / abar') over its mean in the run. None of them is a rate: with twice the steps the
whole shift is about twice as large.
Sources: DPS: Chung et al. 2023, arXiv 2209.14687, alg. 1. FreeDoM: Yu et al. 2023, arXiv 2303.09833, alg. 1.
MPGD: He et al. 2024, arXiv 2311.16424, alg. 1. TFG: Ye et al. 2024, arXiv 2409.15761, alg. 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from ..guidance.gradients.estimators import LEAST_ALPHA, spread
from ..guidance.gradients.term import BACKPROP, CLEAN_X0, Strength
from ..guidance.vectors import norm, per_item, promote
from .noise_tracking import redraw, untrack
from .steps import Level, follow

TINY = torch.finfo(torch.float32).tiny  # a gradient this short has no direction in float32


class Taken(NamedTuple):
    """A step that gradients shift.  follow: dx'/dD. share: abar / abar' over its mean in the run."""

    now: Level
    then: Level
    follow: float
    share: float


def unit(at: Level) -> float:
    """The factor that gives a state unit variance.  a = 1 / sqrt(alpha^2 + sigma^2)"""
    return 1 / sqrt(at.alpha**2 + at.sigma**2)


def signal(at: Level) -> float:
    """The papers' abar: the share of the signal in a state of unit variance.  (a alpha)^2"""
    return (unit(at) * at.alpha) ** 2


OF_STATE: dict[str, Callable[[Taken], float]] = {  # x' += this times grad_x log p, at scale 1
    "DPS": lambda t: 1 / (unit(t.now) * unit(t.then)),
    "FreeDoM": lambda t: t.now.alpha / unit(t.then),
    "TFG": lambda t: t.share * t.then.alpha / (t.now.alpha * unit(t.now) ** 2),
}
OF_PREDICTION: dict[str, Callable[[Taken], float]] = {  # D += this times grad_D log p, at scale 1, with eps-hat kept
    "MPGD": lambda t: 1 / (t.now.alpha * unit(t.now)),
    "TFG": lambda t: t.share,
}
BY_EVALUATION = {BACKPROP: OF_STATE, CLEAN_X0: OF_PREDICTION}


def evaluations_of(paper: str) -> list[str]:
    """Where a paper asks its energies: through the denoiser, or at the prediction."""
    return [evaluation for evaluation, papers in BY_EVALUATION.items() if paper in papers]


@dataclass(frozen=True)
class ShiftLaw:
    """How strongly terms act in a run whose gradients are shifts.

    steps: by noise level. sigma_data: of clean data, as r^2 knows it.
    """

    paper: str
    steps: dict[float, Taken]
    sigma_data: float

    def __call__(self, weight: float, evaluation: str, sigma: float) -> Strength:
        """gamma, and what becomes of the push, for a scale in the paper's own unit.

        Raises ValueError for an evaluation that the paper does not use.
        """
        papers = BY_EVALUATION.get(evaluation, {})
        if self.paper not in papers:
            raise ValueError(
                f"{self.paper} evaluates its energy at {' or '.join(map(repr, evaluations_of(self.paper)))}, but this "
                f"one uses {evaluation!r}. Change evaluation; if memory ran out, use fewer images or compute twice."
            )
        step = self.steps[min(self.steps, key=lambda known: abs(known - sigma))]
        if step.now.alpha < LEAST_ALPHA:
            return Strength(1.0, 0.0)
        size = weight * papers[self.paper](step)
        if evaluation == CLEAN_X0:
            r2 = spread(step.now.sigma, step.now.alpha, self.sigma_data)
            return Strength(size / r2, step.then.alpha / step.follow)
        return Strength(size * step.now.alpha / (step.now.sigma**2 * step.follow))

    def rates(self, weight: float, evaluation: str) -> tuple[float, float]:
        """The gamma that a rate would need to do the same, at the first and at the last step."""
        factors = [prod(self(weight, evaluation, sigma)) for sigma in self.steps]
        return factors[0], factors[-1]


def shifted_steps(levels: Sequence[Level], down: Callable[[Level, Level], float]) -> dict[float, Taken]:
    """The steps of a run by their noise level.  down(now, then): what a step keeps of the old noise."""
    pairs = list(pairwise(levels))
    kept = [signal(now) / signal(then) for now, then in pairs]
    mean = sum(kept) / max(len(kept), 1)
    return {
        now.sigma: Taken(now, then, follow(now, then, down(now, then)), share / mean)
        for (now, then), share in zip(pairs, kept, strict=True)
    }


def lean_noise(eps: Tensor, wanted: Tensor, weight: float) -> Tensor:  # [B, ...] twice -> [B, ...]
    """Noise on its sphere, leaning towards a direction; where nothing is wanted it only comes onto the sphere.

        d = eps + w (sqrt(n) g/|g| - eps)    eps' = sqrt(n) d/|d|

    w: 0 keeps the direction of eps, 1 takes that of g. n: elements of one sample.
    Source: Yang et al. 2024, arXiv 2402.03201 (DSG), alg. 1, with g = grad log p.
    """
    draw, radius = promote(untrack(eps)), sqrt(eps[0].numel())
    there = radius * _direction(promote(wanted))
    lean = torch.where(per_item(norm(wanted), draw) < TINY, draw, draw + weight * (there - draw))
    return redraw(eps, (radius * _direction(lean)).to(eps.dtype))


def _direction(v: Tensor) -> Tensor:  # [B, ...] -> [B, ...]
    """v / |v| of each item, and v itself where float32 knows no direction."""
    size = norm(v)
    return v / per_item(torch.where(size < TINY, torch.ones_like(size), size), v)
