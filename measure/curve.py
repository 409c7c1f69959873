"""What guidance does to a model along its scale: where its pictures change, and the scale that liked pictures name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .estimates import Estimate, fine, jackknife, strength_gained
from .measurement import Measurement, check_comparable

MEASURABLE = 1.1  # times the least ratio of a curve: the first change that can be measured
VISIBLE = 1.4  # the first that is seen


@dataclass(frozen=True, repr=False)
class Curve:
    """Measures at several values of a scale, of the same seeds and setting; the values rise.

    variety: of the samples at each value, over that at the least; empty where it is not known.
    """

    values: Sequence[float]
    points: Sequence[Measurement]
    variety: Sequence[Estimate] = ()

    def __post_init__(self):
        if len(self.values) != len(self.points) or len(self.points) < 2:
            raise ValueError(f"{len(self.values)} values and {len(self.points)} measures; give two or more of both.")
        if any(b <= a for a, b in pairwise(self.values)):
            raise ValueError(f"The values are {[*self.values]}. Give them in rising order, each once.")
        check_comparable(*self.points)

    @property
    def least(self) -> float:
        """The value at which the pictures are least strange."""
        ratios = [point.ratio.value for point in self.points]
        return self.values[ratios.index(min(ratios))]

    def mark(self, times: float) -> Estimate | None:
        """The value from which on pictures are so many times as strange as at the least; None where none is.

        Between two values the logarithm of the ratio is taken as straight over that of the value, or over the value
        itself where one is 0 or less.
        """
        crossing = jackknife(self._sums, lambda sums: self._crossing(sums, math.log(times)))
        return crossing.map(self._value) if math.isfinite(crossing.value) else None

    def times_at(self, value: float) -> Estimate:
        """How many times as strange pictures are at a value as at the least, between two values as above."""
        place, places = self._place(min(max(value, self.values[0]), self.values[-1])), self._places
        after = min(max(int((places < place).sum()), 1), len(places) - 1)
        share = float((place - places[after - 1]) / (places[after] - places[after - 1]))

        def rise(sums: Tensor) -> Tensor:
            height = self._heights(sums)
            return torch.lerp(height[..., after - 1], height[..., after], share) - height.amin(dim=-1)

        return jackknife(self._sums, rise).exp()

    def gained_at(self, value: float) -> Estimate:
        """How much more strongly pictures of a measured value show the prompt than those at the least."""
        point, least = (self.points[self.values.index(each)] for each in (value, self.least))
        return strength_gained(point.levels, least.levels)

    def value_of(self, strength: float) -> float | None:
        """The least value whose pictures show the prompt so strongly, between two values as above; None for none."""
        strengths = [point.strength.value for point in self.points]
        pairs = list(zip(self.values, strengths, strict=True))
        if strengths[0] >= strength:
            return self.values[0]
        for (low, before), (high, after) in pairwise(pairs):
            if before < strength <= after:
                share, (left, right) = (strength - before) / (after - before), map(self._place, (low, high))
                return self._value(left + share * (right - left))
        return None

    def _place(self, value: float) -> float:
        """Where a value stands along the curve."""
        return math.log(value) if self.values[0] > 0 else value

    def _value(self, place: float) -> float:
        """The value that stands there."""
        return math.exp(place) if self.values[0] > 0 else place

    @property
    def _places(self) -> Tensor:  # [S]
        return torch.tensor([*map(self._place, self.values)], dtype=torch.float64)

    @property
    def _sums(self) -> Tensor:  # [B, S 2 L]
        return torch.stack(
            [v for point in self.points for level in fine(point.levels) for v in (level.error, level.expected)], dim=1
        )

    def _heights(self, sums: Tensor) -> Tensor:  # [..., S 2 L] -> [..., S] ln of the ratio
        pairs = sums.reshape(*sums.shape[:-1], len(self.points), -1, 2)
        return (pairs[..., 0] / pairs[..., 1]).log().mean(dim=-1)

    def _crossing(self, sums: Tensor, rise: float) -> Tensor:  # [..., S 2 L] -> [...] ln of the value, inf for none
        height = self._heights(sums)
        place = self._places.expand_as(height)
        over = height - height.amin(dim=-1, keepdim=True) - rise
        last = torch.where(over < 0, torch.arange(height.shape[-1]), -1).amax(dim=-1, keepdim=True)
        at = (last + 1).clamp(1, height.shape[-1] - 1)  # last is -1 where a ratio is below 0
        (low, high), (left, right) = ((v.gather(-1, at - 1), v.gather(-1, at)) for v in (over, place))
        inside = left + (right - left) * (-low / (high - low)).clamp(0, 1)
        return torch.where(last[..., 0] < height.shape[-1] - 1, inside[..., 0], torch.inf)
