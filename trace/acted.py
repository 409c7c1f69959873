"""What acted in the steps of a run, from inner products alone: at which scale, and further passes with which weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .gram import Combination, GramRecord, plus, recount, reference_scale
from .metrics import ALONE, BOTH, beyond_c, independent, projection, ratio, rounding_beside, scales_of
from .terms import vector_of_pass

COND, MASKED = "cond", "masked"  # vectors that stand in no file: c beside further passes, and what a mask changed of D
PLACES = 3  # after the point, of a number on a widget


class Acted(NamedTuple):
    """What acted: gamma [n], the record with D - G counted from it, the scales [n, B].

    passes: of each its weight [n], how much it adds to the scale and its share across delta [n, B].
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
) -> Acted:  # record [n, B], stated and predictions [n], floor [n, B]
    """What acted in each step, as far as its numbers prove it.

    stated: gamma from which D - G is counted. predictions: how many of u and c were made. weights: of gradients. floor:
    rms of the rounding in delta. count: N, elements of one sample. handed: whether the stated scale stays, so that
    D - G is what rules did to it.
    """
    taken = _pass_weights(record, stated, weights, passes)
    apart = {**weights, **{vector_of_pass(name): weight for name, (weight, _) in taken.items()}}
    both = (predictions == BOTH)[:, None]
    effective, across = (torch.where(both, v, torch.nan) for v in scales_of(record, stated, apart, floor * count**0.5))
    apart = {name: torch.as_tensor(weight).nan_to_num() for name, weight in apart.items()}
    rounded = rounding_beside(record, beyond_c(stated[:, None], apart)) / count**0.5  # of each element by itself
    room = rounded / record.square({"delta": 1.0}).sqrt()
    effective = torch.where((stated[:, None] - effective).abs() <= room, stated[:, None], effective)
    seen = {
        name: (_widget_number(*_median_sample(weight, room)), *_along_and_across(record, name, weight))
        for name, (weight, room) in taken.items()
    }
    if handed:
        return Acted(stated, record, effective, across, seen)
    gamma, is_plain = _widget_number(*_median_sample(effective, room)), _leaves_nothing(record, apart)
    both_plain, c_plain = (is_plain & (predictions == number) for number in (BOTH, ALONE))
    gamma = torch.where(gamma.isnan() & both_plain, stated, gamma)  # where delta is rounding many scales give the same
    gamma = torch.where(c_plain, 1.0, gamma)
    effective = torch.where((gamma[:, None] - effective).abs() <= room, gamma[:, None], effective)
    off = torch.where(both, torch.as_tensor(reference_scale(stated) - reference_scale(gamma))[:, None], 0.0)
    return Acted(gamma, recount(record, off) if bool(off.any()) else record, effective, across, seen)


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
    made = [torch.where(room.isnan(), torch.nan, results[v]) for v, room in zip(vectors, rooms, strict=True)]
    return dict(zip(passes, zip(made, rooms, strict=True), strict=True))
