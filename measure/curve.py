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

MEASURABLE = 1.1  # times the ratio of unguided pictures: the first change that can be measured
VISIBLE = 1.4  # the first that is seen


@dataclass(frozen=True, repr=False)
class Curve:
    """Measures at several values of a scale, of the same seeds and setting; the values rise.

    variety: of the samples at each value, over that at the least; empty where it is not known. unguided: the value at
    which nothing guides, such as 1 of cfg; None where no value is known to.
    """

    values: Sequence[float]
    points: Sequence[Measurement]
    variety: Sequence[Estimate] = ()
    unguided: float | None = None

    def __post_init__(self):
        if len(self.values) != len(self.points) or len(self.points) < 2:
            raise ValueError(f"{len(self.values)} values and {len(self.points)} measures; give two or more of both.")
        if any(b <= a for a, b in pairwise(self.values)):
            raise ValueError(f"The values are {[*self.values]}. Give them in rising order, each once.")
        check_comparable(*self.points)

    @property
    def least(self) -> float:
        """The value at which the pictures are least strange."""
        return self.values[int(self._heights(self._sums.sum(dim=0)).argmin())]

    def mark(self, times: float) -> Estimate | None:
        """The value from which on pictures are so many times as strange as unguided ones; None where none is.

        A knob without a known unguided value is taken from its least strange one on. What guidance adds to a picture
        grows with d, the distance from there, and the error with d and its square, so the mark is read off
        ratio = r + a d + b d^2, where neither a nor b is below 0. They are fitted by least squares of relative errors
        to the values up to the first that is visibly strange; far beyond it pictures break down, and no power holds.
        """
        near = self._near
        if len(near) < 2:  # the next value is beyond all measure
            return (
                Estimate(self.values[near[0]], math.nan, math.nan) if near and near[0] + 1 < len(self.values) else None
            )
        mark = jackknife(self._sums, lambda sums: self._distance(sums, times, near)).exp()
        mark = mark.map(lambda distance: max(self._origin + distance, self.values[0]))
        return mark if mark.value <= self.values[-1] else None  # nan and inf are not

    def times_at(self, value: float) -> Estimate:
        """How many times as strange pictures are at a value as at the least, inf where the model expects no error.

        Between two values ln of the ratio is straight over ln of the value, or over the value where one is 0 or less.
        """
        place, places = self._place(min(max(value, self.values[0]), self.values[-1])), self._places
        after = min(max(int((places < place).sum()), 1), len(places) - 1)
        share = float((place - places[after - 1]) / (places[after] - places[after - 1]))
        shares = {at: part for at, part in ((after - 1, 1 - share), (after, share)) if part > 0}

        def rise(sums: Tensor) -> Tensor:
            height = self._heights(sums)
            between = torch.stack([part * height[..., at] for at, part in shares.items()]).sum(dim=0)
            return between - height.amin(dim=-1)

        return jackknife(self._sums, rise).exp()

    def gained_at(self, value: float) -> Estimate:
        """How much more strongly pictures of a measured value show the prompt than those at the least."""
        point, least = (self.points[self.values.index(each)] for each in (value, self.least))
        return strength_gained(point.levels, least.levels)

    def value_of(self, strength: float) -> float | None:
        """The least value whose pictures show the prompt so strongly, on a straight line between two; None for none."""
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

    @property
    def _origin(self) -> float:
        """Where the distance of the fit is 0."""
        return self.least if self.unguided is None else self.unguided

    @property
    def _near(self) -> list[int]:
        """Which values are fitted: from the origin up to the first that is visibly strange, and those with a ratio."""
        height, near = self._heights(self._sums.sum(dim=0)), []
        for i in (i for i, value in enumerate(self.values) if value >= self._origin):
            if not height[i].isfinite():
                break
            near.append(i)
            if i > near[0] and height[i] - height[near].min() > math.log(VISIBLE):
                break
        return near

    def _heights(self, sums: Tensor) -> Tensor:  # [..., S 2 L] -> [..., S] ln of the ratio, inf where none is expected
        error, expected = sums.reshape(*sums.shape[:-1], len(self.points), -1, 2).unbind(dim=-1)
        return torch.where(expected > 0, error / expected, torch.inf).log().mean(dim=-1)

    def _distance(self, sums: Tensor, times: float, near: Sequence[int]) -> Tensor:  # [..., S 2 L] -> [...] ln d
        """How far the mark lies from the origin, by the fit to some of the values: a d + b d^2 = (times - 1) r."""
        ratio = self._heights(sums)[..., near].exp()
        d = torch.tensor([self.values[i] - self._origin for i in near], dtype=torch.float64)
        weight = ratio**-2 / (ratio**-2).sum(dim=-1, keepdim=True)

        def mean(v: Tensor) -> Tensor:
            return (weight * v).sum(dim=-1)

        line, square, rise = (v - mean(v)[..., None] for v in (d, d * d, ratio))
        xx, xy, yy = mean(line * line), mean(line * square), mean(square * square)
        xr, yr = mean(line * rise), mean(square * rise)
        a, b = ((one * own - other * xy) / (xx * yy - xy * xy) for one, own, other in ((xr, yy, yr), (yr, xx, xr)))
        no_line = (a < 0) | (len(near) < 3)  # two values tell one of both
        a, b = (
            torch.where(no_line, 0, torch.where(b < 0, xr / xx, a)).clamp(min=0),
            torch.where(no_line, yr / yy, b).clamp(min=0),
        )
        above = (times - 1) * (mean(ratio) - a * mean(d) - b * mean(d * d))
        return (2 * above / (a + (a * a + 4 * b * above).sqrt())).log()
