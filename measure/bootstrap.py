"""How sure a number of a few samples is, by drawing the samples again: one scheme for every number that is compared.

A resample draws as many samples as there are, with replacement. All numbers of a comparison are computed from the same
resamples, so that what they share cancels in their differences and quotients (the paired bootstrap; Efron, Tibshirani
1993: An Introduction to the Bootstrap; recalled, not checked). Of few samples its quantiles lie too close together, by
the factor that Student's t has over the normal distribution and by sqrt(n / (n - 1)); `interval_of` makes up for both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from .estimates import SURE, Estimate, students_quantile

RESAMPLES = 1000
SEED = 20_262
NORMAL = 1.959964  # the 97.5 % quantile of the normal distribution
MOST_UNKNOWN = 1 - SURE  # share of resamples that may leave a number unknown
Key = TypeVar("Key")


def resample(count: int, resamples: int = RESAMPLES, seed: int = SEED) -> Tensor:  # -> [1 + R, B] float64
    """How often each of so many samples is drawn: once in the first row, and as chance has it in the others."""
    stream = torch.Generator().manual_seed(seed)
    drawn = torch.randint(count, (resamples, count), generator=stream)
    times = torch.zeros(1 + resamples, count, dtype=torch.float64)
    times[0] = 1
    times[1:].scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    return times


def interval_of(drawn: Tensor, count: int) -> Estimate:  # [1 + R]
    """A number and its 95 % interval.  drawn: the number first, then as every resample has it. count: of samples

    Each end lies as far from the number as the resamples' quantile of that side, times `reach_of`. Both are nan where
    the resamples leave the number unknown.
    """
    value, low, high = float(drawn[0]), *_sides(drawn)
    reach = reach_of(count) / NORMAL
    return Estimate(value, value - reach * low, value + reach * high)


def p_of(drawn: Tensor, count: int) -> float:  # [1 + R]
    """The two-sided p-value of a number that is 0: below 0.05 where 0 lies outside of `interval_of`. 1: unknown."""
    value, low, high = float(drawn[0]), *_sides(drawn)
    error = (low if value > 0 else high) / NORMAL * math.sqrt(count / (count - 1))
    if math.isnan(error) or value == 0:
        return 1.0
    from scipy.special import stdtr

    return 2 * float(stdtr(count - 1, -abs(value) / error)) if error > 0 else 0.0


def reach_of(count: int) -> float:
    """How many standard errors of the bootstrap a 95 % interval reaches to either side."""
    return students_quantile(count - 1) * math.sqrt(count / (count - 1))


def _sides(drawn: Tensor) -> tuple[float, float]:
    """How far the outer quantiles of the resamples lie below and above the number, 0 at the least."""
    known = drawn[1:][drawn[1:].isfinite()]
    if not math.isfinite(drawn[0]) or len(known) < (1 - MOST_UNKNOWN) * (len(drawn) - 1):
        return math.nan, math.nan
    low, high = (known - drawn[0]).quantile(torch.tensor([1 - SURE, SURE], dtype=known.dtype)).tolist()
    return max(-low, 0.0), max(high, 0.0)


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """The p-values of several tests, each adjusted so that the chance of one false finding among all stays below it.

    Sorted p_1 <= ... <= p_m:  adjusted p_k = max over j <= k of min(1, (m - j + 1) p_j)  (Holm 1979).
    """
    adjusted, least = {}, 0.0
    for number, name in enumerate(sorted(p, key=p.__getitem__)):
        least = max(least, min(1.0, (len(p) - number) * p[name]))
        adjusted[name] = least
    return adjusted
