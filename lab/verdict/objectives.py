"""What is best: objectives of the ends of runs, and the band of good scales that follows from one.

    L = ln cFD_rec + 20 (1 - accuracy)            trained worlds; cFD_rec of the recognised pictures alone
    J = cFD / min cFD + FD / min FD               trained worlds, beside it; the minima are over the scales
    E = 0.01 + energy distance / mean distance    exact worlds; of samples to the truth, and between true samples

A band is where exp(L), J or E is at most 1.25 times its minimum. Between two scales that is linear in ln gamma. A
choice: by another objective other scales are good.

L is the steadier of the two: a wrong picture counts once, in the accuracy. In J it counts in both terms, and both are
divided by a minimum that is itself a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..train.demo_evaluation import Statistics, classwise_frechet, frechet, statistics_of

FLOOR = 0.01
CLASSES = 10  # labels of the demo models
Objective = Callable[[Sequence[Mapping[str, float]]], list[float]]  # what a judge found, by scale -> its value


@dataclass(frozen=True)
class Seen:
    """What the judge saw of a scale's samples: features [n, 64], the label named [n]; `classes` labels cycle."""

    features: Tensor
    named: Tensor
    classes: int = CLASSES

    @property
    def labels(self) -> Tensor:
        """The wanted ones."""
        return torch.arange(len(self.named)) % self.classes

    def half(self, parity: int) -> Seen:
        """The samples of every other label, which are counted anew; a name of the other half is -1."""
        own = self.labels % 2 == parity
        named = torch.where(self.named % 2 == parity, self.named // 2, -1)
        return Seen(self.features[own], named[own], self.classes // 2)

    def numbers(self, real: Statistics, chosen: Tensor | None = None) -> dict[str, float]:
        """Accuracy, FD, cFD and cFD of the recognised; of all, where a label has less than two of these.

        chosen: indices of a resample.
        """
        chosen = torch.arange(len(self.named)) if chosen is None else chosen
        labels, seen, right = self.labels[chosen], self.features[chosen], (self.named == self.labels)[chosen]
        found = statistics_of(seen, labels)
        enough = bool((torch.bincount(labels[right], minlength=self.classes) >= 2).all())
        known = statistics_of(seen[right], labels[right]) if enough else found
        distances = {"frechet": frechet(found, real), "classwise": classwise_frechet(found, real)}
        return {"accuracy": float(right.double().mean()), **distances, "recognised": classwise_frechet(known, real)}


def half_of(real: Statistics, within: Tensor, parity: int) -> Statistics:  # within [F, F]
    """What every other label of equally many pictures amounts to.

    within: pooled covariance about the class means of that half alone: the labels differ in how much they vary.
    """
    means = real.class_means[parity::2]
    apart = means - means.mean(0)
    return Statistics(means.mean(0), within + apart.T @ apart / len(means), means, within)


def join_samples(cells: Sequence[Mapping[str, np.ndarray]]) -> Seen:
    """The samples of one scale, of all seeds, so that labels cycle on."""
    features = torch.from_numpy(np.concatenate([cell["judged"] for cell in cells])).float()
    return Seen(features, torch.from_numpy(np.concatenate([cell["named"] for cell in cells])).long())


def objective_j(rows: Sequence[Mapping[str, float]]) -> list[float]:
    """J of every scale."""
    least = {name: min(row[name] for row in rows) for name in ("classwise", "frechet")}
    return [sum(row[name] / least[name] for name in least) for row in rows]


def objective_l(rows: Sequence[Mapping[str, float]]) -> list[float]:
    """exp(L) of every scale, so that its difference of ln 1.25 is a ratio of 1.25."""
    return [row["recognised"] * math.exp(20 * (1 - row["accuracy"])) for row in rows]


def objective_e(cells: Sequence[Mapping[str, np.ndarray]]) -> float:
    """E of one scale, over its seeds."""
    energy, size = (np.mean([cell[name].mean() for cell in cells]) for name in ("energy", "size"))
    return FLOOR + max(0.0, float(energy / size))


def resample(seen: Sequence[Seen], real: Statistics, draws: int, seed: int = 0) -> np.ndarray:  # -> [draws, scales]
    """L of resamples of the samples, the same ones at every scale: its error bar.  Each keeps the count per label."""
    g, rounds, found = torch.Generator().manual_seed(seed), len(seen[0].named) // CLASSES, []
    for _ in range(draws):
        place = torch.randint(rounds, (rounds * CLASSES,), generator=g)
        chosen = place * CLASSES + torch.arange(rounds * CLASSES) % CLASSES
        found.append(objective_l([one.numbers(real, chosen) for one in seen]))
    return np.log(found)
