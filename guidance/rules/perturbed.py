"""Guidance away from a perturbed pass, on top of any other guidance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..predictions import Predictions
from ..vectors import promoted
from .kinds import Add, Source
from .window import Window


@dataclass(frozen=True, eq=False)
class Perturbed(Add):
    """Add the way from a perturbed prediction to c, as PAG, SEG and skip-layer guidance do.

        D = G + scale (c - w)        G: what the chain makes of u and c

    c is the prediction as evaluated, and the sum comes last, whatever the other rules do: several add up, and it acts
    at any gamma, at 1 too, where u is not evaluated and D = c + scale (c - w); diffusers has scale - 1 there.
    perturbed: the source of w, the condition of c in a model that answers worse. scale: 0 is off. start, end: share of
    the steps, start <= i / steps < end; outside it w is not evaluated.
    Source: Ahn et al. 2024, arXiv 2403.17377 (PAG); the perturbation itself is the model's own.
    """

    claims = frozenset({"same in every space", "per item"})
    perturbed: Source
    weight: float = 3.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self):
        if Window(self.start, self.end).empty:
            raise ValueError(
                f"window {self.start:g} .. {self.end:g} is empty or reversed: start is the noisier end. Swap them."
            )

    @property
    def neutral(self) -> bool:
        """No weight."""
        return self.weight == 0

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        window = "" if (self.start, self.end) == (0, 1) else f", {self.start:g} .. {self.end:g}"
        return f"perturbed pass x {self.weight:g}{window}"

    @property
    def sources(self) -> Mapping[str, Source]:
        """The perturbed one."""
        return {"perturbed": self.perturbed}

    @property
    def window(self) -> Window:
        """From start to end, within any other windows."""
        return Window(self.start, self.end).shared(super().window)

    def needs(self, state: None, sigma: float, wanted: frozenset[str]) -> frozenset[str]:
        """The perturbed prediction, whatever gamma is."""
        return wanted | {"perturbed"}

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Tensor | None, None]:
        """The way from the perturbed prediction, None where that was not evaluated."""
        if "perturbed" not in p.extra:
            return None, state
        return self.weight * (promoted(p.cond) - promoted(p.extra["perturbed"])), state
