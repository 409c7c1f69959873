"""Means over the cells of a study, along every axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import torch

from .axes import RULE, Axis, Value, is_seed, word_of
from .measures import diversity_of, measure_of, spread_of
from .results import Row

OF_ALL_SEEDS = ("diversity", "variety")  # measures with one value for all seeds at a place
MOST_SERIES = 8  # curves in one plot that can still be told apart


def add_diversity(rows: Sequence[Row], picture_of: Callable[[str], torch.Tensor]) -> list[Row]:
    """The rows, each with the diversity of the seeds at its place, and over that at cfg 1, where there is one.

    picture_of: a cell's, [H, W, 3] in 0 .. 1.
    """
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(_place(row), []).append(row)
    by_place = {place: diversity_of([picture_of(row["id"]) for row in group]) for place, group in groups.items()}
    measured: list[Row] = []
    for row in rows:
        diversity, plain = by_place[_place(row)], by_place.get(_place(row, cfg=1), math.nan)
        more = {"diversity": diversity, **({"variety": diversity / plain} if plain > 0 else {})}
        measured.append({**row, "measures": {**row["measures"], **more}})
    return measured


def _place(row: Row, draws: bool = False, **other: Value) -> tuple:
    """Where a row is along the axes of seeds, or along the rest.  other: values in place of its own"""
    place = {name: other.get(word_of(name), value) for name, value in row["place"].items()}
    return tuple((name, value) for name, value in place.items() if is_seed(name) == draws)


def curves(rows: Sequence[Row], axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Every measure along every axis, alone and split by each other axis that is not of seeds.

    {measure, axis, split, series: [{name, points: [{x, mean, low, high, n}]}]}: the mean over all other axes of n
    cells. low, high: its 95 % interval over seeds, each averaged over the other axes; nan for one seed, for seeds with
    different numbers of cells, and for a measure of all seeds together.
    """
    varied = [axis for axis in axes if len(axis.values) > 1]
    names = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    return [
        {"measure": name, "axis": axis.name, "split": split.name if split else None,
         "series": _series(rows, name, axis, split)}
        for name in names for axis in varied for split in (None, *(a for a in varied if a != axis and _splits(a)))
    ]  # fmt: skip


def first_view(axes: Sequence[Axis]) -> dict[str, str]:
    """The axis and the split of the curves that a page shows first: no curve is a mean over rules."""
    varied = sorted((axis for axis in axes if len(axis.values) > 1), key=lambda axis: is_seed(axis.name))
    rule = next((axis for axis in varied if axis.name == RULE), None)
    if rule is None or rule is varied[0]:
        return {"axis": varied[0].name if varied else "", "split": ""}
    return {"axis": varied[0].name, "split": RULE} if _splits(rule) else {"axis": RULE, "split": ""}


def _splits(axis: Axis) -> bool:
    return not is_seed(axis.name) and len(axis.values) <= MOST_SERIES


def _series(rows: Sequence[Row], measure: str, axis: Axis, split: Axis | None) -> list[dict[str, Any]]:
    series = []
    for value in split.values if split else (None,):
        group = [row for row in rows if split is None or row["place"].get(split.name) == value]
        series.append({"name": value, "points": [_point(group, measure, axis.name, x) for x in axis.values]})
    return series


def _point(rows: Sequence[Row], measure: str, axis: str, x: Value) -> dict[str, Any]:
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        value = row["measures"].get(measure)
        if row["place"].get(axis) == x and value is not None and math.isfinite(value):
            groups.setdefault(_place(row, draws=measure not in OF_ALL_SEEDS), []).append(value)
    sizes = [len(group) for group in groups.values()]
    spread = spread_of([fmean(group) for group in groups.values()], measure_of(measure).within)
    is_even = measure not in OF_ALL_SEEDS and len(set(sizes)) == 1
    low, high = (spread.low, spread.high) if is_even else (math.nan, math.nan)
    return {"x": x, "mean": spread.mean, "low": low, "high": high, "n": sum(sizes)}


def titles(rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """What every measure of the rows is called, and its unit."""
    names = dict.fromkeys(name for row in rows for name in row["measures"])
    return {name: {"title": measure_of(name).title, "unit": measure_of(name).unit} for name in names}
