"""What a model says of its own pictures along cfg, beside what a judge says: what docs/own-measure.md says of guidance.

Both demo models draw the same seeds at rising cfg; `gg.measure` asks each of its own pictures, and the judge, which
took no part, counts how many show their label and how far they are from real ones: `python lab own_measure`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import library as gg
from ...guidance.vectors import flat
from ...measure.curve import MEASURABLE, VISIBLE, Curve
from ...measure.estimates import Estimate, strength_of_each, variety
from ...measure.measurement import Measurement
from ..markdown import table
from .judging import LABELS, judge

MODELS = ("pocket-1", "pocket-flow-1")
SCALES = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0)
STEPS, BATCH = 20, 50
HEAD = "cfg | prompt strength | denoising ratio | variety | judge right | Frechet | class-wise"
Sampler = Callable[..., Tensor]  # as gg.sample: denoise, x, sigmas and flow


def draw(
    denoiser: Any,
    scale: float,
    count: int,
    seed: int = 0,
    steps: int = STEPS,
    sampler: Sampler = gg.sample,
    label: int | None = None,
) -> Tensor:
    """Pictures of every label in turn, or of one; picture i starts from the same noise at every scale."""
    flow, made = denoiser.facts["space"] == "flow", []
    sigmas = np.linspace(1, 0, steps + 1).tolist() if flow else gg.karras(steps, 0.02, 80.0)
    noise = torch.stack([torch.randn(denoiser.shape, generator=torch.Generator().manual_seed(1000 * seed + i))
                         for i in range(count)])  # fmt: skip
    for numbers in torch.arange(count).split(BATCH):
        labels = (numbers % LABELS).tolist() if label is None else [label] * len(numbers)

        def guide(x: Tensor, sigma: float, labels: list[int] = labels) -> Tensor:
            c = denoiser(x, sigma, labels)
            return c if scale == 1 else torch.lerp(denoiser(x, sigma), c, scale)

        made.append(sampler(guide, sigmas[0] * noise[numbers], sigmas, flow=flow))
    return torch.cat(made)


def pictures_of(denoiser: gg.NetworkDenoiser, x: Tensor) -> Tensor:
    """What is seen of samples: decoded where they are latents."""
    return x if denoiser.decoder is None else torch.cat([denoiser.decoder(part) for part in x.split(BATCH)])


def labels_of(x: Tensor) -> list[int]:
    """The label that was asked for of each."""
    return (torch.arange(len(x)) % LABELS).tolist()


def along_cfg(denoiser: gg.NetworkDenoiser, count: int) -> Iterator[tuple]:
    """A row of the table for every scale, and the marks of the curve in the end."""
    points: list[Measurement] = []
    plain = None
    for scale in SCALES:
        x = draw(denoiser, scale, count)
        plain = x if plain is None else plain  # the first scale is 1
        points.append(gg.measure(denoiser, x, labels_of(x), setting={"steps": STEPS}))
        seen = judge(pictures_of(denoiser, x))
        spread = variety(flat(x), flat(plain), labels_of(x))
        numbers = (f"{seen['accuracy']:.1%}", f"{seen['frechet']:.2f}", f"{seen['classwise']:.2f}")
        yield (f"{scale:g}", points[-1].strength.text, points[-1].ratio.text, f"{spread.value:.2f}", *numbers)
    curve = Curve(SCALES, points, (), 1.0)
    yield ("first measured", *[""] * 5, mark_in_words(curve.mark(MEASURABLE)))
    yield ("first seen", *[""] * 5, mark_in_words(curve.mark(VISIBLE)))


def mark_in_words(mark: Estimate | None) -> str:
    """A mark with its interval."""
    return "none" if mark is None else f"cfg {mark.value:.1f} ({mark.low:.1f} to {mark.high:.1f})"


def best_of(denoiser: gg.NetworkDenoiser, count: int, many: int = 4) -> tuple[float, float]:
    """How many pictures at cfg 1 show their label: all, and those with the greatest strength of so many each."""
    tries = [draw(denoiser, 1.0, count, seed=seed) for seed in range(many)]
    strengths = torch.stack([strength_of_each(gg.measure(denoiser, x, labels_of(x)).levels) for x in tries])
    chosen = torch.stack(tries)[strengths.argmax(dim=0), torch.arange(count)]
    one = math.fsum(judge(pictures_of(denoiser, x))["accuracy"] for x in tries) / many
    return one, judge(pictures_of(denoiser, chosen))["accuracy"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200, help="of every scale")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for name in MODELS:
            denoiser = gg.load_denoiser(name)
            print(f"\n{name}, {given.pictures} pictures a scale\n", flush=True)
            print(table(HEAD, along_cfg(denoiser, given.pictures)), flush=True)
            one, best = best_of(denoiser, given.pictures)
            print(f"\nBest of four at cfg 1: {best:.1%} show their label, of all {one:.1%}.", flush=True)


if __name__ == "__main__":
    main()
