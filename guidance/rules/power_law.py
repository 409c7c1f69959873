"""Power-law guidance: a scale that follows the length of the difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..predictions import Predictions
from ..vectors import norm, per_item, wide
from .kinds import Before, with_difference

FACTORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "score": lambda alpha, sigma: alpha / sigma**2,
    "epsilon": lambda alpha, sigma: alpha / sigma,
    "x0": lambda alpha, sigma: torch.ones_like(sigma),
}


@dataclass(frozen=True)
class PowerLaw(Before):
    """Power-law guidance.

        D = c + (gamma - 1) |delta|^power delta        |delta| of scores: alpha |c - u| / sigma^2

    power: 0 is plain CFG; above it long differences count more than short ones, below it less. space: where the length
    is taken; the paper's is the score, whose lengths grow as sigma falls and with the square root of the elements.
    Where the factor is not finite (no difference and a negative power, or sigma = 0) the result is c.
    Source: Pavasovic, Verbeek, Biroli and Mezard 2025, arXiv 2502.07849.
    """

    claims = frozenset({"in plane", "per item"})
    power: float = 0.9
    space: str = "score"

    def __post_init__(self):
        if self.space not in FACTORS:
            raise ValueError(f"Space {self.space!r} is unknown. Use one of {', '.join(FACTORS)}.")

    @property
    def neutral(self) -> bool:
        """Power zero."""
        return self.power == 0

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"power law {self.power:g} in {self.space}"

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Predictions, None]:
        """Predictions with the difference times its own length to the power."""
        uncond, cond = p.pair
        delta = cond - uncond
        size = norm(delta) * FACTORS[self.space](wide(p.alpha), wide(p.sigma))
        factor = size**self.power
        factor = torch.where(factor.isfinite(), factor, 0.0)
        return with_difference(p, per_item(factor, delta) * delta), state
