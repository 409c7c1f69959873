"""Guidance away from a weaker version of the model, in place of the model without its condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..vectors import promote
from .kinds import Replace, Source

PAPER = Paper("Karras et al. 2024", "2406.02507", "Guiding a Diffusion Model with a Bad Version of Itself")


@dataclass(frozen=True, eq=False)
class Autoguidance(Replace):
    """Autoguidance: a weak prediction takes the place of u.

        D = u' + gamma (c - u')        u' = u + share (w - u)

    w: the weak source's prediction, as a rule of the same condition as c, so that the difference is quality and not the
    condition. Raises ValueError when the weak prediction has another shape.
    """

    node_id = "GGAutoguidance"
    name = "Autoguidance (weak model)"
    search_words = ("bad model", "guide with a weak model")
    description = "Guides away from a weaker model, or from a weaker condition, in place of the negative."
    papers = (PAPER,)
    maturity = "stable"
    claims = frozenset({"same in every space", "per item"})
    weak: Source
    share: float = knob(
        1.0,
        f"1: the weak model takes the place of the negative, as in the paper, {PAPER.number}. 0: plain CFG. Between: "
        "a mix of both, at one more run per step.",
        limits=(0.0, 1.0, 0.05),
        main=True,
        name="weak_share",
        off=0.0,
    )

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        where = "model" if self.weak.model is not None else "condition"
        return f"autoguidance, weak {where}{'' if self.share == 1 else f' x {self.share:g}'}"

    @property
    def sources(self) -> Mapping[str, Source]:
        """The weak one."""
        return {"weak": self.weak}

    def needs(self, state: None, sigma: float, wanted: frozenset[str]) -> frozenset[str]:
        """The weak prediction where u would be asked for, in its place if it takes all of it."""
        if "uncond" not in wanted:
            return wanted
        return (wanted | {"weak"}) - ({"uncond"} if self.share == 1 else set())

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Predictions, None]:
        """Predictions whose u is the weak one, or lies on the way to it."""
        weak: Any = p.extra.get("weak")
        if weak is None or (p.uncond is None and self.share != 1):
            return p, state
        if weak.shape != p.cond.shape:
            raise ValueError(
                f"The weak prediction has shape {tuple(weak.shape)} but the sampled one {tuple(p.cond.shape)}. "
                "Use two models of one latent space."
            )
        if self.share == 1:
            return replace(p, uncond=weak), state
        uncond, _ = p.pair
        uncond = torch.lerp(uncond, promote(weak), self.share)
        return replace(p, uncond=uncond.to(p.cond.dtype)), state
