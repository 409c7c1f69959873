"""MAMBO-G: less guidance where the difference is large beside the prediction."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..vectors import norm, per_item
from .kinds import Before, with_difference
from .spaces import space_knob, view_in

PAPER = Paper("Zhu et al. 2025", "2508.03442", "MAMBO-G: Magnitude-Aware Mitigation for Boosted Guidance")


@dataclass(frozen=True)
class MagnitudeAware(Before):
    """Magnitude-aware guidance.

        D = c + (gamma - 1) exp(-a |delta| / |u|) delta        lengths of network outputs

    The difference is long early in a run. Where |u| is zero the result is c.
    """

    node_id = "GGMagnitudeAware"
    name = "MAMBO-G (Magnitude-Aware Guidance)"
    search_words = ("burn", "first steps", "few steps")
    phrase = "MAMBO-G {damping:g} in {space}"
    description = "Weakens guidance at steps where it would push very hard, mostly early in the run."
    papers = (PAPER,)
    claims = frozenset({"in plane", "per item"})
    damping: float = knob(
        8.0,
        "a in c + (cfg - 1) exp(-a |delta|/|u|) delta. 0: plain CFG. 8: usual, for cfg near 10. "
        f"Large: no guidance early, prompt lost. {PAPER.number}.",
        limits=(0.0, 100.0, 0.5),
        main=True,
        off=0.0,
    )
    space: str = space_knob("ode", "Where both lengths are measured.")

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Predictions, None]:
        """Predictions with a shorter difference."""
        uncond, cond = p.pair
        free, bound = view_in(self.space, p).outputs(*p.pair)
        share = norm(bound - free) / norm(free)
        factor = torch.where(share.isnan(), 0.0, (-self.damping * share).exp())
        return with_difference(p, per_item(factor, cond) * (cond - uncond)), state
