"""The value that liked pictures name: the one whose pictures show the prompt as strongly as they do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..measure.estimates import Estimate, prompt_strength, strength_gained
from ..measure.levels import Level
from ..measure.measurement import Measurement
from ..trace.portable import jsonable
from .measured import MeasuredCurve
from .picks import Pick, half_way

UNKNOWN = Estimate(math.nan, math.nan, math.nan)
STRENGTH, MIDDLE = "strength", "middle"


@dataclass(frozen=True)
class Liked:
    """What liked pictures say.

    values: at which they were made; empty for pictures of a person's own. strength: how strongly they show the prompt,
    all of them together. value: the one that they name, with those that the ends of the range name; nan where the curve
    does not reach so far, or does not surely rise. by: STRENGTH, or MIDDLE of liked values whose pictures may show the
    prompt alike.
    """

    values: tuple[float, ...]
    strength: Estimate
    value: Estimate
    by: str = STRENGTH

    def as_json(self) -> dict[str, Any]:
        """For browsers and scripts."""
        return jsonable(
            {"values": [*self.values], "prompt_strength": [*self.strength], "value": [*self.value], "by": self.by}
        )


def liked_of(measured: MeasuredCurve, tried: Sequence[Pick]) -> Liked | None:
    """What a person's picks of values on a curve name; None where no value on it was liked."""
    values, points = measured.curve.values, measured.curve.points
    good = {pick.cfg for pick in tried if pick.good and pick.by is None}
    liked = [i for i, value in enumerate(values) if value in good]
    if not liked:
        return None
    bounds = values[liked[0]], values[liked[-1]]
    strength = prompt_strength(_by_seed([points[i] for i in liked]))
    chosen = tuple(values[i] for i in liked)
    if len(liked) > 1 and not _rises(points[liked[0]], points[liked[-1]]):
        middle = _place(half_way(*bounds), bounds, tried)
        return Liked(chosen, strength, Estimate(middle, math.nan, math.nan), MIDDLE)
    return replace(named_by(measured, strength, tried, bounds), values=chosen)


def named_by(
    measured: MeasuredCurve, strength: Estimate, tried: Sequence[Pick], bounds: tuple[float, float] | None
) -> Liked:
    """The value whose pictures show the prompt so strongly, within bounds, and never a rejected one.

    tried: picks of this knob.
    """
    if not _rises(measured.curve.points[0], measured.curve.points[-1]):
        return Liked((), strength, UNKNOWN)

    def name(wanted: float) -> float:
        value = measured.curve.value_of(wanted)
        return math.nan if value is None else _place(value, bounds, tried)

    return Liked((), strength, strength.map(name))


def _place(value: float, bounds: tuple[float, float] | None, tried: Sequence[Pick]) -> float:
    """A value within bounds; where one that was rejected lies between liked ones, the liked one that is nearest."""
    low, high = bounds or (-math.inf, math.inf)
    good, rejected = ([pick.cfg for pick in tried if pick.good is liked] for liked in (True, False))
    inside = min(max(value, low), high)
    split = good and any(min(good) < value < max(good) for value in rejected)
    return min(good, key=lambda value: abs(value - inside)) if split else inside


def _rises(point: Measurement, other: Measurement) -> bool:
    """Whether pictures of the same seeds surely show the prompt more at the other value."""
    return strength_gained(other.levels, point.levels).low > 0


def _by_seed(points: Sequence[Measurement]) -> list[Level]:
    """The levels of several measures of the same seeds as of one: a seed counts once, however often it was liked."""
    summed = []
    for levels in zip(*(point.levels for point in points), strict=True):  # of one noise level
        columns = zip(*(level[1:] for level in levels), strict=True)
        summed.append(Level(levels[0].sigma, *(torch.stack(column).sum(dim=0) for column in columns)))
    return summed
