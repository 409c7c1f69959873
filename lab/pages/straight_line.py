"""The end of a run over the guidance scale: the straight line that one run predicts, and what runs really give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...figures.canvas import Box, Canvas, extent
from ...figures.caption import Caption, caption_box, set_caption
from ...figures.palette import THEMES
from ...figures.strips import Line, set_grid
from ...figures.typeset import SMALL, set_level
from ...figures.words import number

WIDTH, HEIGHT = 960, 420
PLOT = Box(58, 48, 324, 234)
GRID = Box(414, 14, 526, 300)


@dataclass(frozen=True)
class Ends:
    """Lengths of the change of the end from gamma 0 on, rms, and its pictures, the one at gamma 0 first."""

    gammas: Sequence[float]
    predicted: Sequence[float]
    measured: Sequence[float]
    lines: Sequence[np.ndarray]
    runs: Sequence[np.ndarray]


def draw_ends(ends: Ends, caption: Caption, theme: str = "light") -> Canvas:
    """Both changes over gamma, and one sample's pictures."""
    canvas = Canvas(WIDTH, HEIGHT, THEMES[theme])
    _plot(canvas, ends)
    heads = [f"\u03b3 = {number(gamma)}" for gamma in (0.0, *ends.gammas)]
    muted, guided = canvas.theme.muted, canvas.theme.guided
    set_grid(
        canvas, GRID, heads, [Line("", "straight line", muted, ends.lines), Line("", "run again", guided, ends.runs)]
    )
    set_caption(canvas, caption_box(Box(20, 0, WIDTH - 40, HEIGHT - 12), caption), caption)
    return canvas


def _plot(canvas: Canvas, ends: Ends):
    theme, most = canvas.theme, float(max(ends.gammas))
    high = float(np.ceil(max(*ends.predicted, *ends.measured)))

    def at(gamma: float, value: float) -> tuple[float, float]:
        return PLOT.x + PLOT.w * gamma / most, PLOT.bottom - PLOT.h * value / high

    for value in np.linspace(0, high, 6):
        set_level(canvas, PLOT, at(0, value)[1], number(float(value)), 10)
    for gamma in (0.0, *ends.gammas):
        words = number(gamma)
        canvas.text((at(gamma, 0)[0] - extent(words, SMALL)[0] / 2, PLOT.bottom + 9), words, SMALL, theme.muted)
    _curve(canvas, [at(0, 0), *map(at, ends.gammas, ends.predicted)], theme.muted, "predicted", (6, 4))
    _curve(canvas, [at(0, 0), *map(at, ends.gammas, ends.measured)], theme.guided, "measured")
    canvas.text((PLOT.x - 36, PLOT.y - 34), "change of the end from \u03b3 = 0, rms", SMALL, theme.ink, halo=False)
    canvas.text((PLOT.right + 10, PLOT.bottom + 7), "\u03b3", SMALL, theme.ink, halo=False)
    _label(canvas, at(5.2, high * 5.2 / most), "straight line", theme.muted, (-118, -8))
    _label(canvas, at(5.0, np.interp(5.0, ends.gammas, ends.measured)), "run again", theme.guided, (0, -30))


def _curve(canvas: Canvas, places: list, colour: str, name: str, dash=None):
    canvas.line(places, colour, 2.2, dash, name=name)
    for k, place in enumerate(places):
        canvas.marker(place, "disc", colour, 5.0, name=f"{name}-{k}")


def _label(canvas: Canvas, at: tuple[float, float], words: str, colour: str, shift: tuple[float, float]):
    canvas.text((at[0] + shift[0], at[1] + shift[1]), words, SMALL, colour)
