"""Pictures of docs/verdict.md: how often the alarm and the card err against what they promise, and every miss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from ...figures.canvas import Box, Canvas, Point, extent
from ...figures.palette import THEMES, Theme

SMALL, TITLE = 11.5, 12.5
SIZE = (960, 366)
FRAMES = tuple(Box(62 + 308 * k, 50, 240, 206) for k in range(3))
MARGIN = SIZE[0] - FRAMES[-1].right
SIDE, GAP = 96.0, 10.0  # of a picture of a miss
LEFT = 20.0
DASHES = (None, (6, 4), (2, 3), (7, 2, 2, 2))
COLOURS = ("uncond", "cond", "guided", "noise", "rule", "ink")


@dataclass(frozen=True)
class Axes:
    """A plot.  marks: of both axes, from the least to the most. log: whether x counts by factors."""

    frame: Box
    across: tuple[float, ...]
    up: tuple[float, ...]
    log: bool = False

    def at(self, x: float, y: float) -> Point:
        """Pixel of a point; what lies outside is drawn at the edge."""
        low, high = self.across[0], self.across[-1]
        share = math.log(x / low) / math.log(high / low) if self.log else (x - low) / (high - low)
        rise = (y - self.up[0]) / (self.up[-1] - self.up[0])
        right, above = (min(max(one, 0.0), 1.0) for one in (share, rise))
        return self.frame.x + self.frame.w * right, self.frame.bottom - self.frame.h * above


@dataclass(frozen=True)
class Line:
    """A curve.  style: its place among colours and dashes."""

    name: str
    points: Sequence[Point]
    style: int


@dataclass(frozen=True)
class Plot:
    """A panel.  bound: a level that is not to be passed. goal: a promise. even: draw where both axes agree."""

    title: str
    below: str
    axes: Axes
    lines: Sequence[Line]
    bound: float | None = None
    goal: Point | None = None
    even: bool = False


def draw_curves(plots: Sequence[Plot], theme: Theme = THEMES["light"]) -> Canvas:
    """The panels side by side, with one legend below for all names."""
    canvas = Canvas(FRAMES[len(plots) - 1].right + MARGIN, SIZE[1], theme, unit=2.0)
    for plot in plots:
        _panel(canvas, plot)
    named = {line.name: line.style for plot in plots for line in plot.lines}
    _legend(canvas, named)
    return canvas


def _panel(canvas: Canvas, plot: Plot) -> None:
    axes, frame, theme = plot.axes, plot.axes.frame, canvas.theme
    canvas.text((frame.x - 42, frame.y - 34), plot.title, TITLE, bold=True)
    for value in axes.up:
        y = axes.at(axes.across[0], value)[1]
        canvas.line([(frame.x, y), (frame.right, y)], theme.hair, 0.6)
        _text(canvas, (frame.x - 8, y - 7), f"{100 * value:.0f} %", 1.0)
    for value in axes.across:
        x = axes.at(value, axes.up[0])[0]
        words = f"{100 * value:.0f} %" if plot.even else f"{value:g}"
        canvas.line([(x, frame.bottom), (x, frame.bottom + 4)], theme.hair, 1.0)
        _text(canvas, (x, frame.bottom + 8), words, 0.5)
    _text(canvas, (frame.right, frame.bottom + 26), plot.below, 1.0)
    if plot.even:
        canvas.line([axes.at(v, v) for v in (axes.across[0], axes.across[-1])], theme.muted, 1.0, (2, 3))
    if plot.bound is not None:
        canvas.line([axes.at(x, plot.bound) for x in (axes.across[0], axes.across[-1])], theme.muted, 1.2, (6, 4))
    for line in plot.lines:
        points = [axes.at(*point) for point in line.points]
        canvas.line(points, _colour(theme, line.style), 1.8, DASHES[line.style % len(DASHES)], alpha=0.85)
    if plot.goal is not None:
        canvas.marker(axes.at(*plot.goal), "diamond", theme.ink, 8.0)


def _colour(theme: Theme, style: int) -> str:
    return getattr(theme, COLOURS[style % len(COLOURS)])


def _text(canvas: Canvas, at: Point, words: str, left: float) -> None:
    """Small words, of which a share of the width lies left of `at`."""
    canvas.text((at[0] - left * extent(words, SMALL)[0], at[1]), words, SMALL, canvas.theme.muted, halo=False)


def _legend(canvas: Canvas, named: Mapping[str, int]) -> None:
    x, y = LEFT, SIZE[1] - 56.0
    for name, style in named.items():
        if x + extent(name, SMALL)[0] + 34 > canvas.width - LEFT:
            x, y = LEFT, y + 22
        canvas.line([(x, y + 7), (x + 26, y + 7)], _colour(canvas.theme, style), 2.0, DASHES[style % len(DASHES)])
        x = canvas.text((x + 32, y), name, SMALL).right + 22


def draw_grid(
    pictures: Sequence[Sequence[ndarray]], heads: Sequence[str], framed: int, names: Sequence[Sequence[str]]
) -> Canvas:  # fmt: skip
    """Rows of pictures [3, H, W] in -1 .. 1 under their heads; one column is framed, names stand below each."""
    rows, columns, row = len(pictures), len(heads), SIDE + 26
    width = max(2 * LEFT + columns * (SIDE + GAP) - GAP, 220)
    canvas = Canvas(width, 42 + rows * row, THEMES["light"], unit=2.0)
    theme = canvas.theme
    for k, head in enumerate(heads):
        x = LEFT + k * (SIDE + GAP)
        canvas.text((x, 14), head, TITLE, theme.noise if k == framed else theme.ink, bold=k == framed, halo=False)
        for r in range(rows):
            box = Box(x, 38 + r * row, SIDE, SIDE)
            canvas.picture(
                np.moveaxis(pictures[r][k], 0, -1) / 2 + 0.5, box, theme.noise if k == framed else theme.hair
            )
            canvas.text((x, box.bottom + 4), names[r][k], SMALL, theme.muted, halo=False)
    return canvas
