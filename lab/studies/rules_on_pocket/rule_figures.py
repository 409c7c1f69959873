"""Figures of docs/what-a-rule-does.md: the parts of a push to scale, and the effective scale of rules over a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ....figures.canvas import Box, Canvas, Point, extent
from ....figures.palette import PENS, THEMES, Theme
from ....figures.step_curves import Plot, set_band, set_line
from ....figures.typeset import SMALL, set_level, set_lines
from ...plots import Key, draw_legend

TITLE = 18.0
PARTS = (960, 404)  # of the first figure
RULER = Box(64, 0, 840, 0)
COLUMNS, PANEL, GAP = 4, (186, 108), (46, 104)  # of the second
BAND = 30.0  # height of the share across


@dataclass(frozen=True)
class Push:
    """A step of one sample.  scale, across: effective scale, and share of the push across; gamma: cfg"""

    title: str
    gamma: float
    scale: float
    across: float

    @property
    def height(self) -> float:
        """|across| in lengths of the difference: |gamma_eff - 1| sqrt(share / (1 - share))"""
        return abs(self.scale - 1) * math.sqrt(self.across / (1 - self.across))


def draw_parts(pushes: Sequence[Push], theme: Theme = THEMES["light"]) -> Canvas:
    """Pushes one below the other on the same ruler, all lengths to scale."""
    canvas = Canvas(*PARTS, theme, unit=2.0)
    for k, one in enumerate(pushes):
        _push(canvas, one, 152.0 + 190.0 * k)
    return canvas


def _push(canvas: Canvas, one: Push, y: float) -> None:
    theme, unit = canvas.theme, RULER.w / (one.gamma + 0.4)
    at = lambda scale, height=0.0: (RULER.x + unit * scale, y - unit * height)  # noqa: E731
    canvas.text((20, y - 128), one.title, TITLE, bold=True, halo=False)
    canvas.line([at(0), at(one.gamma)], theme.hair, 1.2)
    for scale in range(int(one.gamma) + 1):
        canvas.line([at(scale), (at(scale)[0], y + 5)], theme.hair, 1.2)
        _centre_text(canvas, (at(scale)[0], y + 12), f"{scale}", theme.muted)
    foot, tip = at(one.scale), at(one.scale, one.height)
    canvas.line([foot, tip], theme.noise, 3.0)
    canvas.line([at(1), foot], theme.guided, 4.0)
    canvas.line([at(1), tip], theme.ink, 1.4, (4, 3))
    for place, pen in ((at(0), "u"), (at(1), "c"), (at(one.gamma), "G"), (tip, "D")):
        canvas.marker(place, PENS[pen].marker, getattr(theme, PENS[pen].colour), 10.0)
    _labels(canvas, one, at(0), at(1), at(one.gamma), foot, tip)


def _labels(canvas: Canvas, one: Push, u: Point, c: Point, plain: Point, foot: Point, tip: Point) -> None:
    theme = canvas.theme
    _centre_text(canvas, (u[0], u[1] - 32), "u", theme.uncond, TITLE)
    _centre_text(canvas, (c[0] - 14, c[1] - 32), "c", theme.cond, TITLE)
    words = f"plain guidance at {one.gamma:g}"
    canvas.text((plain[0] - extent(words, SMALL)[0] + 8, plain[1] - 30), words, SMALL, theme.guided)
    canvas.text((tip[0] + 12, tip[1] - 20), "D, what the rule made of it", SMALL, theme.rule)
    words = f"across: {one.across:.0%} of |D \u2212 c|\u00b2".replace("%", " %")
    canvas.text((foot[0] + 11, 0.35 * foot[1] + 0.65 * tip[1] - 3), words, SMALL, theme.noise)
    words = f"along: acts like {one.scale:.1f}"
    middle = max((c[0] + foot[0]) / 2, c[0] + extent(words, SMALL)[0] / 2)
    _centre_text(canvas, (middle, c[1] + 34), words, theme.guided)


def _centre_text(canvas: Canvas, at: Point, words: str, colour: str, size: float = SMALL) -> None:
    canvas.text((at[0] - extent(words, size)[0] / 2, at[1]), words, size, colour, halo=False)


@dataclass(frozen=True)
class Panel:
    """A rule's run.  scale, low, high, across: over the steps"""

    title: str
    gamma: float
    scale: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    across: Sequence[float]


def draw_scales(panels: Sequence[Panel], theme: Theme = THEMES["light"]) -> Canvas:
    """Effective scales over the steps, and the share across below; one axis for all."""
    rows = -(-len(panels) // COLUMNS)
    canvas = Canvas(960, 26 + rows * (PANEL[1] + GAP[1]) + 34, theme, unit=2.0)
    most = max(max(one.gamma, *filter(math.isfinite, one.scale)) for one in panels)
    for k, one in enumerate(panels):
        row, column = divmod(k, COLUMNS)
        frame = Box(46 + column * (PANEL[0] + GAP[0]), 50 + row * (PANEL[1] + GAP[1]), *PANEL)
        _panel(canvas, one, frame, most)
    shown = ("effective scale: median sample, and 10 to 90 %", "cfg", "share across, 0 to 100 %")
    styles = ((theme.guided, None), (theme.ink, (5, 4)), (theme.noise, None))
    keys = [Key(words, *style) for words, style in zip(shown, styles, strict=True)]
    draw_legend(canvas, 46.0, canvas.height - 38, keys)
    set_lines(canvas, (canvas.width - 20, canvas.height - 38), ["step"], 1.0)
    return canvas


def _panel(canvas: Canvas, one: Panel, frame: Box, most: float) -> None:
    theme, count, strip = canvas.theme, len(one.scale), Box(frame.x, frame.bottom + 10, frame.w, BAND)
    plot, below = Plot(frame, 0.0, most, count, margin=0.0), Plot(strip, 0.0, 1.0, count, margin=0.0)
    scale, low, high, across = map(torch.tensor, (one.scale, one.low, one.high, one.across))
    canvas.text((frame.x, frame.y - 34), one.title, TITLE, bold=True, halo=False)
    for value in range(0, int(most) + 1, 2):
        set_level(canvas, frame, plot.at(0, value)[1], f"{value}", 8)
    canvas.line([plot.at(0, one.gamma), plot.at(count - 1, one.gamma)], theme.ink, 1.4, (5, 4))
    set_band(canvas, plot, torch.stack([low, high], dim=1), theme.guided, 0.22)
    set_line(canvas, plot, scale, theme.guided, 2.2)
    canvas.line([(strip.x, strip.bottom), (strip.right, strip.bottom)], theme.hair, 0.8)
    set_band(canvas, below, torch.stack([0 * across, across], dim=1), theme.noise, 0.75)
    set_lines(canvas, (strip.x, strip.bottom + 5), ["1"], 0.0)
    set_lines(canvas, (strip.right, strip.bottom + 5), [f"{count}"], 1.0)
