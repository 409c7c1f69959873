"""CFG-Zero*: the unconditional output at its best length, and no move while the sample is pure noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..predictions import Predictions
from ..schedules import Run
from ..vectors import dot, ratio, square
from .contract import Rule
from .spaces import View, seen

PURE_NOISE = 0.98  # noise level from which a flow run counts as started at noise; a continued run does not


def optimised_scale(view: View, p: Predictions) -> Tensor:  # [B] float64
    """Length that brings the unconditional output closest to the conditional one: s = <v_c, v_u> / |v_u|^2.

    v: the velocity of a flow model, epsilon on others; a factor does not matter.
    """
    free, bound = view.outputs(*p.pair)
    return ratio(dot(bound, free), square(free))


@dataclass(frozen=True)
class ZeroStar(Rule):
    """CFG-Zero*.

        v_u' = s v_u        v = v_u' + gamma (v_c - v_u')        s = <v_c, v_u> / |v_u|^2

    zero_steps: outer steps without a move, D = x in all their stages, at the start of a flow model's run from pure
    noise; 1 is the paper's, 0 is off. A run that starts later (a second sampler, a low denoise) has none, nor has a VE
    model, whose noise would stay.
    Source: Fan et al. 2025, arXiv 2503.18886.
    """

    kind = "before"
    fills_uncond = True  # a step counts whether or not it is guided
    claims = frozenset({"in plane", "per item"})
    zero_steps: int = 1

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"CFG-Zero*{f', zero-init {self.zero_steps}' if self.zero_steps else ''}"

    def waits(self, run: Run) -> int:
        """Steps without a move in this run."""
        return self.zero_steps if run.flow and run.sigmas[0] >= PURE_NOISE else 0

    def init(self, run: Run) -> int:
        """Steps that are left without a move."""
        return self.waits(run)

    def step(self, state: int, p: Predictions, gamma: float) -> tuple[Predictions | None, int]:
        """Predictions whose u is x - s (x - u); None while steps without a move are left."""
        left = max(state - 1, 0)
        if state > 0 and gamma != 1:
            return None, left
        if p.uncond is None:
            return p, left
        view = seen("ode", p)
        uncond = view.scaled(p.pair[0], optimised_scale(view, p))
        return replace(p, uncond=uncond.to(p.cond.dtype)), left
