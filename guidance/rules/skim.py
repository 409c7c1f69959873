"""Skimming: a lower scale where guidance pushes values that stick out already."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from ..knobs import knob
from ..predictions import Predictions
from .kinds import Combine


@dataclass(frozen=True)
class Skim(Combine):
    """Element by element, a lower scale where difference, prediction and guided move all point the same way.

        D = u + g delta      g = min(skim, gamma) where sign(delta) = sign(c) = sign(G) = sign(G - x), else gamma

    G = u + gamma delta. At gamma = 1 nothing is skimmed. On flow models x is compared as it is, scaled down by alpha.
    Source: the practice of the community, without a paper; the linear form, at the skimmed elements alone. The
    community's node also runs a pass with u and c swapped, which moves u; that one is left out here.
    """

    node_id = "GGSkim"
    name = "Skimmed CFG (less burn, per value)"
    search_words = ("burn", "high cfg")
    phrase = "skim to {skim:g}"
    description = "Lowers cfg at those values of the picture which guidance makes more extreme than they already are."
    claims = frozenset({"gamma 0 is u", "per item"})
    skim: float = knob(
        3.0,
        "Scale where delta, c, the guided value and its move from x share one sign. cfg or more: "
        "plain CFG. 1: c there. Below 1: washed out. No paper.",
        limits=(0.0, 100.0, 0.1),
        main=True,
        off=inf,
    )

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Tensor, None]:
        """The guided prediction, skimmed."""
        uncond, cond = p.pair
        delta = cond - uncond
        guided = uncond + gamma * delta
        way = delta.sign()
        out = (way == cond.sign()) & (way == guided.sign()) & (way == (guided - p.x).sign())
        skimmed = torch.where(out, uncond + min(self.skim, gamma) * delta, guided)
        return skimmed.to(p.cond.dtype), state
