"""Which scales are good, from a cost measured at several of them: where it is at most 1.25 times its minimum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SLACK = 1.25
STILL_COVERED = 1e-9


@dataclass(frozen=True)
class GoodScales:
    """A range of scales, from low to high.  open: whether an edge lies beyond the scales that were measured"""

    low: float
    centre: float
    high: float
    open: bool = False

    def times(self, k: float) -> GoodScales:
        """The band of the world blurred by k."""
        return GoodScales(k * self.low, k * self.centre, k * self.high, self.open)

    def holds(self, gamma: float) -> bool:
        """Whether a scale is in it."""
        return self.low <= gamma * (1 + STILL_COVERED) and gamma <= self.high * (1 + STILL_COVERED)


def good_scales(gammas: Sequence[float], values: Sequence[float], slack: float = SLACK) -> GoodScales:
    """Where an objective is at most `slack` times its minimum; the centre is the geometric mean of the edges."""
    bound, logs = slack * min(values), [math.log(gamma) for gamma in gammas]
    best = values.index(min(values))
    low = _edge(logs[best::-1], values[best::-1], bound)
    high = _edge(logs[best:], values[best:], bound)
    closed = values[0] > bound and values[-1] > bound
    return GoodScales(math.exp(low), math.exp((low + high) / 2), math.exp(high), not closed)


def _edge(logs: Sequence[float], values: Sequence[float], bound: float) -> float:
    """Going away from the minimum, where the bound is first crossed."""
    for here, there, value, after in zip(logs, logs[1:], values, values[1:], strict=False):
        if after > bound:
            return here + (there - here) * (bound - value) / (after - value)
    return logs[-1]
