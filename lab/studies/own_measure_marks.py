"""How far the marks of a model's curve lie from those of other seeds, of another sampler, and of other steps.

Both demo models are measured as the Guidance tab measures them. Why the code compares only what was made in the same
way: `python lab own_measure_marks` prints the tables of docs/own-measure.md.
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
from ..markdown import table
from .own_measure import MODELS, draw, labels_of, mark_in_words

SCALES = (1.0, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0)  # as the tab's
CLOSE, PAIRS, SHOWN = 1.15, 50, (0, 3, 5)  # of two marks, as near as asked for; random pairs; scales of the table


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


def part_of(points: list[Measurement], rows: Tensor) -> list[Measurement]:
    """Of some of their pictures."""
    return [replace(point, levels=[level.of(rows.tolist()) for level in point.levels]) for point in points]


def apart(points: list[Measurement]) -> Iterator[tuple[str, ...]]:
    """How far the first mark of one set of seeds is from that of a disjoint one, by how many pictures each has."""
    generator, every = torch.Generator().manual_seed(0), points[0].count
    for count in (size for size in (8, 16, 32, 64) if 2 * size <= every):
        factors = []
        for _ in range(PAIRS):
            rows = torch.randperm(every, generator=generator)[: 2 * count]
            marks = [Curve(SCALES, part_of(points, half)).mark(MEASURABLE) for half in rows.split(count)]
            first, second = (mark.value if mark else SCALES[-1] for mark in marks)
            factors.append(max(first, second) / min(first, second))
        near, middle = sum(one <= CLOSE for one in factors), sorted(factors)[PAIRS // 2]
        yield str(count), f"{middle:.2f}", f"{near} of {PAIRS}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=128, help="of every value, for the marks of other seeds")
    parser.add_argument("--each", type=int, default=24, help="for the other samplers and steps")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for name in MODELS:
            denoiser, (own, *others) = gg.load_denoiser(name), WAYS
            points = measured(denoiser, given.pictures, own)
            head = "pictures of each value | first mark of two sets, times apart | within 15 %"
            print(f"\n{name}\n\n{table(head, apart(points))}", flush=True)
            few = part_of(points, torch.arange(given.each))
            ways = {own: few} | {way: measured(denoiser, given.each, way) for way in others}
            head = f"made by | {' | '.join(f'cfg {SCALES[i]:g}' for i in SHOWN)} | first measured | first seen"
            print("\n" + table(head, ((way, *row(some)) for way, some in ways.items())), flush=True)


if __name__ == "__main__":
    main()
