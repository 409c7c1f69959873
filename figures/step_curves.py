"""Curves over the steps of a run: plot, axes, bands of a batch; steps that are not known are gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from ..guidance.printing import nth
from .canvas import Box, Canvas, Point, extent
from .layout import stack_centres
from .order import Order
from .typeset import SMALL, cut, set_level, set_lines
from .words import number

TITLE = 16.5  # size of the words over a plot
PITCH = 78.0  # least distance of two steps that are named
ENDS = torch.tensor([0.1, 0.9], dtype=torch.float64)  # percentiles of a batch that a band reaches to


@dataclass(frozen=True)
class Plot:
    """A panel of curves over the steps.

    box: in logical pixels.
    low, high: ends of its vertical axis; powers of ten where `powers` is set.
    count: of steps.
    powers: the vertical axis is logarithmic.
    margin: room beside the first and the last step, in steps.
    """

    box: Box
    low: float
    high: float
    count: int
    powers: bool = False
    margin: float = 0.5

    def at(self, step: int, value: float) -> Point:
        """Pixel of a value at a step, at the rim where it lies beyond; of no power of ten at the foot."""
        place = value if not self.powers else math.log10(value) if value > 0 else -math.inf
        share = min(max((place - self.low) / (self.high - self.low), 0.0), 1.0)
        across = (step + self.margin) / max(self.count - 1 + 2 * self.margin, 1.0)
        return self.box.x + self.box.w * across, self.box.bottom - self.box.h * share


def set_axes(canvas: Canvas, plot: Plot, order: Order, title: str, marks: Sequence[float]):
    """Levels with their numbers, the title above, and below as many steps and noise levels as fit."""
    box = plot.box
    for value in marks:
        set_level(canvas, box, plot.at(0, value)[1], number(value), 8)
    canvas.text((box.x, box.y - 30), title, TITLE, canvas.theme.ink, halo=False)
    sigmas, count = order.trace.steps["sigma"], plot.count
    for step in range(0, count, max(1, math.ceil(count * PITCH / box.w))):
        names = (str(nth(step)), number(float(sigmas[step])))
        set_lines(canvas, (plot.at(step, 1.0)[0], box.bottom + 8), names, 0.5)
    set_lines(canvas, (box.x - 20, box.bottom + 8), ("step", "\u03c3"), 1.0)


def set_line(
    canvas: Canvas, plot: Plot, values: Tensor, colour: str, width: float, dash: Sequence[float] | None = None, **more
):
    """A line through every stretch of known values [n].  more: of `Canvas.line`"""
    for steps in stretches(values):
        if len(steps) > 1:
            canvas.line([plot.at(step, float(values[step])) for step in steps], colour, width, dash, **more)


def set_marks(canvas: Canvas, plot: Plot, values: Tensor, kind: str, colour: str, name: str):
    """A marker at every known value [n], named after its step."""
    for step in (step for steps in stretches(values) for step in steps):
        canvas.marker(plot.at(step, float(values[step])), kind, colour, 5.0, name=f"{name}-{step}")


def set_band(canvas: Canvas, plot: Plot, ends: Tensor, colour: str, alpha: float = 0.15):
    """The area between two values a step, [n, 2]."""
    for steps in stretches(ends):
        edges = [[plot.at(step, float(ends[step, k])) for step in steps] for k in (0, 1)]
        if len(steps) > 1:
            canvas.polygon([*edges[0], *reversed(edges[1])], colour, alpha=alpha, name="band")


def set_names(canvas: Canvas, plot: Plot, named: Sequence[tuple[str, str, Tensor]], room: float):
    """The name of every line at its end, beside the plot, in its colour.  named: name, colour, values [n]"""
    ends = [stretches(values)[-1][-1] if bool(values.isfinite().any()) else 0 for _, _, values in named]
    wanted = [
        plot.at(k, float(values[k].nan_to_num(plot.low)))[1] for k, (_, _, values) in zip(ends, named, strict=True)
    ]
    words = [cut(name, room, lambda some: extent(some, SMALL)[0]) for name, _, _ in named]
    height = sum(extent("x", SMALL)[1:]) + 8
    centres = stack_centres(wanted, [height] * len(named), plot.box.y - 10, plot.box.bottom + 10, 2.0)
    for text, (_, colour, _), y in zip(words, named, centres, strict=True):
        _, up, down = extent(text, SMALL)
        canvas.text((plot.box.right + 8, y - (up + down) / 2), text, SMALL, colour, halo=False)


def ends_of(values: Tensor) -> Tensor:  # [n, B] -> [n, 2]
    """10th and 90th percentile of the samples at every step."""
    return values.nanquantile(ENDS, dim=1).T


def stretches(values: Tensor) -> list[list[int]]:
    """Steps in a row that know their values, [n] or [n, k]."""
    finite = values.reshape(len(values), -1).isfinite().all(dim=1).tolist()
    return [[*steps] for there, steps in groupby(range(len(finite)), finite.__getitem__) if there]
