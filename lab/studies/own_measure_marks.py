"""How far the marks of a model's curve lie from those of other seeds, of another sampler, and of other steps.

Both demo models draw many pictures, each from its own noise, and random disjoint sets of them are compared. Then the
same seeds are measured by other samplers and steps, which shows why the code compares only what was made in the same
way. `python lab own_measure_marks` prints the tables of docs/own-measure.md in 15 minutes of one core; with `--sums` a
second time takes seconds.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from ... import library as gg
from ...files.writing import write_atomically
from ...measure.curve import MEASURABLE, VISIBLE, Curve
from ...measure.levels import SEED
from ...measure.measurement import MEASURED, Measurement, measurement_of
from ..markdown import table
from .own_measure import MODELS, draw, labels_of, mark_in_words

SCALES = (1.0, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0)  # as the tab's
SHOWN = (0, 3, 5)  # of these, in the table
CLOSE, PAIRS, OFTEN = 1.15, 200, (0.8, 0.95)  # of two marks, as near as asked for; random pairs; how many shall be
COUNTS = (9, 15, 20, 30, 40, 60, 80, 120, 160)  # pictures of each set
PART = 40  # pictures that are drawn at once


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
    yield from (mark_in_words(Curve(SCALES, points, (), 1.0).mark(times)) for times in (MEASURABLE, VISIBLE))


def own_pictures(name: str, count: int, folder: Path | None) -> Curve:
    """The curve of so many pictures, each from its own noise at every scale.  folder: where their sums are kept"""
    denoiser, curves = gg.load_denoiser(name), []
    for part in range(math.ceil(count / PART)):
        file = folder / f"{name}.{part:02}.json" if folder else None
        if file is None or not file.is_file():
            samples = (draw(denoiser, scale, min(PART, count - PART * part), seed=10 + part) for scale in SCALES)
            asked = (gg.measure(denoiser, x, labels_of(x), draws=1, seed=SEED + part) for x in samples)
            points = [replace(point, setting={}) for point in asked]  # which differs where it was read from a file
            if file:
                write_atomically(file, [json.dumps([{MEASURED: point.sums()} for point in points]).encode()])
        else:
            read = (measurement_of(sums) for sums in json.loads(file.read_text()))
            points = [replace(point, setting={}) for point in read if point]
        curves.append(points)
    return Curve(SCALES, [first.joined(*more) for first, *more in zip(*curves, strict=True)], (), 1.0)


def apart(curve: Curve) -> Iterator[tuple[str, ...]]:
    """How far the marks of one set of pictures are from those of a disjoint one, by how many pictures each has."""
    generator, count = torch.Generator().manual_seed(0), curve.points[0].count
    shares: dict[float, dict[int, float]] = {MEASURABLE: {}, VISIBLE: {}}
    for each in (each for each in COUNTS if 2 * each <= count):
        pairs, cells = [], [str(each)]
        for _ in range(PAIRS):
            halves = torch.randperm(count, generator=generator)[: 2 * each].split(each)
            pairs.append([replace(curve, points=[part_of(point, half) for point in curve.points]) for half in halves])
        for times, by_count in shares.items():
            marks = [[one.mark(times) for one in pair] for pair in pairs]
            values = [sorted(mark.value if mark else curve.values[-1] for mark in pair) for pair in marks]
            factors = sorted(high / low for low, high in values)
            by_count[each] = sum(one <= CLOSE for one in factors) / PAIRS
            cells += [f"{factors[PAIRS // 2]:.2f}", f"{by_count[each]:.0%}"]
        yield tuple(cells)
    for often in OFTEN:
        cells = [f"from so many on in {often:.0%}"]
        for by_count in shares.values():
            enough = [each for each in by_count if all(by_count[more] >= often for more in by_count if more >= each)]
            cells += ["", str(enough[0]) if enough else "more"]
        yield tuple(cells)


def part_of(point: Measurement, rows: Tensor) -> Measurement:
    """Of some of its pictures."""
    return replace(point, levels=[level.of(rows.tolist()) for level in point.levels])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10, help="of every value, by every sampler")
    parser.add_argument("--own", type=int, default=320, help="pictures of every value that are cut into pairs of sets")
    parser.add_argument("--sums", type=Path, help="a folder in which what was measured of them is kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in MODELS:
        denoiser = gg.load_denoiser(name)
        head = "pictures of each value | first measured, times apart | within 15 % | first seen | within 15 %"
        with torch.no_grad():
            curve = own_pictures(name, given.own, given.sums)
        marks = [mark_in_words(curve.mark(times)) for times in (MEASURABLE, VISIBLE)]
        print(f"\n{name}: {given.own} pictures, marks {' and '.join(marks)}\n\n{table(head, apart(curve))}", flush=True)
        head = f"made by | {' | '.join(f'cfg {SCALES[i]:g}' for i in SHOWN)} | first measured | first seen"
        with torch.no_grad():
            rows = ((way, *row(measured(denoiser, given.pictures, way))) for way in WAYS)
            print("\n" + table(head, rows), flush=True)


if __name__ == "__main__":
    main()
