"""At which plain scale a run stands: its effective scales summed up over steps and samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .metrics import FLOOR_FACTOR
from .trace import Trace, nearest_to_median

MASKED = "a noise mask was set"  # begins a note of such a run

ALIKE = 0.02  # of a scale, at least of 1, and of the push: what differs by less is not worth a word
SLIGHT = 0.1  # of an even share of the push: a step that pushed less tells nothing of the run
PARTS = 3  # of a run: the first is early, the last is late
BAND = torch.tensor([0.1, 0.9], dtype=torch.float64)  # of the samples


@dataclass(frozen=True)
class EffectiveScale:
    """The scale at which plain guidance comes nearest to what a run did, whoever did it; nan where unknown.

    Means over steps weigh each by |kappa delta|, what it pushes at one unit of scale. scale: mean of the median sample;
    low, high: of the 10th and 90th percentile of the samples. The rest is the median sample's too. early, late: mean of
    the first and of the last third of the steps that push. least, most: of one of them. across: mean share of the push
    that no plain scale gives, 0 .. 1.
    """

    scale: float = math.nan
    low: float = math.nan
    high: float = math.nan
    early: float = math.nan
    late: float = math.nan
    least: float = math.nan
    most: float = math.nan
    across: float = math.nan

    @classmethod
    def of(cls, trace: Trace) -> EffectiveScale:
        """Of one run; unknown where the weight of a gradient is, which cannot be taken out then."""
        if any(term.guides and term.weight not in trace.steps for term in trace.terms):
            return cls()
        gamma, across = trace.column("M19"), trace.column("M19a")
        weights = torch.where(gamma.isfinite(), push_weights(trace), 0.0)
        means = weighted_mean(gamma, weights)
        if not means.isfinite().any():
            return cls()
        low, high = means.nanquantile(BAND).tolist()
        one = nearest_to_median(means)
        course, scale = _course(gamma[:, one], weights[:, one]), float(means[one])
        low, high = min(low, scale), max(high, scale)  # of two samples the percentiles lie between
        return cls(scale, low, high, *course, float(weighted_mean(across[:, one], weights[:, one])))

    @property
    def steady(self) -> bool:
        """Whether every step had about the same."""
        return alike(self.least, self.scale) and alike(self.most, self.scale)

    @property
    def along(self) -> bool:
        """Whether next to nothing went across."""
        return not self.across > ALIKE


def push_weights(trace: Trace) -> Tensor:  # -> [n, B], >= 0, units of the state
    """What one unit of scale pushes at every step: |kappa delta|, 0 where it is unknown.

    kappa = dx'/dD; where nobody knows it, that of an Euler step: 1 - sigma' / sigma.
    """
    steps = trace.steps
    euler = 1 - steps["sigma_next"] / steps["sigma"]
    kappa = torch.where(steps["kappa"].isfinite(), steps["kappa"], euler).abs()
    delta = trace.record.dot("delta", "delta").clamp(min=0).sqrt()
    return (kappa[:, None] * delta).nan_to_num(0.0, 0.0, 0.0)


def tells(scales: Tensor, weights: Tensor) -> Tensor:  # [n, ...] x2 -> [n, ...] bool
    """Which steps tell of a run: those that push, at one unit of scale or, more than others, at the scale they had."""
    pushed = weights * torch.where(weights > 0, scales - 1, 0.0).abs()
    return (weights * len(weights) > SLIGHT * weights.sum(dim=0)) | (pushed * len(pushed) > pushed.sum(dim=0))


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:  # [n, ...] x2 -> [...]
    """Mean over the steps that know a value, nan where none of them has a weight."""
    weights = torch.where(values.isfinite(), weights, 0.0)
    return (values.nan_to_num() * weights).sum(dim=0) / weights.sum(dim=0)


def alike(scale: float, other: float) -> bool:
    """Whether two scales are not worth telling apart; an unknown one is like any."""
    return not abs(scale - other) > ALIKE * max(1.0, abs(other))


def alike_throughout(values: Tensor, sample: int) -> bool:  # [n, B]
    """Whether all samples are like this one, as far as they are known."""
    return not ((values - values[:, [sample]]).abs() > ALIKE * values.abs().clamp(min=1)).any()


def cfg_of(trace: Trace) -> float:
    """The widget's number, nan where nobody tells or the guider combines the predictions itself."""
    if trace.header.get("guider"):
        return math.nan
    return float(cfg if isinstance(cfg := trace.header.get("cfg"), int | float) else math.nan)


def _course(scales: Tensor, weights: Tensor) -> tuple[float, float, float, float]:  # [n] x2 -> early, late, least, most
    """How the scale of one sample went over the steps that tell."""
    telling = tells(scales, weights).nonzero()[:, 0]
    third = -(-len(telling) // PARTS)
    early, late = (float(weighted_mean(scales[at], weights[at])) for at in (telling[:third], telling[-third:]))
    return early, late, float(scales[telling].min()), float(scales[telling].max())


def is_masked(trace: Trace) -> bool:
    """Whether a noise mask was set."""
    return any(str(note).startswith(MASKED) for note in trace.header.get("notes") or ())


def rounding(trace: Trace) -> Tensor:  # -> [n, 1]
    """How long a difference of predictions may be and still be rounding; 0 where no floor is known."""
    gamma, floor = (trace.steps[name].nan_to_num()[:, None] for name in ("gamma", "floor"))
    return FLOOR_FACTOR * (1 + gamma.abs()) * floor * trace.count**0.5
