"""What guidance does to a model along its scale: where its pictures change, and the scale that liked pictures name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .estimates import Estimate, fine, jackknife
from .measurement import Measurement, check_comparable

MEASURABLE = 1.1  # times the least ratio of a curve: the first change that can be measured
VISIBLE = 1.4  # the first that is seen


@dataclass(frozen=True, repr=False)
class Curve:
    """Measures at several values of a scale, of the same seeds and setting; the values rise."""

    values: Sequence[float]
    points: Sequence[Measurement]

    def __post_init__(self):
        if len(self.values) != len(self.points) or len(self.points) < 2:
            raise ValueError(f"{len(self.values)} values and {len(self.points)} measures; give two or more of both.")
        if any(b <= a for a, b in zip(self.values, self.values[1:], strict=False)):
            raise ValueError(f"The values are {[*self.values]}. Give them in rising order, each once.")
        check_comparable(*self.points)

    def mark(self, times: float) -> Estimate | None:
        """The value from which on pictures are so many times as strange as at the least; None where none is.

        Between two values the logarithm of the ratio is taken as straight over that of the value.
        """
        sums = torch.stack(
            [v for point in self.points for one in fine(point.levels) for v in (one.error, one.expected)], dim=1
        )
        crossing = jackknife(sums, lambda total: self._crossing(total, math.log(times)))
        return crossing.map(math.exp) if math.isfinite(crossing.value) else None

    def _crossing(self, sums: Tensor, rise: float) -> Tensor:  # [..., S 2 L] -> [...] ln of the value, inf for none
        pairs = sums.reshape(*sums.shape[:-1], len(self.points), -1, 2)
        height = (pairs[..., 0] / pairs[..., 1]).log().mean(dim=-1)  # [..., S]
        place = torch.tensor(self.values, dtype=torch.float64).log().expand_as(height)
        over = height - height.amin(dim=-1, keepdim=True) - rise
        last = torch.where(over < 0, torch.arange(height.shape[-1]), -1).amax(dim=-1, keepdim=True)
        at = (last + 1).clamp(max=height.shape[-1] - 1)
        (low, high), (left, right) = ((v.gather(-1, at - 1), v.gather(-1, at)) for v in (over, place))
        inside = left + (right - left) * (-low / (high - low)).clamp(0, 1)
        return torch.where(last[..., 0] < height.shape[-1] - 1, inside[..., 0], torch.inf)
