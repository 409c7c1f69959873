"""Find my range, with the objective as the person who clicks: what the panel queues, and which range follows.

Nothing is known of the model yet. The scales are those of `ladder` and `further` in web/lib/find-range.mjs;
the range is the one that verdict/picks.py makes of the picks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...verdict.picks import Pick, Picks
from .evidence import Setting
from .odds import plain

FAR, CLOSE = 2.0, 1.4  # from one scale to the next, at first and about the one that was liked
STARTS = (2.0, 3.0, 4.0, 6.0, 8.0)
NEAR = 1.1  # times a scale: as good as tried
MORE = 2  # scales that are queued about the one that was liked
NEXT = 1.5  # times a scale: what is closer than that is beside it
LIKED = 1.25  # times the least objective: the next best beside it is chosen too


@dataclass(frozen=True)
class Found:
    """A range.  run_count: runs that it took. holds: whether it holds the centre of the band."""

    low: float
    high: float
    run_count: int
    holds: bool


def found_range(setting: Setting, start: float) -> Found:
    """The range when the best is clicked, and then, of that and what is queued about it, the best and its like.

    Scales in between are read off the measured curve of the objective.
    """

    def value(gamma: float) -> float:
        return float(np.interp(math.log(gamma), np.log(setting.gammas), setting.values))

    first = sorted({_as_widget(start * factor) for factor in (1 / FAR, 1.0, FAR)})
    middle = min(first, key=value)
    tried = sorted(first + further(middle, first))
    best = min(tried, key=value)
    beside = [gamma for gamma in tried if 1 < max(gamma, best) / min(gamma, best) < NEXT]
    alike = sorted((gamma for gamma in beside if value(gamma) <= LIKED * value(best)), key=value)
    picks = Picks("", "", tuple(Pick(gamma, "ode", gamma in (best, *alike[:1])) for gamma in tried))
    low, high = picks.range("ode") or (math.nan, math.nan)
    return Found(low, high, len(tried), low <= setting.band.centre <= high)


def further(liked: float, tried: Sequence[float]) -> list[float]:
    """Scales to look at next: beyond the one that was liked where it is the last on its side, else close about it."""
    side = {min(tried): 1 / FAR, max(tried): FAR}.get(liked)
    beyond = [liked * side, liked * side**2] if side else []
    found: list[float] = []
    for gamma in map(_as_widget, [*beyond, liked / CLOSE, liked * CLOSE]):
        if not any(max(gamma, one) / min(gamma, one) < NEAR for one in (*tried, *found)):
            found.append(gamma)
    return found[:MORE]


def _as_widget(gamma: float) -> float:
    """As widgets show it; guidance stays on."""
    return round(max(1.0, gamma), 1)


def ranges(settings: Sequence[Setting], starts: Sequence[float] = STARTS) -> list[Found]:
    """Of every trained setting that cfg alone guides, and start."""
    return [found_range(one, start) for one in plain(settings) if one.trained for start in starts]
