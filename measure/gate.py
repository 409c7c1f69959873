"""Whether the measure applies to a model at all: asked of pictures that the model made at cfg 1.

A whole model finds its own pictures as strange as it expects, and sees the prompt in them as strongly as it draws it.
One made for few steps, distilled, damaged, or read in another way than it was trained does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .estimates import Estimate, fine, prompt_strength, ratio_of
from .levels import Level

STRENGTH = (0.8, 1.2)  # prompt strength of pictures at cfg 1
RATIO = (0.6, 1.6)  # denoising ratio of each fine level
FAR = 1.25  # times beyond these, from where a few pictures do not pass either


class Gate(NamedTuple):
    """Whether the measure applies.  why: "" where it does; else "trace", "strange", "smooth" or "strength"

    at: the estimate that lies outside, None where an expected error is not even positive. sure: whether its whole
    interval lies outside, too; if it does not, more pictures will tell.
    """

    why: str = ""
    at: Estimate | None = None
    sure: bool = True

    @property
    def applies(self) -> bool:
        """Nothing lies outside."""
        return not self.why


def gate_of(levels: Sequence[Level]) -> Gate:
    """The gate, of what a model answers about its own pictures at cfg 1.

    A number refuses where its whole interval lies outside: a few pictures must not refuse a whole model. Where it is
    far outside and its interval is not, more pictures are needed. A model that is asked without a negative has no
    prompt strength, so the ratio alone decides.
    """
    if any(float(level.expected.sum()) <= 0 for level in levels):
        return Gate("trace")
    ratios = [("strange" if ratio.value > 1 else "smooth", ratio, RATIO) for ratio in map(ratio_of, fine(levels))]
    kappa = prompt_strength(levels)
    strength = [] if math.isnan(kappa.value) else [("strength", kappa, STRENGTH)]
    outside = [
        Gate(why, estimate, _lies_outside(estimate, within))
        for why, estimate, within in [*ratios, *strength]
        if _lies_outside(estimate, within) or not within[0] / FAR <= estimate.value <= within[1] * FAR
    ]
    return max(outside, key=lambda gate: gate.sure, default=Gate())


def _lies_outside(estimate: Estimate, within: tuple[float, float]) -> bool:
    """Whether the whole interval is not within; one that is unknown is not sure."""
    return estimate.high < within[0] or estimate.low > within[1]
