"""Guidance rescale: the contrast of the conditional prediction, kept."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..vectors import ratio, std
from .kinds import After
from .spaces import space_knob, view_in

PAPER = Paper("Lin et al. 2023", "2305.08891", "Common Diffusion Noise Schedules and Sample Steps are Flawed")


@dataclass(frozen=True)
class Rescale(After):
    """Guidance rescale: shrink the guided output until its standard deviation is that of the conditional one.

        o' = o_G (phi std(o_c) / std(o_G) + 1 - phi)          o: the prediction in `space`

    phi 0.7 in v is the paper's.  Source: section 3.4, for v-prediction.
    """

    node_id = "GGRescale"
    name = "Rescale CFG (std)"
    search_words = ("burn", "overexposed", "contrast")
    phrase = "rescale {phi:g} in {space}"
    description = "A high cfg stretches the contrast of the picture; this shrinks it back. Less burn."
    papers = (PAPER,)
    maturity = "stable"
    claims = frozenset({"in span", "per item"})
    phi: float = knob(
        0.7,
        f"How much of the contrast is taken back. 0: plain CFG. 1: all of it, flat and grey at a high cfg. {PAPER}.",
        limits=(0.0, 1.0, 0.05),
        main=True,
        off=0.0,
    )
    space: str = space_knob("v", "Where contrast is measured.")

    def step(self, state: None, p: Predictions, guided: Tensor, gamma: float) -> tuple[Tensor, None]:
        """The rescaled prediction."""
        view = view_in(self.space, p)
        share = ratio(*(std(v) for v in view.outputs(p.cond, guided)))
        return view.rescale(guided, self.phi * share + 1 - self.phi), state
