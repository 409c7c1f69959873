"""TCFG, tangential damping: the part of the unconditional output that the conditional one shares."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..knobs import Paper
from ..predictions import Predictions
from ..vectors import dot, per_item, square, widen
from .kinds import Before
from .spaces import space_knob, view_in

PAPER = Paper("Kwon et al. 2025", "2503.18137", "TCFG: Tangential Damping Classifier-free Guidance")


def leading_direction(uncond: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:  # [B, ...] twice -> [B] twice, float64
    """Weights w, k with which w uncond + k cond is uncond projected on the first right singular vector of the two rows.

    The matrix of inner products has the leading eigenvector (cos t, sin t), tan 2t = 2 <u, c> / (<u, u> - <c, c>); then
    w = cos^2 t and k = cos t sin t. Where both singular values are equal nothing leads, and uncond stays.
    """
    uncond, cond = widen(uncond), widen(cond)
    gap, twice = square(uncond) - square(cond), 2 * dot(uncond, cond)
    angle = torch.atan2(twice, gap)
    return (1 + angle.cos()) / 2, angle.sin() / 2


@dataclass(frozen=True)
class Tangential(Before):
    """Tangential damping CFG.

        [o_u; o_c] = U S V^T        o_u' = <o_u, v_1> v_1        D = CFG of (u', c)

    In the space ode the outputs o are what networks predict: epsilon on VE, the velocity on flow.
    """

    node_id = "GGTangential"
    name = "TCFG (Tangential Damping CFG)"
    search_words = ("artifacts", "singular value")
    phrase = "TCFG in {space}"
    description = "Leaves out of the negative what has nothing to do with the prompt."
    papers = (PAPER,)
    maturity = "stable"
    claims = frozenset({"in span", "per item"})
    space: str = space_knob("ode", f"Where the two are compared. {PAPER}.")

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Predictions, None]:
        """Predictions whose u is damped."""
        uncond, cond = p.pair
        view = view_in(self.space, p)
        w, k = leading_direction(*view.outputs(uncond, cond))
        damped = per_item(w, cond) * uncond + per_item(k, cond) * cond
        damped = damped + per_item(1 - w - k, cond) * view.centre
        return replace(p, uncond=damped.to(p.cond.dtype)), state
