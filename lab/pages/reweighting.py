"""Guidance as reweighting: the density that a scale gamma seems to promise, exactly, for a mixture in the plane.

    p_gamma(x0 | y)  ~  p(x0) p(y | x0)^gamma

gamma = 0 is p(x0), gamma = 1 is p(x0 | y). Evaluated on a grid, so that it can be summed, contoured and sampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...guidance.mixture import GaussianMixture
from ...guidance.vectors import wide


@dataclass(frozen=True, eq=False)
class PlaneDensity:
    """A density on square cells: share [n, n] of the mass per cell, rows along y; centres [n] of both axes."""

    share: Tensor
    centres: Tensor

    @property
    def cell(self) -> float:
        """Side of a cell."""
        return float(self.centres[1] - self.centres[0])

    def sample(self, n: int, generator: torch.Generator) -> Tensor:  # -> [n, 2]
        """Independent points: a cell by its share, then anywhere in it."""
        chosen = torch.multinomial(self.share.flatten(), n, replacement=True, generator=generator)
        side = len(self.centres)
        corner = torch.stack([self.centres[chosen % side], self.centres[chosen // side]], dim=1)
        return corner + self.cell * (torch.rand(n, 2, dtype=torch.float64, generator=generator) - 0.5)

    def level(self, mass: float) -> float:
        """Share of a cell on the contour that encloses this part of the mass, between 0 and 1."""
        falling = self.share.flatten().sort(descending=True).values
        return float(falling[int((falling.cumsum(0) < mass).sum())])


def reweight(mixture: GaussianMixture, label: int, gamma: float, reach: float, n: int = 400) -> PlaneDensity:
    """The density p(x0) p(label | x0)^gamma of a mixture in the plane, on n x n cells of [-reach, reach]^2.

    Raises ValueError for a mixture that does not live in the plane.
    """
    if mixture.shape != (2,):
        raise ValueError(f"The mixture lives in {mixture.shape}; a density on a grid needs (2,). Make it in the plane.")
    centres = (torch.arange(n, dtype=torch.float64) + 0.5) * (2 * reach / n) - reach
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    places = torch.stack([x, y], dim=-1).reshape(-1, 2)
    log_density = mixture.log_prob(places, 0.0) + gamma * mixture.label_log_prob(places, 0.0)[:, label]
    return PlaneDensity(log_density.softmax(dim=0).reshape(n, n), centres)


def sliced_distance(a: Tensor, b: Tensor, directions: int = 64) -> float:  # 2 x [n, 2]
    """Sliced Wasserstein-1 distance of two samples of one size: how far points must move, seen along a direction.

    The mean over directions v of  mean_i |sorted(a v)_i - sorted(b v)_i|. Two points at distance d: 2 d / pi.
    Source: Rabin et al. 2011, "Wasserstein barycenter and its application to texture mixing", for the plane.
    """
    if a.shape != b.shape or a.shape[1:] != (2,):
        raise ValueError(f"The samples have shapes {tuple(a.shape)} and {tuple(b.shape)}; both need one [n, 2].")
    angles = torch.arange(directions, dtype=torch.float64) * (math.pi / directions)
    v = torch.stack([angles.cos(), angles.sin()])
    return float(((wide(a) @ v).sort(dim=0).values - (wide(b) @ v).sort(dim=0).values).abs().mean())
