"""Not quite reweighting: one section of docs/the-geometry-of-guidance.md, its table and figure.

Guided samples of an exact mixture in the plane, beside the density that a scale gamma seems to promise,

    p_gamma(x0 | y)  ~  p(x0) p(y | x0)^gamma,

which is summed, contoured and sampled on a grid. `python lab reweighting` takes two minutes of one core.
"""

from __future__ import annotations

import argparse
import math
from itertools import pairwise
from pathlib import Path

import torch
from matplotlib import pyplot
from torch import Tensor

from ... import library as gg
from ..markdown import table
from .runs import FIGURES, keep

GAMMAS, STEPS, LABEL = (0.0, 1.0, 2.0, 4.0), (20, 100, 400), 0
REACH, CELLS, DRAWN = 3.0, 400, 900  # half the side of the grid, cells along it, dots of a panel


def plane_mixture() -> gg.GaussianMixture:
    """Three labels in the plane that overlap."""
    means = torch.tensor([[-0.9, -0.2], [0.5, 0.75], [0.9, -0.55], [-0.25, 0.95], [0.15, -0.15], [-0.6, -1.05]])
    variances = torch.tensor([0.10, 0.12, 0.14, 0.09, 0.08, 0.12])
    weights = torch.tensor([1.0, 1.0, 1.0, 0.8, 0.7, 0.8])
    return gg.GaussianMixture(means, variances, weights.log(), torch.tensor([0, 0, 1, 1, 2, 2]))


MIXTURE = plane_mixture()
CENTRES = (torch.arange(CELLS, dtype=torch.float64) + 0.5) * (2 * REACH / CELLS) - REACH


def guided_samples(gamma: float, steps: int, noise: Tensor) -> Tensor:  # [n, 2] -> [n, 2]
    """The ends of guided Euler runs from noise at sigma 80."""
    x = noise
    for sigma, then in pairwise(gg.karras(steps, 0.002, 80.0)):
        u, c = MIXTURE.denoised(x, sigma), MIXTURE.denoised(x, sigma, label=LABEL)
        x = x + (1 - then / sigma) * (u + gamma * (c - u) - x)
    return x


def reweighted(gamma: float) -> Tensor:  # -> [CELLS, CELLS], rows along y
    """Share of each cell in the density p(x0) p(label | x0)^gamma."""
    y, x = torch.meshgrid(CENTRES, CENTRES, indexing="ij")
    places = torch.stack([x, y], dim=-1).reshape(-1, 2)
    log_density = MIXTURE.log_prob(places, 0.0) + gamma * MIXTURE.label_log_prob(places, 0.0)[:, LABEL]
    return log_density.softmax(dim=0).reshape(CELLS, CELLS)


def draws_of(density: Tensor, n: int, generator: torch.Generator) -> Tensor:  # -> [n, 2]
    """Independent points: a cell by its share, then anywhere in it."""
    chosen = torch.multinomial(density.flatten(), n, replacement=True, generator=generator)
    corner = torch.stack([CENTRES[chosen % CELLS], CENTRES[chosen // CELLS]], dim=1)
    return corner + 2 * REACH / CELLS * (torch.rand(n, 2, dtype=torch.float64, generator=generator) - 0.5)


def level(density: Tensor, mass: float) -> float:
    """Share of a cell on the contour that encloses this part of the mass."""
    falling = density.flatten().sort(descending=True).values
    return float(falling[int((falling.cumsum(0) < mass).sum())])


def sliced_distance(a: Tensor, b: Tensor, directions: int = 64) -> float:  # 2 x [n, 2]
    """Sliced Wasserstein-1 distance: how far points must move, seen along a direction; of two points d apart 2 d / pi.

    The mean over directions v of  mean_i |sorted(a v)_i - sorted(b v)_i|.
    Source: Rabin et al. 2011, "Wasserstein barycenter and its application to texture mixing", for the plane.
    """
    angles = torch.arange(directions, dtype=torch.float64) * (math.pi / directions)
    v = torch.stack([angles.cos(), angles.sin()])
    return float(((a @ v).sort(dim=0).values - (b @ v).sort(dim=0).values).abs().mean())


def spread(points: Tensor) -> float:
    """Rms distance from the mean."""
    return float((points - points.mean(dim=0)).square().sum(dim=1).mean().sqrt())


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=FIGURES, help="folder of the figure")
    given = parser.parse_args()
    torch.set_num_threads(1)
    figure, panels = pyplot.subplots(1, len(GAMMAS), figsize=(9.6, 3.1), layout="constrained")
    rows, before = [], reweighted(0.0)
    for gamma, panel in zip(GAMMAS, panels, strict=True):
        density, generator = reweighted(gamma), torch.Generator().manual_seed(0)
        noise = torch.randn(given.points, 2, dtype=torch.float64, generator=generator)
        first, second = (draws_of(density, given.points, generator) for _ in range(2))
        ends = [guided_samples(gamma, steps, 80 * noise) for steps in STEPS]
        distances, samples = [sliced_distance(end, first) for end in ends], ends[-1]
        floor = sliced_distance(second, first)
        spreads = [f"{spread(one):.2f}" for one in (samples, first)]
        rows.append([f"{gamma:g}", *(f"{one:.3f}" for one in (*distances, floor)), *spreads])
        panel.contour(CENTRES, CENTRES, before, [level(before, 0.9)], colors="silver")
        panel.scatter(*samples[:DRAWN].T, s=3, alpha=0.4, color="tab:orange", linewidths=0)
        panel.contour(CENTRES, CENTRES, density, [level(density, mass) for mass in (0.9, 0.5)], colors="black")
        words = f"distance {distances[-1]:.3f}\nof exact samples {floor:.3f}"
        panel.set(title=f"\u03b3 = {gamma:g}", xlabel=words, xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), aspect="equal")
        panel.set(xticks=[], yticks=[])
    counts = " | ".join(f"{steps} steps" for steps in STEPS)
    print(table(f"\u03b3 | {counts} | two exact samples | spread of the samples | of the density", rows))
    keep(figure, given.out / "story-reweighting.webp")


if __name__ == "__main__":
    main()
