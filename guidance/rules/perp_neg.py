"""Perp-Neg: a negative prompt that cannot take away what the positive one asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..knobs import Paper, knob, socket
from ..predictions import Predictions
from ..vectors import promote, reject
from .kinds import Conditions, Source

PAPER = Paper(
    "Armandpour et al. 2023",
    "2304.04968",
    "Re-imagine the Negative Prompt Algorithm: Transform 2D Diffusion into 3D, Alleviate Janus Problem and Beyond",
)


@dataclass(frozen=True, eq=False)
class PerpNeg(Conditions):
    """Perp-Neg, in place of CFG: from the empty prompt towards c, and away from the part of the negative across that.

        D = e + gamma (c - e - k (n - e)_across)          n: the run's negative, across c - e

    Where the empty prompt was not evaluated the negative takes its place, which is plain CFG. At gamma = 1 it is c.
    """

    node_id = "GGPerpNeg"
    name = "Perp-Neg (Perpendicular Negative)"
    search_words = ("negative prompt", "PerpNeg")
    phrase = "Perp-Neg {weight:g}"
    description = "Replaces CFG: pushes away only from the part of the negative that the positive does not ask for."
    papers = (PAPER,)
    maturity = "stable"
    claims = frozenset({"per item", "same in every space"})
    empty: Any = socket("CONDITIONING", "The empty prompt. It costs one more run of the model per step.")
    weight: float = knob(
        1.0,
        f"How hard the negative pushes. 0: CFG against the empty prompt. Above 3 the picture drifts off. {PAPER}.",
        limits=(0.0, 100.0, 0.05),
        main=True,
    )

    @property
    def sources(self) -> Mapping[str, Source]:
        """The empty prompt."""
        return {"empty": Source(self.empty)}

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Tensor, None]:
        """The combined prediction."""
        if gamma == 1:
            return p.cond, state
        negative, cond = p.pair
        empty = promote(p.extra.get("empty", negative))
        pull = cond - empty
        guided = empty + gamma * (pull - self.weight * reject(negative - empty, pull))
        return guided.to(p.cond.dtype), state
