"""Whether the measure applies to a model at all: asked of pictures that the model made at cfg 1.

A whole model finds its own pictures as strange as it expects, and sees the prompt in them as strongly as it draws it.
One made for few steps, distilled, damaged, or read in another way than it was trained does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .estimates import Estimate, fine, prompt_strength, ratio_of
from .levels import Level

STRENGTH = (0.8, 1.2)  # prompt strength of pictures at cfg 1
RATIO = (0.6, 1.6)  # denoising ratio of each fine level


class Gate(NamedTuple):
    """Whether the measure applies.  why: "" where it does; else "trace", "strange", "smooth" or "strength"

    at: the estimate that lies outside, None where an expected error is not even positive.
    """

    why: str = ""
    at: Estimate | None = None

    @property
    def applies(self) -> bool:
        """Nothing lies outside."""
        return not self.why


def gate_of(levels: Sequence[Level]) -> Gate:
    """The gate, of what a model answers about its own pictures at cfg 1.

    A number counts as outside only where its whole interval is: a few pictures must not refuse a whole model.
    """
    if any(float(level.expected.sum()) <= 0 for level in levels):
        return Gate("trace")
    for ratio in map(ratio_of, fine(levels)):
        if _outside(ratio, RATIO):
            return Gate("strange" if ratio.value > RATIO[1] else "smooth", ratio)
    strength = prompt_strength(levels)
    return Gate("strength", strength) if _outside(strength, STRENGTH) else Gate()


def _outside(estimate: Estimate, within: tuple[float, float]) -> bool:
    """Whether the number is not within, and its interval neither; an unknown interval is the number itself."""
    low, high = (estimate.low, estimate.high) if estimate.low == estimate.low else (estimate.value, estimate.value)
    return high < within[0] or low > within[1]
