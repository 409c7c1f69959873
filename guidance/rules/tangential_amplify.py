"""TAG, tangential amplifying guidance: more of the step across the noisy sample, no more along it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..predictions import Predictions
from ..vectors import project, promoted, reject
from .kinds import After


def tangential_amplify(p: Predictions, guided: Tensor, *, eta: float, align: float) -> Tensor:  # [B, ...] -> [B, ...]
    """Amplify what the guided prediction says across x; add what c says along the difference across x.

        G' = G + a <c, d> d / |d|^2        d = delta_across        D = G' + (eta - 1) G'_across

    Across x all outputs of a network are proportional, so this is the same in every space. For a first-order step the
    increment of the sampler is amplified exactly: x' = x + P step + eta (1 - P) step, P: projection on x.
    """
    x, amplified = promoted(p.x), promoted(guided)
    if align:
        uncond, cond = p.pair
        amplified = amplified + align * project(cond, reject(cond - uncond, x))
    return (amplified + (eta - 1) * reject(amplified, x)).to(guided.dtype)


@dataclass(frozen=True)
class TangentialAmplify(After):
    """Tangential amplifying guidance.

    eta: factor on the tangential part of the step, 1 is plain CFG. align: extra weight of the form for CFG, 0 is off.
    At gamma = 1 the result is c.
    Source: Cho et al. 2025, arXiv 2510.04533, eq. 7 (eta) and eq. 26 (align).
    """

    acts_alone = True  # also where c = u leaves no difference to guide along
    claims = frozenset({"in span", "per item", "same in every space"})
    eta: float = 1.05
    align: float = 0.0

    @property
    def neutral(self) -> bool:
        """Nothing is amplified."""
        return self.eta == 1 and self.align == 0

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"TAG eta {self.eta:g}{f', align {self.align:g}' if self.align else ''}"

    def step(self, state: None, p: Predictions, guided: Tensor, gamma: float) -> tuple[Tensor, None]:
        """The amplified prediction."""
        if gamma == 1:
            return guided, state
        return tangential_amplify(p, guided, eta=self.eta, align=self.align), state
