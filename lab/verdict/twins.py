"""Two worlds that give the same runs: why no number of one run can be the best scale.

    labels   the truth is p(x|y); an ideal network was trained on labels of which a share is random
    world    the truth itself is p'(x|y) = (1 - a) p(x|y) + a p(x); the labels of the network's training are right

Both networks predict E[x0 | x] under p' and p. One computes it from the predictions of the clean world, the other from
a mixture with all of the components of p'; so equal numbers are a result, and not one function called twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...guidance.mixture import GaussianMixture
from .batches import FEATURES, features
from .objectives import objective_e
from .runs import SAMPLERS, record_run
from .sampling import energy_distances
from .worlds import Mixture, Predictions

RANDOM = 0.3  # share of the labels
SAMPLER, COUNT = "A", 900
GAMMAS = (0.7, 1.0, 1.4, 2.0, 2.8)
CORNERS, SPREAD = ((-0.6, -0.6), (0.6, -0.6), (0.6, 0.6), (-0.6, 0.6)), 0.3  # of the four labels
SIZE = 4  # samples of a batch


def four_corners() -> GaussianMixture:
    """Four labels in two dimensions, one Gaussian each."""
    means = torch.tensor(CORNERS, dtype=torch.float64)
    variances = torch.full((len(means),), SPREAD**2, dtype=torch.float64)
    return GaussianMixture(means, variances, torch.zeros_like(variances), torch.arange(len(means)))


@dataclass
class Mislabelled(Mixture):
    """The truth is the mixture; the network is the ideal one for labels of which a share is random."""

    def predictions(self, first: int, count: int) -> Predictions:
        """E[x0 | x, y'] = w c + (1 - w) u, w = (1 - a) p(x|y) / ((1 - a) p(x|y) + a p(x))."""
        labels, exact = torch.arange(first, first + count) % self.labels, super().predictions(first, count)

        def predict(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
            uncond, cond = exact(x, sigma)
            odds = self.mixture.log_prob(x, sigma, label=labels) - self.mixture.log_prob(x, sigma)
            clean = torch.sigmoid(odds + torch.tensor((1 - RANDOM) / RANDOM).log().to(odds))[:, None]
            return uncond, clean * cond + (1 - clean) * uncond

        return predict


@dataclass
class Broad(Mixture):
    """The truth is p'.  It is made of every component of the mixture, once for each label."""

    @cached_property
    def broad(self) -> GaussianMixture:
        """p'(x|y), and by its labels also p(y)."""
        clean, weights = self.mixture, self.mixture.log_weights.exp()
        own = torch.stack([weights * (clean.labels == label) for label in range(clean.classes)])
        told = (1 - RANDOM) * own + RANDOM * own.sum(dim=1, keepdim=True) * weights
        count = clean.classes
        kinds = torch.arange(count).repeat_interleave(len(weights))
        return GaussianMixture(
            clean.means.repeat(count, *(1,) * len(clean.shape)),
            clean.variances.repeat(count),
            told.flatten().log(),
            kinds,
        )

    def predictions(self, first: int, count: int) -> Predictions:
        """In closed form."""
        return Mixture(self.name, self.broad).predictions(first, count)

    def truth(self, count: int, seed: int) -> Tensor:
        """True samples of p'."""
        return Mixture(self.name, self.broad).truth(count, seed)


@dataclass(frozen=True)
class Twins:
    """One row a scale.  apart: largest difference of any feature between the two worlds.

    features: of the first batch, in both worlds. energy: E in both.
    """

    gammas: tuple[float, ...]
    features: Mapping[str, Sequence[tuple[float, float]]]
    energy: Sequence[tuple[float, float]]
    apart: float

    @property
    def best(self) -> tuple[float, float]:
        """The scale with the least E, in both."""
        own, other = (min(zip(energies, self.gammas, strict=True))[1] for energies in zip(*self.energy, strict=True))
        return own, other


def twins(count: int = COUNT, gammas: Sequence[float] = GAMMAS) -> Twins:
    """Sample both worlds with the same noise."""
    mixture = four_corners()
    worlds = (Mislabelled("mislabelled", mixture), Broad("broad", mixture))
    rows, energy, apart = [], [], 0.0
    for gamma in gammas:
        runs = [record_run(world, SAMPLERS[SAMPLER], gamma, count, 0) for world in worlds]
        found = [features(trace, mixture.classes, SIZE, count) for _, trace in runs]
        apart = max(apart, float((found[0] - found[1]).abs().max()))
        rows.append([tuple(float(one[0, k]) for one in found) for k in range(len(FEATURES))])
        ends = [energy_distances(world, run[0], 0) for world, run in zip(worlds, runs, strict=True)]
        energy.append(tuple(objective_e([one]) for one in ends))
    named = {name: [row[k] for row in rows] for k, name in enumerate(FEATURES)}
    return Twins(tuple(gammas), named, energy, apart)
