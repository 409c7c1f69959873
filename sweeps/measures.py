"""The one table of what is measured of a run, and how the values of several seeds are put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

import torch
from torch import Tensor

from ..guidance.energies.protocol import Energy
from ..measure.measurement import Measurement, measurement_of
from ..trace import metrics
from ..trace.guidance_effect import EffectiveScale
from ..trace.trace import Trace

JUDGE = "judge"  # the only measure that knows what a good picture is
Range = tuple[float, float]
Judge = Callable[[Tensor], Tensor] | Energy  # of samples or pictures [B, ...] -> [B]
ANY: Range = (-math.inf, math.inf)
SHARE, COSINE, LENGTH, LOGARITHM = (0.0, 1.0), (-1.0, 1.0), (0.0, math.inf), (-math.inf, 0.0)


class Measure(NamedTuple):
    """title: for people. unit: percent, number or seconds. within: the least and the largest value that is possible.

    of: the value of a trace, nan where it tells none.
    """

    title: str
    unit: str
    within: Range
    of: Callable[[Trace], float] = lambda _: math.nan


def _mean(code: str) -> Callable[[Trace], float]:
    return lambda trace: float(trace.column(code).nanmean()) if trace.n else math.nan


def _last(code: str) -> Callable[[Trace], float]:
    return lambda trace: float(trace.column(code)[-1].nanmean()) if trace.n else math.nan


def _middle(code: str) -> Callable[[Trace], float]:
    return lambda trace: trace.middle_of(code)


def _effective(name: str) -> Callable[[Trace], float]:
    return lambda trace: getattr(EffectiveScale.of(trace), name)


def _said(name: str) -> Callable[[Trace], float]:
    """What the model said of the finished samples, where it was asked."""

    def of(trace: Trace) -> float:
        measured = measurement_of(trace.header)
        return own_measures(measured)[name] if measured else math.nan

    return of


MEASURES: Mapping[str, Measure] = {
    "strength": Measure("Guidance strength (M1), median over the steps", "number", LENGTH, _middle("M1")),
    "effective_scale": Measure(
        "Effective scale (M19), weighted mean over the steps", "number", ANY, _effective("scale")
    ),
    "across": Measure("Share across (M19a), weighted mean over the steps", "percent", SHARE, _effective("across")),
    "saturation": Measure("Saturated values (M10), last step", "percent", SHARE, _last("M10")),
    "difference": Measure("Difference size (M2), mean over the steps", "number", LENGTH, _mean("M2")),
    "tug": Measure("Tug of the difference (M6t), mean over the steps", "number", COSINE, _mean("M6t")),
    "out_of_plane": Measure("Out-of-plane share (M11), mean over the steps", "percent", SHARE, _mean("M11")),
    "evaluations": Measure(
        "Evaluations of the network", "number", LENGTH, lambda trace: float(trace.header.get("evaluations") or math.nan)
    ),
}  # the end of the table
OF_FILMS = {
    "motion_of_difference": Measure(
        "Motion of the difference (M20), mean over the steps", "percent", SHARE, _mean("M20")
    ),
    "motion_of_push": Measure("Motion of the push (M20p), mean over the steps", "percent", SHARE, _mean("M20p")),
}
USUAL = ("strength", "effective_scale", "across", "saturation", "evaluations")
WHOLE = {"M19": MEASURES["effective_scale"], "M19a": MEASURES["across"]}  # of a run, and of no single step
METRICS = {  # of every step, by their code
    code: Measure(f"{metric.name.capitalize()} ({code}), median over the steps", "number", ANY, _middle(code))
    for code, metric in (metrics.METRICS | metrics.MOTION).items()
}
OTHERS = {  # what is known without a trace
    "diversity": Measure("Diversity over seeds", "number", SHARE),
    "variety": Measure("Variety: diversity over that at cfg 1", "number", LENGTH),
    "seconds": Measure("Time", "seconds", LENGTH),
    JUDGE: Measure("Judge, mean log-probability", "number", LOGARITHM),
}
OWN = {  # of the finished pictures, by the model that made them: several evaluations a picture, so they are asked for
    "prompt_strength": Measure("Prompt strength, by the model itself", "number", ANY, _said("prompt_strength")),
    "denoising_ratio": Measure("Denoising ratio, by the model itself", "number", LENGTH, _said("denoising_ratio")),
}
KNOWN: Mapping[str, Measure] = {**MEASURES, **OF_FILMS, **METRICS, **WHOLE, **OTHERS, **OWN}


def measure_of(name: str) -> Measure:
    """The measure of a name; what nobody wrote down is a number, and of a trace the median over the steps."""
    return KNOWN.get(name) or Measure(name, "number", ANY, _middle(name))


def measure(trace: Trace, names: Iterable[str]) -> dict[str, float]:
    """These measures of a trace, nan where it tells none."""
    return {name: measure_of(name).of(trace) for name in names}


def own_measures(measured: Measurement) -> dict[str, float]:
    """Both numbers that a model says of its finished pictures, as a row has them."""
    return {"prompt_strength": measured.strength.value, "denoising_ratio": measured.ratio.value}


def score(judge: Judge, pictures: Tensor) -> float:  # [B, C, H, W], an energy's in -1 .. 1
    """What a judge says of the end of a run, on the average: an energy its log-probability, a function its own."""
    scores = judge(pictures) if callable(judge) else judge.log_prob(pictures)
    return float(scores.detach().cpu().double().mean())


class Spread(NamedTuple):
    """Several values in one.  low, high: the 95 % interval of their mean, nan for fewer than two."""

    mean: float
    low: float
    high: float
    count: int


def spread_of(values: Sequence[float | None], within: Range = ANY) -> Spread:
    """Mean and interval of the values that are finite, by Student's t; it never leaves what is possible.

    Between two ends, as of a share p, it is that of log p / (1 - p), by the delta method; at a single end it is cut.
    within: the ends. Values beyond them show that they hold for something else, such as a judge without probabilities.
    """
    from scipy.special import stdtrit  # scipy.stats has the same, a thousand times slower

    finite = [value for value in values if value is not None and math.isfinite(value)]
    if len(finite) < 2:
        return Spread(finite[0] if finite else math.nan, math.nan, math.nan, len(finite))
    mean, half = fmean(finite), float(stdtrit(len(finite) - 1, 0.975)) * stdev(finite) / math.sqrt(len(finite))
    least, most = min(within[0], *finite), max(within[1], *finite)
    if half > 0 and least < mean < most and math.isfinite(most - least):  # rounding may put a mean at an end
        low, high = _between(mean, half, least, most)
    else:
        low, high = max(mean - half, least), min(mean + half, most)
    return Spread(mean, low, high, len(finite))


def _between(mean: float, half: float, least: float, most: float) -> Range:
    """An interval on the logit of a mean between two ends."""
    from scipy.special import expit, logit

    share, reach = (mean - least) / (most - least), half * (most - least) / ((mean - least) * (most - mean))
    low, high = (least + (most - least) * float(expit(logit(share) + side * reach)) for side in (-1, 1))
    return low, high


def diversity_of(pictures: Sequence[Tensor]) -> float:  # [B, H, W, C] in 0 .. 1, one a seed
    """Root mean square distance of the pictures of two seeds, averaged over all pairs; nan for fewer than two.

    0: every seed gives one picture; about 0.4 is independent noise.
    """
    if len(pictures) < 2 or len({picture.shape for picture in pictures}) > 1:
        return math.nan
    flat = torch.stack([picture.float().flatten() for picture in pictures])
    return float(torch.pdist(flat).mean() / math.sqrt(flat.shape[1]))
