"""EP-CFG: the energy of the conditional prediction, kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..vectors import flat, promote, ratio, square, total, widen
from .kinds import After
from .spaces import space_knob, view_in

PAPER = Paper("Zhang et al. 2024", "2412.09966", "EP-CFG: Energy-Preserving Classifier-Free Guidance")
LOW, HIGH = 0.45, 0.55  # the paper's percentiles of the robust energy


def middle_energy(v: Tensor) -> Tensor:  # [B, ...] -> [B] float64
    """Sum of the squares that lie between the 45th and the 55th percentile of the squares of an item."""
    squares = promote(flat(v)) ** 2
    last = squares.shape[1] - 1
    ordered = squares.sort(dim=1).values
    low, high = (ordered[:, place, None] for place in (math.ceil(LOW * last), math.floor(HIGH * last)))
    return total(widen(squares.where((squares >= low) & (squares <= high), 0.0)))


@dataclass(frozen=True)
class EnergyPreserving(After):
    """Energy-preserving CFG: give the guided output the energy of the conditional one.

    o' = o_G sqrt(E(o_c) / E(o_G))          E(o) = sum of o_i^2, or of those between two percentiles of them
    """

    node_id = "GGEnergyPreserving"
    name = "EP-CFG (Energy-Preserving CFG)"
    search_words = ("burn", "contrast")
    description = "A high cfg changes brightness and contrast of the picture; this brings both back."
    papers = (PAPER,)
    claims = frozenset({"in span", "per item"})
    robust: bool = knob(
        False,
        "Off: E is the sum of all squares. On: of the squares between their 45th and 55th percentile, so that a few "
        f"bright spots do not darken the rest; with few values it is noisy. {PAPER}.",
    )
    space: str = space_knob("ode", "Where the energy is measured.")

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"EP-CFG{' robust' if self.robust else ''} in {self.space}"

    def step(self, state: None, p: Predictions, guided: Tensor, gamma: float) -> tuple[Tensor, None]:
        """The prediction with the energy of c."""
        view, energy = view_in(self.space, p), middle_energy if self.robust else square
        return view.rescale(guided, ratio(*(energy(v) for v in view.outputs(p.cond, guided))).sqrt()), state
