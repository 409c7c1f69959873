"""What guidance did in a run, from inner products alone: at which scale each step acted, and how far it was pushed.

Three ideas, in this order. The scale of a step: gamma and the weights of further passes, as far as its numbers prove
them. The scale of a run: the plain scale at which it stands, summed up over steps and samples. The push: how far each
step went beyond c, by who pushed, and what later steps leave of that. What is left is a proxy: the change of the end
that leaving guidance out at one step would make lies roughly between the push and what is left of it; only an ablation
tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .gram import COND, Coefficient, Combination, GramRecord, fill_absent, plus, recount, reference_scale
from .metrics import (
    ALONE,
    BOTH,
    FLOOR_FACTOR,
    beyond_c,
    independent,
    projection,
    ratio,
    rounding_beside,
    scales_of,
)
from .terms import columns_of_pass, passes_of, vector_of_pass
from .trace import SCALES, Trace, nearest_to_median

PLACES = 3  # after the point, of a number on a widget
ALIKE = 0.02  # of a scale, at least of 1, and of the push: what differs by less is not worth a word
SLIGHT = 0.1  # of an even share of the push: a step that pushed less tells nothing of the run
PARTS = 3  # of a run: the first is early, the last is late
BAND = torch.tensor([0.1, 0.9], dtype=torch.float64)  # of the samples
HELD = 0.8  # share of the sum that `interval` holds
GUIDANCE = "guidance"  # among the names of what pushes: cfg and rules


class ProvedScales(NamedTuple):
    """The scale at which each step acted, as far as its numbers prove it; nan where they do not.

    gamma: the scale of the step [n]. record: inner products with D - G counted from that gamma. effective: M19 [n, B].
    across: M19a [n, B]. passes: of each further pass its weight [n], how much it adds to the scale, and its share
    across delta, [n, B].
    """

    gamma: Tensor
    record: GramRecord
    effective: Tensor
    across: Tensor
    passes: dict[str, tuple[Tensor, Tensor, Tensor]]


def prove_scales(
    record: GramRecord,
    stated: Tensor,
    predictions: Tensor,
    weights: Combination,
    passes: Sequence[str],
    floor: Tensor,
    count: int,
    handed: bool,
) -> ProvedScales:  # record [n, B], stated and predictions [n], floor [n, B]
    """The scale at which each step acted, as far as its numbers prove it.

    stated: gamma from which D - G is counted. predictions: how many of u and c were made. weights: of gradients, and
    of what a mask changed. floor: rms of the rounding in delta. count: N, elements of one sample. handed: whether the
    stated scale stays, so that D - G is what rules did to it.
    """
    proved = _pass_weights(record, stated, weights, passes)
    apart = {**weights, **{vector_of_pass(name): weight for name, (weight, _) in proved.items()}}
    both = (predictions == BOTH)[:, None]
    effective, across = (torch.where(both, v, torch.nan) for v in scales_of(record, stated, apart, floor * count**0.5))
    apart = {name: torch.as_tensor(weight).nan_to_num() for name, weight in apart.items()}
    rounded = rounding_beside(record, beyond_c(stated[:, None], apart)) / count**0.5  # of each element by itself
    room = rounded / record.square({"delta": 1.0}).sqrt()
    effective = torch.where((stated[:, None] - effective).abs() <= room, stated[:, None], effective)
    pass_effects = {
        name: (_widget_number(*_median_sample(weight, room)), *_along_and_across(record, name, weight))
        for name, (weight, room) in proved.items()
    }
    if handed:
        return ProvedScales(stated, record, effective, across, pass_effects)
    gamma, is_plain = _widget_number(*_median_sample(effective, room)), _leaves_nothing(record, apart)
    both_plain, c_plain = (is_plain & (predictions == number) for number in (BOTH, ALONE))
    gamma = torch.where(gamma.isnan() & both_plain, stated, gamma)  # where delta is rounding many scales give the same
    gamma = torch.where(c_plain, 1.0, gamma)
    effective = torch.where((gamma[:, None] - effective).abs() <= room, gamma[:, None], effective)
    off = torch.where(both, torch.as_tensor(reference_scale(stated) - reference_scale(gamma))[:, None], 0.0)
    return ProvedScales(gamma, recount(record, off) if bool(off.any()) else record, effective, across, pass_effects)


def _leaves_nothing(record: GramRecord, apart: Combination) -> Tensor:  # -> [n] bool
    """Whether nothing but rounding is left of D - G in any sample, once what is named is taken out."""
    filled = GramRecord(record.vectors, record.K.nan_to_num())
    left = plus({"D-G": 1.0}, apart, -1.0)
    least = rounding_beside(filled, {**left, "delta": 1.0, COND: 1.0})
    return (record.dot("D-G", "D-G").isfinite() & (filled.square(left).sqrt() <= least)).all(dim=1)


def _along_and_across(record: GramRecord, name: str, weight: Tensor) -> tuple[Tensor, Tensor]:  # [n, B] x3
    """How much w d of a further pass adds to the scale, and its share across delta."""
    vector = vector_of_pass(name)
    along = ratio(record.dot(vector, "delta"), record.dot("delta", "delta"))
    across = record.square({vector: 1.0, "delta": -along})
    finite = weight.isfinite()
    return weight * along, torch.where(finite, ratio(across, record.dot(vector, vector)).clamp(max=1), torch.nan)


def _median_sample(values: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:  # [n, B] x2 -> [n] x2
    """The median of what is known, and the room of its rounding."""
    middle, which = values.nanmedian(dim=1)
    return middle, room.gather(1, which[:, None])[:, 0]


def _widget_number(values: Tensor, room: Tensor) -> Tensor:  # [n] x2 -> [n]
    """The values, or the shortest number on a widget, where rounding alone lies between."""
    numbers = values
    for number in (values.round(decimals=places) for places in range(PLACES, -1, -1)):
        numbers = torch.where((number - values).abs() <= room, number, numbers)
    return numbers


def _pass_weights(
    record: GramRecord, stated: Tensor, weights: Combination, passes: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor]]:  # -> {name: [n, B] x2}
    """The w of D' - c = s delta + sum of w_i d_i, each with the room of its rounding; nan where nothing proves it.

    A remainder beyond rounding proves that there is no such sum, unless all of D was multiplied by a factor, as a
    rescale does: that leaves a part along c.
    """
    if not passes:
        return {}
    finite = GramRecord(record.vectors, record.K.nan_to_num())
    gradients = {name: torch.as_tensor(weight).nan_to_num() for name, weight in weights.items()}
    push, vectors = beyond_c(stated.nan_to_num()[:, None], gradients), [vector_of_pass(name) for name in passes]
    results = dict.fromkeys(vectors, torch.full(record.K.shape[:-1], torch.nan, dtype=torch.float64))
    least = results[vectors[0]]
    for axes in (("delta", *vectors), ("delta", COND, *vectors)):
        inside, unique = projection(finite, push, axes), independent(finite, axes)
        least = rounding_beside(finite, {**push, **inside, COND: 1.0})
        proved = unique & (finite.square(plus(push, inside, -1.0)).sqrt() <= least)
        results = {v: torch.where(proved & results[v].isnan(), inside[v], results[v]) for v in vectors}
    rooms = [ratio(least, finite.square({v: 1.0}).sqrt()) for v in vectors]  # nan: it changed nothing
    known = [torch.where(room.isnan(), torch.nan, results[v]) for v, room in zip(vectors, rooms, strict=True)]
    return dict(zip(passes, zip(known, rooms, strict=True), strict=True))


@dataclass(frozen=True)
class EffectiveScale:
    """The scale at which plain guidance comes nearest to what a run did, whoever did it; nan where unknown.

    Means over steps weigh each by |kappa delta|, what it pushes at one unit of scale. All but low and high are of one
    sample, the one whose mean is the median.

    scale: mean over the steps of the median sample.
    low, high: 10th and 90th percentile, over the samples, of that mean.
    early, late: mean over the first and over the last third of the steps that push.
    least, most: of one step that pushes.
    across: mean share of the push that no plain scale gives, 0 .. 1.
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
    def of(cls, trace: Trace, among: slice = slice(None)) -> EffectiveScale:
        """The effective scale of a run; unknown where the weight of a gradient is, which cannot be taken out then.

        among: of these samples alone.
        """
        if any(term.guides and term.weight not in trace.steps for term in trace.terms):
            return cls()
        gamma, across = trace.column("M19")[:, among], trace.column("M19a")[:, among]
        weights = torch.where(gamma.isfinite(), push_weights(trace)[:, among], 0.0)
        means = weighted_mean(gamma, weights)
        if not means.isfinite().any():
            return cls()
        low, high = means.nanquantile(BAND).tolist()
        sample = nearest_to_median(means)
        scale, scales, weight = float(means[sample]), gamma[:, sample], weights[:, sample]
        pushing = tells(scales, weight).nonzero()[:, 0]
        third = -(-len(pushing) // PARTS)
        first, last = pushing[:third], pushing[-third:]
        return cls(
            scale,
            low=min(low, scale),  # of two samples the percentiles lie between
            high=max(high, scale),
            early=float(weighted_mean(scales[first], weight[first])),
            late=float(weighted_mean(scales[last], weight[last])),
            least=float(scales[pushing].min()),
            most=float(scales[pushing].max()),
            across=float(weighted_mean(across[:, sample], weight)),
        )

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


def apart_of(trace: Trace) -> list[str]:
    """What took part and is counted by itself, not as guidance: further passes of known weight, and gradients."""
    passes = [name for name in passes_of(trace.steps) if bool(trace.steps[columns_of_pass(name)[1]].nan_to_num().any())]
    return [*passes, *(term.label for term in trace.terms if term.guides)]


def rounding(trace: Trace) -> Tensor:  # -> [n, 1]
    """How long a difference of predictions may be and still be rounding; 0 where no floor is known."""
    gamma, floor = (trace.steps[name].nan_to_num()[:, None] for name in ("gamma", "floor"))
    return FLOOR_FACTOR * (1 + gamma.abs()) * floor * trace.count**0.5


def push(record: GramRecord, gamma: Coefficient, kappa: Coefficient) -> Tensor:  # -> [...], units of the state
    """How far the next state went beyond the conditional one's.  |kappa (D - c)|, kappa = dx'/dD; nan: unknown."""
    beyond = fill_absent(record).square(beyond_c(gamma)).sqrt()
    return torch.as_tensor(kappa, dtype=torch.float64).abs() * beyond


def parts_of(trace: Trace) -> dict[str, Combination]:
    """What D - c is made of: w g of each gradient g, by its name, and GUIDANCE is the rest."""
    guides = [term for term in trace.terms if term.guides and term.weight in trace.steps]
    gradients: dict[str, Combination] = {t.name: {t.name: trace.steps[t.weight].nan_to_num()} for t in guides}
    guidance = beyond_c(trace.steps["gamma"][:, None])
    for gradient in gradients.values():
        guidance = plus(guidance, gradient, -1.0)
    return {GUIDANCE: guidance} | gradients


def lengths(trace: Trace, part: Combination) -> Tensor:  # -> [n, B], units of x0-hat
    """How long a part of D - c is; 0 where that is rounding: no sum is more exact than the longest it is made of."""
    length = trace.filled.square(part).sqrt()
    return torch.where(length <= torch.maximum(rounding(trace), rounding_beside(trace.filled, part)), 0.0, length)


def pass_lengths(trace: Trace, name: str) -> Tensor:  # -> [n, B], units of x0-hat
    """How long the part of D is that a further pass made, 0 where it did not run; nan: unknown."""
    cost, weight, size = (trace.steps[column] for column in columns_of_pass(name))
    length = weight.abs()[:, None] * size * trace.count**0.5
    return torch.where((cost == 0)[:, None] | (size == 0), 0.0, length)


def push_shares(trace: Trace) -> dict[str, float]:
    """Whose the push of a run was: sums over steps and samples of |kappa v|, each over their sum; empty without any."""
    kappa = trace.steps["kappa"].abs()[:, None]
    lengths_of = {name: lengths(trace, part) for name, part in parts_of(trace).items()}
    if passes := {name: pass_lengths(trace, name) for name in passes_of(trace.steps)}:
        # guidance alone is D' - c, known by its scale and its share across; where these are not, all of D - c counts
        scale, across = (trace.steps[name] for name in SCALES)
        delta = lengths(trace, {"delta": 1.0})
        length = (scale - 1).abs() * delta / (1 - across).sqrt()
        whole = torch.where(delta > 0, lengths_of[GUIDANCE], 0.0)
        lengths_of = {**lengths_of, GUIDANCE: torch.where(length.isfinite(), length, whole), **passes}
    sums = {name: float((kappa * length).nansum()) for name, length in lengths_of.items()}
    total = sum(sums.values())
    return {name: value / total for name, value in sums.items()} if total > 0 else {}


def contraction(sigma_next: Tensor, alpha_next: Tensor, sigma_data: float | None, noisy: bool) -> Tensor:  # 0 .. 1
    """What is left of a push at the end, for Gaussian data of rms sigma_data; nan where that is unknown.

    deterministic: sigma_d / sqrt(alpha'^2 sigma_d^2 + sigma'^2)    with fresh noise: alpha' sigma_d^2 / (...)
    """
    data = math.nan if sigma_data is None or sigma_data <= 0 else float(sigma_data)
    variance = (alpha_next * data).square() + sigma_next.square()
    return alpha_next * (data * data) / variance if noisy else data / variance.sqrt()


def shares(values: Tensor) -> Tensor:  # [n, ...] -> [n, ...], sums to 1 over the known steps
    """Every step's part of the sum over the run; nan stays nan, a run without any push has 0 everywhere."""
    total = values.nansum(dim=0)
    return values / torch.where(total == 0, 1.0, total)


def interval(first: Tensor, second: Tensor) -> tuple[int, int] | None:  # [n] x2 -> first and last step
    """The shortest run of steps that holds 80 % of the mean of two shares, the first of equals; None if none does."""
    mean = torch.stack([first, second]).nanmean(dim=0).nan_to_num(0.0)
    before = torch.cat([mean.new_zeros(1), mean.cumsum(dim=0)])
    longest = None
    for start in range(len(mean)):
        ends = (before[start + 1 :] - before[start] >= HELD - 1e-9).nonzero()
        if len(ends) and (longest is None or int(ends[0]) < longest[1] - longest[0]):
            longest = (start, start + int(ends[0]))
    return longest
