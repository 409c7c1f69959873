"""TAG, tangential amplifying guidance: more of the step across the noisy sample, no more along it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..vectors import project, promote, reject
from .kinds import After

PAPER = Paper(
    "Cho et al. 2025",
    "2510.04533",
    "TAG: Tangential Amplifying Guidance for Hallucination-Resistant Diffusion Sampling",
)


@dataclass(frozen=True)
class TangentialAmplify(After):
    """Tangential amplifying guidance: of what G says across x, and of what c says along the difference across x.

        G' = G + a <c, d> d / |d|^2        d = delta_across        D = G' + (eta - 1) G'_across

    Across x all outputs of a network are proportional, so this is the same in every space. For a first-order step the
    increment of the sampler is amplified exactly: x' = x + P step + eta (1 - P) step, P: projection on x.
    At gamma = 1 the result is c.  Source: eq. 7 (eta) and eq. 26 (align).
    """

    node_id = "GGTangentialAmplify"
    name = "TAG (Tangential Amplifying Guidance)"
    search_words = ("details", "structure")
    description = (
        "Makes the part of every step stronger that changes what the picture shows. Exact with euler and other "
        "simple samplers."
    )
    papers = (PAPER,)
    acts_alone = True  # also where c = u leaves no difference to guide along
    claims = frozenset({"in span", "per item", "same in every space"})
    eta: float = knob(
        1.05,
        "step' = step_along + eta step_across, along and across x. 1: plain CFG. 1.02 to 1.3 is "
        f"usual; above that, detail turns into noise; below 1 blurs. {PAPER}.",
        limits=(0.0, 3.0, 0.01),
        main=True,
        off=1.0,
    )
    align: float = knob(
        0.0,
        "a in D + a <c, d> d/|d|^2, d: the difference across x; the paper's form for CFG. 0: off. "
        "Large values overshoot where c and u are close.",
        limits=(-3.0, 3.0, 0.01),
        off=0.0,
    )

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"TAG eta {self.eta:g}{f', align {self.align:g}' if self.align else ''}"

    def step(self, state: None, p: Predictions, guided: Tensor, gamma: float) -> tuple[Tensor, None]:
        """The amplified prediction."""
        if gamma == 1:
            return guided, state
        x, amplified = promote(p.x), promote(guided)
        if self.align:
            uncond, cond = p.pair
            amplified = amplified + self.align * project(cond, reject(cond - uncond, x))
        return (amplified + (self.eta - 1) * reject(amplified, x)).to(guided.dtype), state
