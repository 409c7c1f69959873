"""Straight in a step, curved over a run: one section of docs/the-geometry-of-guidance.md, its table and figure.

What every step of a run at gamma 0 would gain per unit of gamma is summed, and the end extrapolated for any gamma; then
the run is made at that gamma. `python lab straight_line` takes two minutes of one core.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from matplotlib import pyplot
from torch import Tensor

from ... import library as gg
from ..markdown import table
from .runs import FIGURES, SAMPLE, SIGMAS, keep, pixels

GAMMAS, SEED = (1.0, 2.0, 4.0, 8.0), 5
STEP_SIZE = 0.02  # of gamma, for the slope of the end


def guided_run(denoiser: gg.NetworkDenoiser, x: Tensor, labels: list[int], gamma: float) -> tuple[Tensor, Tensor]:
    """The end of a run of Euler steps, and the sum of its pushes: kappa (c - u),  kappa = 1 - sigma' / sigma."""
    push = torch.zeros_like(x)
    for sigma, then in pairwise(SIGMAS):
        u, c, kappa = denoiser(x, sigma), denoiser(x, sigma, labels), 1 - then / sigma
        push = push + kappa * (c - u)
        x = x + kappa * (u + gamma * (c - u) - x)
    return x, push


def rms(v: Tensor) -> Tensor:  # [B, ...] -> [B]
    """Root mean square of every item."""
    return v.double().flatten(1).square().mean(dim=1).sqrt()


def draw(lines: list[float], runs: list[float], pictures: list[list[Tensor]], path: Path) -> None:
    """Both curves, and one sample at the ends of both."""
    figure = pyplot.figure(figsize=(8, 5.4), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.5, 1))
    above, below = halves
    axes = above.subplots()
    axes.plot([0, *GAMMAS], [0, *lines], "o--", color="grey", label="straight line")
    axes.plot([0, *GAMMAS], [0, *runs], "o-", color="tab:orange", label="run again")
    axes.set(xlabel="\u03b3", ylabel="change of the end from \u03b3 = 0, rms", ylim=0)
    axes.legend(frameon=False)
    grid = below.subplots(2, len(GAMMAS) + 1)
    for place, gamma in zip(grid[0], (0.0, *GAMMAS), strict=True):
        place.set_title(f"\u03b3 = {gamma:g}")
    for row, name, shown in zip(grid, ("straight line", "run again"), pictures, strict=True):
        row[0].set_ylabel(name)
        for place, picture in zip(row, shown, strict=True):
            place.imshow(pixels(picture))
            place.set(xticks=[], yticks=[])
    keep(figure, path)


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--out", type=Path, default=FIGURES, help="folder of the figure")
    given = parser.parse_args()
    torch.set_num_threads(1)
    pocket, labels = gg.load_denoiser("pocket-1"), [k % 10 for k in range(given.samples)]
    noise = torch.randn(given.samples, *pocket.shape, generator=torch.Generator().manual_seed(SEED))
    start = SIGMAS[0] * noise
    end, gain = guided_run(pocket, start, labels, 0.0)
    rows, curves, pictures = [], ([], []), [[end[SAMPLE]], [end[SAMPLE]]]
    for gamma in GAMMAS:
        again, push = guided_run(pocket, start, labels, gamma)
        less, more = (guided_run(pocket, start, labels, gamma + h)[0] for h in (-STEP_SIZE, STEP_SIZE))
        line, change = gamma * gain, again - end
        cosine = (line * change).flatten(1).double().mean(dim=1) / (rms(line) * rms(change))
        slope = (rms(more - less) / (2 * STEP_SIZE) / rms(push)).median()
        numbers = (rms(line).mean(), rms(change).mean(), cosine.mean(), slope)
        rows.append([f"{gamma:g}", *(f"{float(one):.2f}" for one in numbers)])
        for place, one in zip(curves, numbers, strict=False):
            place.append(float(one))
        for place, one in zip(pictures, (end + line, again), strict=True):
            place.append(one[SAMPLE])
    print(table("\u03b3 | straight line | run again | cosine of the two | slope of the end / sum of pushes", rows))
    draw(*curves, pictures, given.out / "story-straight-line.webp")


if __name__ == "__main__":
    main()
