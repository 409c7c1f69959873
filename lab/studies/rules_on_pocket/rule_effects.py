"""What the cells say of every rule: its effective scale, its share across, and how good its samples are.

Beside each rule stands its control, plain guidance by a schedule of the rule's own effective scales, and the best plain
scale. All start from the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from ...train.demo_evaluation import Statistics
from ..judging import LABELS, real_pictures
from .rule_runs import Ground, along, grounds, measures, paper_rules, plain

DRAWS = 200  # resamples
WRONG = 20.0  # what a wrong picture weighs in L
THIRD = 3  # early and late are the first and the last of so many parts of the steps
Cell = dict[str, ndarray]
Interval = tuple[float, float, float]  # a number, and between which it lies in 95 % of the resamples


@dataclass(frozen=True)
class Quality:
    """How good samples are, less is better: L of a demo model, 1000 times the energy distance of an exact world.

    accuracy, classwise: of a demo model, nan elsewhere; the class-wise Frechet distance is of recognised samples.
    """

    value: Interval
    accuracy: float
    classwise: float


@dataclass(frozen=True)
class Row:
    """A rule in a world.  scale, across: of the median sample, early and late, nan unknown

    worth: how much worse the control is: what the rule is worth beyond its schedule. beyond: the same of the best plain
    scale.
    """

    rule: str
    text: str
    gamma: float
    scale: tuple[float, float]
    across: tuple[float, float]
    own: Quality
    along: Quality
    worth: Interval
    beyond: Interval


@dataclass(frozen=True)
class Curve:
    """Over the steps, of the samples: the median effective scale, where 10 and 90 % of them lie, the share across."""

    scale: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    across: tuple[float, ...]


@dataclass(frozen=True)
class World:
    """All rules in one world.  plain: how good each scale of plain guidance is; best: the best of them"""

    name: str
    sampler: str
    samples: int
    plain: dict[str, Quality]
    best: float
    rows: tuple[Row, ...]
    curves: dict[str, Curve]


def worlds() -> list[World]:
    """Every world, from the cells."""
    return [world_of(ground) for ground in grounds().values()]


def world_of(ground: Ground) -> World:
    """All rules in one world."""
    scales = {gamma: measures(ground, f"plain {gamma:g}", plain(gamma)) for gamma in ground.gammas}
    own = {name: measures(ground, name, one) for name, one in paper_rules().items()}
    control = {name: measures(ground, f"{name} along", along(own[name], one)) for name, one in paper_rules().items()}
    values, draws, beside = qualities(ground, [*scales.values(), *own.values(), *control.values()])
    quality = [Quality(interval_of(v, draws[:, i]), *beside[i]) for i, v in enumerate(values)]
    count, best = len(scales), int(np.argmin(values[: len(scales)]))

    def difference(i: int, j: int) -> Interval:
        return interval_of(values[i] - values[j], draws[:, i] - draws[:, j])

    rows = []
    for i, (name, one) in enumerate(paper_rules().items(), start=count):
        j = i + len(own)
        early, late = early_and_late(own[name])
        about = (name, text_of(name, ground), one.gamma, early, late)
        rows.append(Row(*about, quality[i], quality[j], difference(j, i), difference(best, i)))
    return World(
        ground.world.name,
        ground.sampler,
        ground.seeds * ground.count,
        {f"{gamma:g}": one for gamma, one in zip(scales, quality, strict=False)},
        ground.gammas[best],
        tuple(rows),
        {name: curve_of(cell) for name, cell in own.items()},
    )


def text_of(name: str, ground: Ground) -> str:
    """A rule and its knobs in a phrase."""
    return paper_rules()[name].chain(ground.labels).rules[0].chain_text


def qualities(ground: Ground, cells: Sequence[Cell]) -> tuple[ndarray, ndarray, list[tuple[float, float]]]:
    """Of every cell the value, its resamples [draws, cells], and accuracy and class-wise Frechet distance."""
    rng = np.random.default_rng(0)
    if ground.world.trained:
        labels, seeds = ground.world.labels, len(cells[0]["named"]) // ground.world.labels
        times = rng.multinomial(seeds, [1 / seeds] * seeds, size=DRAWS)  # of the noises with each label
        times = torch.from_numpy(np.concatenate([np.ones((1, seeds)), times])).repeat_interleave(labels, dim=1)
        accuracy, distance = zip(*(losses(cell, real_pictures(), times) for cell in cells), strict=True)
        values = (torch.stack(distance, dim=1).log() + WRONG * (1 - torch.stack(accuracy, dim=1))).numpy()
        beside = [(float(a[0]), float(d[0])) for a, d in zip(accuracy, distance, strict=True)]
        return values[0], values[1:], beside
    distances = np.array([1000 * cell["energy"].mean(axis=1) / cell["size"].mean() for cell in cells])  # [cells, seeds]
    chosen = rng.integers(ground.seeds, size=(DRAWS, ground.seeds))
    return distances.mean(axis=1), distances[:, chosen].mean(axis=2).T, [(np.nan, np.nan)] * len(cells)


def losses(cell: Cell, real: Statistics, times: Tensor) -> tuple[Tensor, Tensor]:  # -> [draws] x2
    """Accuracy, and class-wise Frechet distance of what is recognised; all draws at once.

    times: [draws, samples], how often each sample is drawn. Of all samples where a label has less than two recognised.
    """
    features, named = torch.from_numpy(cell["judged"]).double(), torch.from_numpy(cell["named"]).long()
    labels = torch.arange(len(named)) % LABELS
    own = torch.nn.functional.one_hot(labels, LABELS).double()
    right = times * (named == labels)
    used = torch.where(((right @ own) >= 2).all(dim=1, keepdim=True), right, times)
    counts = used @ own
    means = (used[:, None] * own.mT) @ features / counts[..., None]
    within = (used[:, :, None] * features).mT @ features - (counts[..., None] * means).mT @ means
    within = within / (used.sum(dim=1) - LABELS)[:, None, None]
    apart = (means - real.class_means).square().sum(dim=2).mean(dim=1)
    spread = within.diagonal(dim1=1, dim2=2).sum(dim=1) + real.within.trace()
    values, vectors = torch.linalg.eigh(real.within)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    shared = torch.linalg.eigvalsh(root @ within @ root).clamp(min=0).sqrt().sum(dim=1)
    return right.sum(dim=1) / times.sum(dim=1), apart + spread - 2 * shared


def interval_of(value: float, draws: ndarray) -> Interval:
    """The value, and 95 % of the resamples about it; they are centred, as distances of fewer samples are larger."""
    low, high = np.quantile(draws - draws.mean(), (0.025, 0.975))
    return float(value), float(value + low), float(value + high)


def early_and_late(cell: Cell) -> list[tuple[float, float]]:
    """Effective scale and share across in the first and the last third of the steps, of the median sample.

    Steps count by their weight.
    """
    steps = len(cell["handed"])
    early, late = slice(0, steps // THIRD), slice(steps - steps // THIRD, steps)

    def typical_in(part: slice, name: str) -> float:
        return typical(cell[name][part], cell["weight"][part])

    return [(typical_in(early, name), typical_in(late, name)) for name in ("scale", "across")]


def typical(values: ndarray, weights: ndarray) -> float:  # [steps, B] x2; nan: unknown everywhere
    """The median over the samples of their weighted means over steps."""
    known = np.isfinite(values)
    weights = np.where(known & np.isfinite(weights), weights, 0.0)
    sums = weights.sum(axis=0)
    means = (weights * np.where(known, values, 0.0)).sum(axis=0)[sums > 0] / sums[sums > 0]
    return float(np.median(means)) if len(means) else float("nan")


def curve_of(cell: Cell) -> Curve:
    """What is drawn of a run."""
    values = np.where(np.isfinite(cell["scale"]), cell["scale"], np.nan)
    low, middle, high = torch.from_numpy(values).nanquantile(torch.tensor([0.1, 0.5, 0.9]).double(), dim=1)
    across = torch.from_numpy(cell["across"]).nanmedian(dim=1).values
    return Curve(*(tuple(one.tolist()) for one in (middle, low, high, across)))
