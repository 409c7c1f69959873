"""Numbers of a cell in every resample, the curve of plain guidance, and what is better than what.

Pictures of a label are drawn again as `measure.bootstrap` does it, each label by itself, the same for every cell of a
world: so rules are compared in pairs. A rule is compared with plain guidance at equal prompt strength by reading the
curve of plain guidance where its strength is the rule's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...measure.bootstrap import holm, interval_of, p_of, resample
from ...measure.estimates import Estimate, fine, log_ratio, quotient, ratio_sums, strength_sums
from .cells import Cell
from .distances import frechet_by_label, mean_apart
from .worlds import World

RESAMPLES = 300
PLAIN_SCALES = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0)
DENSE = 400  # places at which the curve of plain guidance is read
MARGIN = 0.01  # of plain guidance's distance: a smaller difference is none, whatever its interval
SIGNIFICANT = 0.05
BETTER, WORSE, SAME = "better", "worse", "not told apart"
SIGNS = {"distance": 1, "classwise": 1, "right": -1}  # 1: less is better
Numbers = Mapping[str, Tensor]  # each [1 + R]: the number, and as every resample has it


@dataclass(frozen=True)
class Resamples:
    """How often each picture counts.  times: [1 + R, S, K]. count: pictures that count."""

    times: Tensor
    count: int

    @classmethod
    def of(cls, many: int, labels: int, half: int | None = None) -> Resamples:
        """Of so many pictures of each label.  half: 0 or 1, of those whose number among them is even or odd"""
        among = torch.arange(many) if half is None else torch.arange(half, many, 2)
        times = torch.zeros(1 + RESAMPLES, many, labels, dtype=torch.float64)
        for label in range(labels):
            times[:, among, label] = resample(len(among), RESAMPLES, seed=label)
        return cls(times, len(among) * labels)

    def interval(self, drawn: Tensor) -> Estimate:  # [1 + R]
        """A number and its 95 % interval."""
        return interval_of(drawn, self.count)

    def p(self, drawn: Tensor) -> float:  # [1 + R]
        """The two-sided p-value of no difference."""
        return p_of(drawn, self.count)


def numbers_of(world: World, cell: Cell, resamples: Resamples) -> dict[str, Tensor]:
    """strength and ln ratio, where the model was asked; ln of the mean distance of a label's pictures; how good."""
    times, named = resamples.times, cell.seen["named"].reshape(resamples.times.shape[1:])
    right = (named == torch.arange(world.labels)).double()
    found = {
        "distance": world.distance(cell.seen, times),
        "right": (times * right).sum(dim=(1, 2)) / times.sum(dim=(1, 2)),
        "apart": mean_apart(cell.seen["apart"], times).mean(dim=1).log(),
    }
    is_classwise = "far" not in cell.seen
    features = cell.seen["features"]
    found["classwise"] = found["distance"] if is_classwise else frechet_by_label(features, world.moments, times)
    for name in ("distance", "classwise"):
        found[name] = centre(found[name])
    if cell.levels:
        weights = times.flatten(1)
        found["strength"] = quotient(weights @ strength_sums(cell.levels))
        found["ratio"] = log_ratio(weights @ ratio_sums(fine(cell.levels)))
    return found


def centre(drawn: Tensor) -> Tensor:  # [1 + R]
    """A distance whose resamples lie about it: those hold fewer different pictures, and are farther off on average."""
    return torch.cat([drawn[:1], drawn[1:] - drawn[1:].mean() + drawn[0]])


