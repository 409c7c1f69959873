"""How well a classifier steers a denoiser that is asked without a label: the tables of docs/classifier-guidance.md.

`pocket-1` is guided by `pocket-noisy-1` on noisy samples, or by `pocket-clean-1` on predictions, and by CFG with the
label for comparison; then `pocket-flow-1` by `pocket-clean-1` at x0 through its VAE, by scale. A judge that never
guides says what the pictures show. `python lab classifier_guidance` prints all in an hour of one core.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ... import library as gg
from ..markdown import between, table
from .judging import LABELS, judge

CFG, NOISY, BACKPROP, CLEAN_X0 = "CFG", "noisy x_t", "x0 + backprop", "x0"
BATCH, SEED = 100, 1
SCALES = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)  # of the latent model


class Row(NamedTuple):
    """A line of the first table: an evaluation at a gamma.  CFG: the label is given instead."""

    evaluation: str
    gamma: float
    steps: int = 20


ROWS = (  # of many samples: every evaluation where it is best, and what CFG has there
    Row("none", 0.0),
    Row(NOISY, 2.0),
    Row(BACKPROP, 4.0, steps=50),
    Row(CLEAN_X0, 200.0),
    *(Row(CFG, gamma) for gamma in (1.0, 1.5, 2.0, 3.0)),
)
SWEEP = (  # of fewer
    *(Row(NOISY, gamma) for gamma in (1.0, 2.0, 4.0)),
    *(Row(CLEAN_X0, gamma) for gamma in (30.0, 100.0, 200.0, 400.0)),
    *(Row(BACKPROP, gamma, steps=50) for gamma in (2.0, 4.0, 8.0, 16.0)),
    *(Row(BACKPROP, gamma) for gamma in (4.0, 16.0)),
)
HEAD = "evaluation | \u03b3 | steps | accuracy | Frechet | class-wise | diversity"


def energy_of(evaluation: str, count: int) -> gg.LabelEnergy:
    """Every label in turn, as the classifier of this evaluation sees them."""
    guide = gg.load_classifier("pocket-noisy-1" if evaluation == NOISY else "pocket-clean-1")
    return gg.LabelEnergy(guide, tuple((k % LABELS,) for k in range(count)))


def samples(model: str, row: Row, count: int) -> Tensor:  # -> [count, 3, 32, 32]
    """Pictures of a line, with the noise of the exact posterior put back (ComfyUI's `euler_ancestral`)."""
    denoiser, pictures = gg.load_denoiser(model), []
    flow = denoiser.facts["space"] == "flow"
    sigmas = np.linspace(1, 0, row.steps + 1).tolist() if flow else gg.karras(row.steps, 0.002, 80.0)
    for first in range(0, count, BATCH):
        size, seed = min(BATCH, count - first), SEED + first
        cond, gamma, rule = None, 1.0, None
        if row.evaluation == CFG:
            cond, gamma = [k % LABELS for k in range(size)], row.gamma
        elif row.evaluation != "none":
            rule = gg.GradientTerm(energy_of(row.evaluation, size), weight=row.gamma, evaluation=row.evaluation)
        run = gg.record(denoiser, sigmas, cond, gamma=gamma, rule=rule, capture="numbers")
        noise = torch.randn(size, *denoiser.shape, generator=torch.Generator().manual_seed(seed))
        run.sample(sigmas[0] * noise, "ddpm", seed)
        pictures.append(denoiser.decoder(run.end) if denoiser.decoder else run.end)
    return torch.cat(pictures)


def cells(row: Row, count: int) -> list[object]:
    """A line of the first table."""
    found = judge(samples("pocket-1", row, count))
    reached = between(found["accuracy"], found["low"], found["high"])
    distances = (f"{found['frechet']:.2f}", f"{found['classwise']:.2f}", f"{found['diversity']:.3f}")
    return [row.evaluation, f"{row.gamma:g}", row.steps, reached, *distances]


def latent_cells(scale: float, count: int) -> list[str]:
    """A line of the second table."""
    found = judge(samples("pocket-flow-1", Row(CLEAN_X0, scale), count))
    return [f"{scale:g}", between(found["accuracy"], found["low"], found["high"])]


def main() -> None:
    """Print the tables, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="of a row of the first table")
    parser.add_argument("--sweep", type=int, default=200, help="of a row of the second")
    parser.add_argument("--latent", type=int, default=100, help="of a row of the third")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for head, lines in (
        (HEAD, (cells(row, given.samples) for row in ROWS)),
        (HEAD, (cells(row, given.sweep) for row in SWEEP)),
        ("scale | accuracy", (latent_cells(scale, given.latent) for scale in SCALES)),
    ):
        print(table(head, []))
        for line in lines:
            print(f"| {' | '.join(map(str, line))} |", flush=True)
        print()


if __name__ == "__main__":
    main()
