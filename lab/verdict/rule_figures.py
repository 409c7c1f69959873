"""Figures of docs/what-a-rule-does.md: the parts of a push to scale, and the effective scale of rules over a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...figures.canvas import Box, Canvas, Point, extent
from ...figures.palette import PENS, THEMES, Theme

SMALL, TITLE = 11.5, 13.5
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
        _centred(canvas, (at(scale)[0], y + 12), f"{scale}", theme.muted)
    foot, tip = at(one.scale), at(one.scale, one.height)
    canvas.line([foot, tip], theme.noise, 3.0)
    canvas.line([at(1), foot], theme.guided, 4.0)
    canvas.line([at(1), tip], theme.ink, 1.4, (4, 3))
    for place, pen in ((at(0), "u"), (at(1), "c"), (at(one.gamma), "G"), (tip, "D")):
        canvas.marker(place, PENS[pen].marker, getattr(theme, PENS[pen].colour), 10.0)
    _labels(canvas, one, at(0), at(1), at(one.gamma), foot, tip)


def _labels(canvas: Canvas, one: Push, u: Point, c: Point, plain: Point, foot: Point, tip: Point) -> None:
    theme = canvas.theme
    _centred(canvas, (u[0], u[1] - 24), "u", theme.uncond, 13)
    _centred(canvas, (c[0] - 12, c[1] - 24), "c", theme.cond, 13)
    words = f"plain guidance at {one.gamma:g}"
    canvas.text((plain[0] - extent(words, SMALL)[0] + 8, plain[1] - 26), words, SMALL, theme.guided)
    canvas.text((tip[0] + 10, tip[1] - 16), "D, what the rule made of it", SMALL, theme.rule)
    words = f"across: {one.across:.0%} of |D \u2212 c|\u00b2".replace("%", " %")
    canvas.text((foot[0] + 9, (foot[1] + tip[1]) / 2 - 3), words, SMALL, theme.noise)
    words = f"along: acts like {one.scale:.1f}"
    middle = max((c[0] + foot[0]) / 2, c[0] + extent(words, SMALL)[0] / 2)
    _centred(canvas, (middle, c[1] + 30), words, theme.guided)


def _centred(canvas: Canvas, at: Point, words: str, colour: str, size: float = SMALL) -> None:
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
    canvas = Canvas(960, 26 + rows * (PANEL[1] + GAP[1]) + 26, theme, unit=2.0)
    most = max(max(one.gamma, *filter(math.isfinite, one.scale)) for one in panels)
    for k, one in enumerate(panels):
        row, column = divmod(k, COLUMNS)
        frame = Box(46 + column * (PANEL[0] + GAP[0]), 44 + row * (PANEL[1] + GAP[1]), *PANEL)
        _panel(canvas, one, frame, most)
    _legend(canvas)
    return canvas


def _panel(canvas: Canvas, one: Panel, frame: Box, most: float) -> None:
    theme, last = canvas.theme, len(one.scale) - 1
    at = lambda step, value: (  # noqa: E731
        frame.x + frame.w * step / last,
        frame.bottom - frame.h * min(max(value, 0.0), most) / most,
    )
    canvas.text((frame.x, frame.y - 26), one.title, TITLE, bold=True, halo=False)
    for value in range(0, int(most) + 1, 2):
        y = at(0, value)[1]
        canvas.line([(frame.x, y), (frame.right, y)], theme.hair, 0.5)
        canvas.text((frame.x - 8 - extent(f"{value}", SMALL)[0], y - 7), f"{value}", SMALL, theme.muted, halo=False)
    canvas.line([at(0, one.gamma), at(last, one.gamma)], theme.ink, 1.4, (5, 4))
    known = [i for i, value in enumerate(one.scale) if math.isfinite(value)]
    edge = [at(i, one.low[i]) for i in known] + [at(i, one.high[i]) for i in reversed(known)]
    canvas.polygon(edge, theme.guided, alpha=0.22)
    canvas.line([at(i, one.scale[i]) for i in known], theme.guided, 2.2)
    strip = Box(frame.x, frame.bottom + 10, frame.w, BAND)
    canvas.line([(strip.x, strip.bottom), (strip.right, strip.bottom)], theme.hair, 0.8)
    shares = [(i, one.across[i]) for i in known if math.isfinite(one.across[i])]
    top = [(at(i, 0)[0], strip.bottom - strip.h * share) for i, share in shares]
    canvas.polygon([(top[0][0], strip.bottom), *top, (top[-1][0], strip.bottom)], theme.noise, alpha=0.75)
    for words, x in (("1", strip.x), (f"{last + 1}", strip.right - extent(f"{last + 1}", SMALL)[0])):
        canvas.text((x, strip.bottom + 5), words, SMALL, theme.muted, halo=False)


def _legend(canvas: Canvas) -> None:
    theme, x, y = canvas.theme, 46.0, canvas.height - 28
    for words, colour, dash in (
        ("effective scale: median sample, and 10 to 90 %", theme.guided, None),
        ("cfg", theme.ink, (5, 4)),
        ("share across, 0 to 100 %", theme.noise, None),
    ):
        canvas.line([(x, y + 7), (x + 28, y + 7)], colour, 2.4, dash)
        x = canvas.text((x + 36, y), words, SMALL, halo=False).right + 30
    words = "step"
    canvas.text((canvas.width - 20 - extent(words, SMALL)[0], y), words, SMALL, theme.muted, halo=False)