@dataclass(frozen=True)
class PlainCurve:
    """Numbers of plain guidance at PLAIN_SCALES, in every resample."""

    points: Sequence[Numbers]

    @cached_property
    def dense(self) -> Numbers:  # each [DENSE, 1 + R]
        """Numbers between the scales, by monotone cubics over ln cfg (Fritsch and Carlson 1980)."""
        from scipy.interpolate import PchipInterpolator

        places = torch.tensor(PLAIN_SCALES, dtype=torch.float64).log()
        between = torch.linspace(float(places[0]), float(places[-1]), DENSE, dtype=torch.float64)
        columns = {name: torch.stack([point[name] for point in self.points]) for name in self.points[0]}
        read = {name: PchipInterpolator(places, v.nan_to_num(), axis=0)(between) for name, v in columns.items()}
        gaps = {name: torch.where(v.isfinite().all(dim=0), 0.0, torch.nan) for name, v in columns.items()}
        return {name: torch.as_tensor(v) + gaps[name] for name, v in read.items()}

    def at(self, cfg: float) -> Numbers:
        """At one of the scales."""
        return self.points[PLAIN_SCALES.index(cfg)]

    def where(self, strength: Tensor) -> dict[str, Tensor]:  # [1 + R]
        """Numbers where plain guidance shows the prompt so strongly, nan beyond its ends."""
        rising = self.dense["strength"].cummax(dim=0).values.T.contiguous()  # [1 + R, DENSE]
        after = torch.searchsorted(rising, strength[:, None].contiguous())[:, 0].clamp(1, DENSE - 1)
        rows = torch.arange(len(strength))
        low, high = rising[rows, after - 1], rising[rows, after]
        share = torch.where(high > low, (strength - low) / (high - low), 0.0)
        share = torch.where((share < -1e-9) | (share > 1 + 1e-9), torch.nan, share)
        return {name: torch.lerp(v[after - 1, rows], v[after, rows], share) for name, v in self.dense.items()}


class Difference(NamedTuple):
    """A number of a rule minus that of plain guidance.

    drawn: [1 + R]. scale: of plain guidance's number, of which MARGIN is no difference. sign: 1 where less is better.
    """

    drawn: Tensor
    scale: float
    sign: int

    def p(self, resamples: Resamples) -> float:
        """The p-value of a difference within the margin."""
        value = float(self.drawn[0])
        if not abs(value) > MARGIN * abs(self.scale):
            return 1.0
        return resamples.p(self.drawn - math.copysign(MARGIN * abs(self.scale), value))

    def verdict(self, adjusted: float) -> str:
        """Better, worse, or not told apart.  adjusted: p-value"""
        if not adjusted < SIGNIFICANT:
            return SAME
        return BETTER if self.sign * float(self.drawn[0]) < 0 else WORSE


def difference(name: str, own: Numbers, other: Numbers) -> Difference:
    """Of one of SIGNS."""
    return Difference(own[name] - other[name], float(other[name][0]), SIGNS[name])


def verdicts(differences: Mapping[Any, Difference], resamples: Resamples) -> dict[Any, tuple[str, float]]:
    """The verdict on each, and its p-value, adjusted for their number (Holm 1979)."""
    adjusted = holm({name: one.p(resamples) for name, one in differences.items()})
    return {name: (one.verdict(adjusted[name]), adjusted[name]) for name, one in differences.items()}


def kendall(first: Mapping[Any, float], second: Mapping[Any, float], only: set | None = None) -> tuple[float, int]:
    """(concordant - discordant) / pairs of two orders, and the number of pairs; nan for none.  only: of these pairs"""
    pairs = [pair for pair in combinations(first, 2) if only is None or pair in only]
    signs = [math.copysign(1, (first[a] - first[b]) * (second[a] - second[b]))
             for a, b in pairs if first[a] != first[b] and second[a] != second[b]]  # fmt: skip
    return (sum(signs) / len(signs) if signs else math.nan), len(signs)


def pairs_apart(drawn: Mapping[Any, Tensor], resamples: Resamples) -> dict[tuple, int]:
    """Pairs that are told apart by themselves: -1 where the first has less, else 1."""
    found = {}
    for a, b in combinations(drawn, 2):
        apart = drawn[a] - drawn[b]
        if resamples.p(apart) < SIGNIFICANT:
            found[a, b] = int(math.copysign(1, float(apart[0])))
    return found
