"""Prompt strength, denoising ratio and variety of samples, each with what a few of them leave open.

    prompt strength    kappa = sum <x - u, c - u> / sigma^2  over  sum |c - u|^2 / sigma^2
    denoising ratio    geometric mean over levels of  sum |c - x|^2  over  sum sigma <n, c - x>

kappa is 0 for a picture drawn without the prompt, 1 for one that the model draws with it and without guidance; above
1/2 the picture is more likely with the prompt than without (I-MMSE: Guo, Shamai, Verdu 2005; arXiv 2302.03792). The
ratio is the error that the network makes on these pictures over the error that it expects to make: 1 for pictures
that it draws itself, above 1 for stranger ones, below for smoother ones.

Sums over samples come first and the quotient then: a mean of single quotients is biased. What is left open is told by
leaving out one sample at a time (the jackknife), on the logarithm of the ratio.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..guidance.vectors import flat
from .levels import COARSE, FINE, Level

SURE = 0.975  # quantile of the upper end of a 95 % interval
EVEN = 0.5  # kappa at which a picture is as likely with the prompt as without
ALONE = 2.0  # times a bound from which one picture counts, whose interval is unknown: at cfg 1 none of 560 reached 2.3
Statistic = Callable[[Tensor], Tensor]  # of sums [..., K] -> [...]


class Estimate(NamedTuple):
    """A number and its 95 % interval; both ends are nan where a single sample leaves it unknown."""

    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """The number with its interval, where it has one."""
        return self.text_to(2)

    def text_to(self, digits: int, unit: str = "") -> str:
        """The number with its interval, to so many digits after the point, and a unit behind."""
        if math.isnan(self.value):
            return "none"
        value, low, high = (f"{v:.{digits}f}" for v in self)
        return f"{value}{unit} ({f'{low} to {high}' if self.low == self.low else 'one picture: not sure'})"

    def map(self, function: Callable[[float], float]) -> Estimate:
        """The estimate on another scale, by a function that rises."""
        return Estimate(*(function(v) for v in self))

    def exp(self) -> Estimate:
        """The estimate of e to the number, inf beyond what a float holds."""
        return Estimate(*torch.tensor(self, dtype=torch.float64).exp().tolist())


def jackknife(sums: Tensor, statistic: Statistic) -> Estimate:  # sums [B, K]
    """A function of sums over samples, with Student's interval of the jackknife's standard error."""
    count, total = len(sums), sums.sum(dim=0)
    value = float(statistic(total))
    if count < 2:
        return Estimate(value, math.nan, math.nan)
    return estimate_of(value, statistic(total - sums))


def estimate_of(value: float, without: Tensor) -> Estimate:  # [B]
    """A number and its interval.  without: the same number with each sample left out in turn"""
    count = len(without)
    error = math.sqrt((count - 1) / count * float((without - without.mean()).square().sum()))
    reach = students_quantile(count - 1) * error
    return Estimate(value, value - reach, value + reach)


def students_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit  # scipy.stats has the same, a thousand times slower

    return float(stdtrit(freedom, SURE))


def coarse(levels: Sequence[Level]) -> list[Level]:
    """The levels that say something of the prompt."""
    return [level for level in levels if level.sigma >= COARSE]


def fine(levels: Sequence[Level]) -> list[Level]:
    """The levels that say how strange a picture is."""
    return [level for level in levels if level.sigma <= FINE]


def prompt_strength(levels: Sequence[Level]) -> Estimate:
    """How strongly the samples show the prompt: kappa."""
    return jackknife(strength_sums(levels), quotient)


def strength_gained(levels: Sequence[Level], others: Sequence[Level]) -> Estimate:
    """How much more strongly samples show the prompt than others of the same seeds, which are compared in pairs."""
    sums = torch.cat([strength_sums(levels), strength_sums(others)], dim=1)
    return jackknife(sums, lambda v: quotient(v[..., :2]) - quotient(v[..., 2:]))


def likelier_without(levels: Sequence[Level]) -> int:
    """How many samples the model finds likelier without the prompt: their own kappa is below one half."""
    return int((strength_of_each(levels) < EVEN).sum())


def strength_of_each(levels: Sequence[Level]) -> Tensor:  # -> [B]
    """kappa of every sample by itself: good for an order among them, and noisy as a number."""
    return quotient(strength_sums(levels))


def strength_sums(levels: Sequence[Level]) -> Tensor:  # -> [B, 2]
    """What kappa is the quotient of, for every sample."""
    parts = [torch.stack([level.along, level.length], dim=1) / level.sigma**2 for level in coarse(levels)]
    return torch.stack(parts).sum(dim=0)


def quotient(sums: Tensor) -> Tensor:  # [..., 2] -> [...]
    """kappa of the sums of `strength_sums`."""
    return sums[..., 0] / sums[..., 1]


def denoising_ratio(levels: Sequence[Level]) -> Estimate:
    """How strange the samples are to the model: geometric mean of the ratios of the fine levels."""
    return jackknife(ratio_sums(fine(levels)), log_ratio).exp()


def ratio_of(level: Level) -> Estimate:
    """How strange the samples are to the model at one level: the ratio of error and expected."""
    return jackknife(ratio_sums([level]), log_ratio).exp()


def surely_stranger(levels: Sequence[Level], times: float) -> bool:
    """Whether samples are surely more than so many times as strange as what the model draws.

    Of each fine level (error - times expected) / (error + times |expected|) is above 0 just where the ratio is above
    `times`, or no error is expected; the interval of the mean over the levels must be. One sample alone counts from
    ALONE times as much on.
    """

    def beyond(sums: Tensor, bound: float) -> Tensor:
        error, expected = sums[..., ::2], bound * sums[..., 1::2]
        return ((error - expected) / (error + expected.abs())).mean(dim=-1)

    sums = ratio_sums(fine(levels))
    if len(sums) < 2:
        return bool(beyond(sums.sum(dim=0), ALONE * times) > 0)
    return jackknife(sums, lambda v: beyond(v, times)).low > 0


def times_as_strange(levels: Sequence[Level], others: Sequence[Level]) -> Estimate:
    """How many times as strange samples are as others of the same seeds, which are compared in pairs."""
    sums, count = torch.cat([ratio_sums(fine(levels)), ratio_sums(fine(others))], dim=1), 2 * len(fine(levels))
    return jackknife(sums, lambda v: log_ratio(v[..., :count]) - log_ratio(v[..., count:])).exp()


def ratio_sums(levels: Sequence[Level]) -> Tensor:  # -> [B, 2 L]
    """What the denoising ratio is computed from, for every sample: error and expected of each level in turn."""
    return torch.stack([v for level in levels for v in (level.error, level.expected)], dim=1)


def log_ratio(sums: Tensor) -> Tensor:  # [..., 2 L] -> [...]
    """ln of the denoising ratio, of the sums of `ratio_sums`."""
    return (sums[..., ::2] / sums[..., 1::2]).log().mean(dim=-1)


def variety(x: Tensor, plain: Tensor, prompts: Sequence[int] | None = None) -> Estimate:  # [B, ...] each
    """Mean distance between samples of one prompt, over that of the same seeds without guidance.

    prompts: which prompt each sample has; None: all the same.
    """
    groups = torch.as_tensor([0] * len(x) if prompts is None else [*prompts])
    apart, far, near = ((groups[:, None] == groups).double().fill_diagonal_(0), *(_distances(v) for v in (x, plain)))
    if not apart.any():
        return Estimate(math.nan, math.nan, math.nan)

    def of(keep: Tensor) -> float:
        pairs = apart * keep[:, None] * keep
        return float(((far * pairs).sum() / (near * pairs).sum()).log())

    ones = torch.ones(len(x), dtype=torch.float64)
    without = torch.tensor([of(ones - row) for row in torch.eye(len(x), dtype=torch.float64)])
    return estimate_of(of(ones), without).exp()


def _distances(v: Tensor) -> Tensor:  # [B, ...] -> [B, B]
    rows = flat(v).double().cpu()
    return torch.cdist(rows, rows)
