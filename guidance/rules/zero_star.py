"""CFG-Zero*: the unconditional output at its best length, and no move while the sample is pure noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..run import Run
from ..vectors import dot, ratio, square
from .kinds import BeforeAlways
from .spaces import view_in

PAPER = Paper("Fan et al. 2025", "2503.18886", "CFG-Zero*: Improved Classifier-Free Guidance for Flow Matching Models")
PURE_NOISE = 0.98  # noise level from which a flow run counts as started at noise; a continued run does not


class Wait(NamedTuple):
    """The run; outer steps that are left to wait, None before the first one seen; whether the latest one waits."""

    run: Run
    left: int | None = None
    still: bool = False


@dataclass(frozen=True)
class ZeroStar(BeforeAlways):
    """CFG-Zero*.

        v_u' = s v_u        v = v_u' + gamma (v_c - v_u')        s = <v_c, v_u> / |v_u|^2

    v: the velocity of a flow model, epsilon on others; a factor does not matter.
    The first evaluation of a step decides for all its stages: at gamma 1 the step is c. Once a step has moved, by gamma
    1 or out of a window, no later one waits. A run that starts later (a second sampler, a low denoise) does not wait,
    nor does a VE model, whose noise would stay.
    """

    node_id = "GGZeroStar"
    name = "CFG-Zero* (scale + zero-init)"
    search_words = ("flow matching", "zero init", "CFGZeroStar")
    description = "For flow models: weighs the negative so that it fits the prompt, and skips the first step."
    papers = (PAPER,)
    maturity = "stable"
    claims = frozenset({"in plane", "per item"})
    zero_steps: int = knob(
        1,
        "How many first steps are skipped when a flow model starts from pure noise. 0: off. Many: the composition "
        f"forms too late. Needs euler, heun, dpm_2, ddim or the like. {PAPER}.",
        limits=(0, 100),
        name="zero_init_steps",
    )

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"CFG-Zero*{f', zero-init {self.zero_steps}' if self.zero_steps else ''}"

    def waits(self, run: Run) -> int:
        """Steps without a move in this run."""
        return self.zero_steps if run.flow and run.sigmas[0] >= PURE_NOISE else 0

    def init(self, run: Run) -> Wait:
        """No step has been seen yet."""
        return Wait(run)

    def step(self, state: Wait, p: Predictions, gamma: float) -> tuple[Predictions | None, Wait]:
        """Predictions whose u is x - s (x - u); None in a step without a move, also where u was not evaluated."""
        left = self._most(state.run, p.level) if state.left is None else state.left
        still = left > 0 and gamma != 1
        following = Wait(state.run, left - 1 if still else 0, still)
        return (None if still else self._scale_uncond(p)), following

    def stage(self, state: Wait, following: Wait, p: Predictions, gamma: float) -> Predictions | None:
        """Predictions whose u is x - s (x - u) in a further evaluation; None where the step began without a move."""
        return None if following.still else self._scale_uncond(p)

    def _most(self, run: Run, sigma: float) -> int:
        """Steps that may wait if the first that is seen stands at this level; none where a window missed the start."""
        return self.waits(run) if run.step(sigma) == 0 else 0

    def _scale_uncond(self, p: Predictions) -> Predictions:
        if p.uncond is None:
            return p
        view = view_in("ode", p)
        free, bound = view.outputs(*p.pair)
        uncond = view.rescale(p.pair[0], ratio(dot(bound, free), square(free)))
        return replace(p, uncond=uncond.to(p.cond.dtype))
