"""What is measured of a cell, from its trace; and how the values of several seeds are put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

import torch
from torch import Tensor

from ..trace.trace import Trace

# Two-sided 95 % points of Student's t for 1 .. 30 degrees of freedom, to three figures; beyond that the normal one.
STUDENT = (
    *(12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
NORMAL = 1.96


class Measure(NamedTuple):
    """title: for people. unit: percent, number or seconds. of: the value of a trace, nan where it tells none.

    better: high or low, "" where neither is.
    """

    title: str
    unit: str
    of: Callable[[Trace], float]
    better: str = ""


def _mean(code: str) -> Callable[[Trace], float]:
    return lambda trace: float(trace.column(code).nanmean()) if trace.n else math.nan


def _last(code: str) -> Callable[[Trace], float]:
    return lambda trace: float(trace.column(code)[-1].nanmean()) if trace.n else math.nan


MEASURES: Mapping[str, Measure] = {
    "strength": Measure("Guidance strength (M1)", "number", _mean("M1")),
    "saturation": Measure("Saturated values (M10)", "percent", _last("M10"), "low"),
    "difference": Measure("Difference size (M2)", "number", _mean("M2")),
    "tug": Measure("Tug of the difference (M6t)", "number", _mean("M6t")),
    "out_of_plane": Measure("Out-of-plane share (M11)", "percent", _mean("M11")),
    "evaluations": Measure(
        "Evaluations of the network", "number", lambda trace: float(trace.header.get("evaluations") or math.nan), "low"
    ),
}
OTHERS = {  # what is known without a trace
    "diversity": Measure("Diversity over seeds", "number", lambda _: math.nan, "high"),
    "seconds": Measure("Time", "seconds", lambda _: math.nan, "low"),
    "judge": Measure("Judge, mean log-probability", "number", lambda _: math.nan, "high"),
}


def measured(trace: Trace, names: Sequence[str]) -> dict[str, float]:
    """These measures of a trace, nan where it tells none."""
    return {name: MEASURES[name].of(trace) for name in names}


class Spread(NamedTuple):
    """Several values in one.  half: half the width of the 95 % interval of the mean, nan for fewer than two."""

    mean: float
    half: float
    count: int


def spread_of(values: Sequence[float | None]) -> Spread:
    """Mean and interval of the values that are finite: mean +- t s / sqrt(n), by Student's t."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < 2:
        return Spread(known[0] if known else math.nan, math.nan, len(known))
    t = STUDENT[len(known) - 2] if len(known) - 2 < len(STUDENT) else NORMAL
    return Spread(fmean(known), t * stdev(known) / math.sqrt(len(known)), len(known))


def diversity_of(pictures: Sequence[Tensor]) -> float:  # [B, H, W, C] in 0 .. 1, one a seed
    """Root mean square distance of the pictures of two seeds, averaged over all pairs; nan for fewer than two.

    0: every seed gives one picture; about 0.4 is independent noise.
    """
    if len(pictures) < 2 or len({picture.shape for picture in pictures}) > 1:
        return math.nan
    flat = torch.stack([picture.float().flatten() for picture in pictures])
    return float(torch.pdist(flat).mean() / math.sqrt(flat.shape[1]))
