"""How far the marks of a model's curve lie from those of other seeds, of another sampler, and of other steps.

The included curves of both demo models are cut into random halves. Then the same seeds are measured by other samplers
and steps, which shows why the code compares only what was made in the same way. `python lab own_measure_marks` prints
the tables of docs/own-measure.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from ... import library as gg
from ...measure.curve import MEASURABLE, VISIBLE, Curve
from ...measure.measurement import Measurement
from ...verdict.known import included_curves
from ...verdict.measured import MeasuredCurve
from ..markdown import table
from .own_measure import MODELS, draw, labels_of, mark_in_words

SCALES = (1.0, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0)  # as the tab's
SHOWN = (0, 3, 5)  # of these, in the table
CLOSE, PAIRS, COUNTS = 1.15, 50, (9, 15, 30)  # of two marks, as near as asked for; random pairs; pictures of each


def heun(denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: Sequence[float], flow: bool = False) -> Tensor:
    """Heun's method on dx / dsigma = (x - D) / sigma, which holds for flows, too.  Karras et al. 2022, algorithm 1"""
    for sigma, after in pairwise(sigmas):
        slope = (x - denoise(x, sigma)) / sigma
        moved = x + (after - sigma) * slope
        if after > 0:
            slope = (slope + (moved - denoise(moved, after)) / after) / 2
        x = x + (after - sigma) * slope
    return x


ddpm = partial(gg.sample, sampler="ddpm")
WAYS = {"Euler, 20 steps": (gg.sample, 20), "Euler, 10 steps": (gg.sample, 10), "Euler, 40 steps": (gg.sample, 40)}
WAYS |= {"Heun, 20 steps": (heun, 20), "DDPM, 20 steps": (ddpm, 20)}


def measured(denoiser: gg.NetworkDenoiser, count: int, way: str) -> list[Measurement]:
    """At every scale."""
    sampler, steps = WAYS[way]
    samples = (draw(denoiser, scale, count, steps=steps, sampler=sampler) for scale in SCALES)
    return [gg.measure(denoiser, x, labels_of(x), draws=1, setting={"made by": way}) for x in samples]


def row(points: list[Measurement]) -> Iterator[str]:
    """Ratio and strength at some scales, and both marks."""
    yield from (f"{points[i].ratio.value:.2f}, {points[i].strength.value:.2f}" for i in SHOWN)
    yield from (mark_in_words(Curve(SCALES, points).mark(times)) for times in (MEASURABLE, VISIBLE))


def apart(known: MeasuredCurve) -> Iterator[tuple[str, ...]]:
    """How far the marks of one set of seeds are from those of a disjoint one, by how many pictures each has."""
    generator, curve = torch.Generator().manual_seed(0), known.curve
    for count in COUNTS:
        pairs, each = [], count // known.each
        for _ in range(PAIRS):
            halves = torch.randperm(known.pictures // known.each, generator=generator)[: 2 * each].split(each)
            pairs.append([replace(curve, points=[part_of(point, half) for point in curve.points]) for half in halves])
        cells = [str(count)]
        for times in (MEASURABLE, VISIBLE):
            marks = [[one.mark(times) for one in pair] for pair in pairs]
            values = [sorted(mark.value if mark else curve.values[-1] for mark in pair) for pair in marks]
            factors = sorted(high / low for low, high in values)
            cells += [f"{factors[PAIRS // 2]:.2f}", f"{sum(one <= CLOSE for one in factors)} of {PAIRS}"]
        yield tuple(cells)


def part_of(point: Measurement, rows: Tensor) -> Measurement:
    """Of some of its pictures."""
    return replace(point, levels=[level.of(rows.tolist()) for level in point.levels])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10, help="of every value, by every sampler")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in MODELS:
        denoiser = gg.load_denoiser(name)
        if known := included_curves(denoiser.facts["model"]):
            head = "pictures of each value | first measured, times apart | within 15 % | first seen | within 15 %"
            print(f"\n{name}\n\n{table(head, apart(known.curves[0]))}", flush=True)
        head = f"made by | {' | '.join(f'cfg {SCALES[i]:g}' for i in SHOWN)} | first measured | first seen"
        with torch.no_grad():
            rows = ((way, *row(measured(denoiser, given.pictures, way))) for way in WAYS)
            print("\n" + table(head, rows), flush=True)


if __name__ == "__main__":
    main()
