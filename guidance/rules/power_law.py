"""Power-law guidance: a scale that follows the length of the difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..vectors import norm, per_item, widen
from .kinds import Before, with_difference

PAPER = Paper(
    "Pavasovic et al. 2025",
    "2502.07849",
    "Understanding Classifier-Free Guidance: High-Dimensional Theory and Non-Linear Generalizations",
)
FACTORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "score": lambda alpha, sigma: alpha / sigma**2,
    "epsilon": lambda alpha, sigma: alpha / sigma,
    "x0": lambda alpha, sigma: torch.ones_like(sigma),
}


@dataclass(frozen=True)
class PowerLaw(Before):
    """Power-law guidance.

        D = c + (gamma - 1) |delta|^power delta        |delta| of scores: alpha |c - u| / sigma^2

    The length of a score grows as sigma falls, and with the square root of the elements. Where the factor is not finite
    (no difference and a negative power, or sigma = 0) the result is c.
    """

    node_id = "GGPowerLaw"
    name = "Power-law CFG"
    search_words = ("nonlinear guidance", "power law")
    phrase = "power law {power:g} in {space}"
    description = "Guides more at steps where the prompt changes much, and less where it changes little."
    papers = (PAPER,)
    claims = frozenset({"in plane", "per item"})
    power: float = knob(
        0.9,
        "D = c + (cfg - 1) |delta|^power delta. 0: plain CFG. Above 1 guides very strongly early "
        f"in a run; below 0 evens out all steps. Readjust cfg after a change. {PAPER.number}.",
        limits=(-1.0, 3.0, 0.05),
        main=True,
        off=0.0,
    )
    space: str = knob(
        "score",
        "Where |delta| is measured. score: as in the paper; very long at low noise, so cfg - 1 "
        "must be small. epsilon: milder. x0: longest early.",
        choices=tuple(FACTORS),
    )

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Predictions, None]:
        """Predictions with the difference times its own length to the power."""
        uncond, cond = p.pair
        delta = cond - uncond
        size = norm(delta) * FACTORS[self.space](widen(p.alpha), widen(p.sigma))
        factor = size**self.power
        factor = torch.where(factor.isfinite(), factor, 0.0)
        return with_difference(p, per_item(factor, delta) * delta), state
