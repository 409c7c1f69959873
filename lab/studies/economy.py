"""What skipped unconditional passes cost, and what Economy promises: the table of docs/rules.md.

A pass is one prediction of one sample; full guidance makes two at each step. Both demo models draw the same noise with
every chain, in batches of four; strength and ratio are the model's own measure, accuracy and distance the judge's.
"Apart" is the relative distance from the picture of plain CFG with the same noise, and "within 2" the share of pictures
whose estimate of it is wrong by less than a factor of 2. `python lab economy` prints it in twenty minutes of two cores;
--models galaxies asks a network that nobody here trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ... import library as gg
from ...guidance.presets import PRESETS
from ...guidance.rules.economy import Economy, estimated_change
from ...guidance.vectors import norm
from ...library.recording import Guided, run_of
from ..markdown import table
from .galaxies import HIGHEST, Galaxies
from .judging import LABELS, judge
from .own_measure import pictures_of

STEPS, BATCH, SEED = 20, 4, 7
FULL, GALAXIES = "plain CFG", "galaxies"
CHAINS = {
    FULL: (),
    "interval 0 .. 0.2": (gg.Interval("percent", 0.0, 0.2),),
    "faster (interval + reuse)": PRESETS["faster (interval + reuse)"].rules,
    "GGReuse, every 2": (gg.Reuse(2),),
    "GGEconomy 10 %": (Economy(10.0),),
    "GGEconomy 20 %": (Economy(20.0),),
}
HEAD = (
    "model | cfg | chain | saved | saved in fours | strength | ratio | judge agrees | class-wise Frechet | "
    "apart, mean | median | within 2"
)


class Drawing(NamedTuple):
    """Pictures of a chain [count, ...], passes that one picture and a batch save, and the estimated change [count]."""

    x0: Tensor
    alone: float
    batch: float
    estimate: Tensor | None


def denoiser_of(model: str) -> Any:
    """A demo model, or the network of the galaxies."""
    return Galaxies(32) if model == GALAXIES else gg.load_denoiser(model)


def draw(denoiser: Any, rules: tuple, count: int, gamma: float, seed: int) -> Drawing:
    """Pictures by Euler steps, labels in turn; picture i starts from the same noise with every chain."""
    flow = denoiser.facts["space"] == "flow"
    sigmas = np.linspace(1, 0, STEPS + 1).tolist() if flow else gg.karras(STEPS, 0.002, 80.0)
    if isinstance(denoiser, Galaxies):
        sigmas = gg.karras(STEPS, 0.1, HIGHEST)
    noise = sigmas[0] * torch.randn(count, *denoiser.shape, generator=torch.Generator().manual_seed(seed))
    ends, estimates, passes, taken = [], [], 0, 0.0
    for x, labels in zip(noise.split(BATCH), labels_of(denoiser, count).split(BATCH), strict=True):
        cond = denoiser.guided if isinstance(denoiser, Galaxies) else labels.tolist()
        guided = Guided(
            denoiser, {"cond": cond, "uncond": None}, gg.Chain(rules), run_of(sigmas, denoiser.facts["space"]), gamma
        )
        made = 0

        def guide(x: Tensor, sigma: float, guided: Guided = guided) -> Tensor:
            nonlocal made
            seen = guided(x, sigma)
            made += seen.nfe
            return seen.denoised

        ends.append(gg.sample(guide, x, sigmas, flow=flow))
        passes += made * len(x)
        taken += made * len(x)
        if rules and isinstance(rules[0], Economy):
            memory = guided.runner.following[0].rules[0]
            estimates.append(estimated_change(memory))
            taken += float(memory.progress.taken.sum()) - (made - STEPS) * len(x)
    full = 2 * STEPS * count
    return Drawing(torch.cat(ends), 1 - taken / full, 1 - passes / full, torch.cat(estimates) if estimates else None)


def labels_of(denoiser: Any, count: int) -> Tensor:
    """The label of each picture, in turn."""
    return torch.arange(count) % LABELS


def rows_of(model: str, gamma: float, count: int, seed: int, draws: int) -> Iterator[list[str]]:
    """Lines of the table: a model at a scale, with every chain."""
    denoiser, plain = denoiser_of(model), None
    cond = denoiser.guided if model == GALAXIES else labels_of(denoiser, count).tolist()
    for name, rules in CHAINS.items():
        made = draw(denoiser, rules, count, gamma, seed)
        measured = gg.measure(denoiser, made.x0, cond, draws=draws)
        strength, ratio = measured.strength.value, measured.ratio.value
        plain = plain or (made.x0, strength, ratio)
        apart = norm(made.x0 - plain[0]) / norm(plain[0])
        seen = None if model == GALAXIES else judge(pictures_of(denoiser, made.x0))
        wrong = None if made.estimate is None else (made.estimate / apart).log().abs() < np.log(2)
        yield [
            model,
            f"{gamma:g}",
            name,
            f"{made.alone:.1%}",
            f"{made.batch:.1%}",
            f"{strength:.3f} ({strength / plain[1] - 1:+.1%})",
            f"{ratio:.3f} ({ratio / plain[2] - 1:+.1%})",
            "" if seen is None else f"{seen['accuracy']:.1%}",
            "" if seen is None else f"{seen['classwise']:.2f}",
            f"{apart.mean():.1%}",
            f"{apart.median():.1%}",
            "" if wrong is None else f"{wrong.double().mean():.0%}",
        ]


def main() -> None:
    """Print the table, line by line as it is made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=["pocket-1", "pocket-flow-1"])
    parser.add_argument("--scales", type=float, nargs="*", default=[2.0, 4.0, 8.0])
    parser.add_argument("--samples", type=int, default=100, help="of every row")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--draws", type=int, default=2, help="pairs of noise of the model's own measure")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for model in given.models:
            for gamma in given.scales:
                rows = [*rows_of(model, gamma, given.samples, given.seed, given.draws)]
                print(table(HEAD, rows), flush=True)


if __name__ == "__main__":
    main()
