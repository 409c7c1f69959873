"""Pictures of docs/verdict.md: how often the alarm and the card err against what they promise, and every miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from ...figures.canvas import Box, Canvas, Point
from ...figures.palette import THEMES, Theme
from ...figures.typeset import SMALL
from ..plots import Axes, Key, draw_legend

TITLE = 12.5
SIZE = (960, 366)
FRAMES = tuple(Box(62 + 308 * k, 50, 240, 206) for k in range(3))
MARGIN = SIZE[0] - FRAMES[-1].right
SIDE, GAP = 96.0, 10.0  # of a picture of a miss
LEFT = 20.0
DASHES = (None, (6, 4), (2, 3), (7, 2, 2, 2))
COLOURS = ("uncond", "cond", "guided", "noise", "rule", "ink")


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
    keys = [Key(name, _colour(theme, style), DASHES[style % len(DASHES)]) for name, style in named.items()]
    draw_legend(canvas, LEFT, SIZE[1] - 56.0, keys)
    return canvas


def _panel(canvas: Canvas, plot: Plot) -> None:
    axes, frame, theme = plot.axes, plot.axes.frame, canvas.theme
    canvas.text((frame.x - 42, frame.y - 34), plot.title, TITLE, bold=True)
    axes.draw(canvas, "{:.0%}" if plot.even else "{:g}", "{:.0%}", plot.below)
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
