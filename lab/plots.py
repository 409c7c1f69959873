"""What plots of the laboratory share: axes with their numbers, and a legend in rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..figures.canvas import Box, Canvas, Point, extent
from ..figures.typeset import SMALL, set_level, set_lines


@dataclass(frozen=True)
class Axes:
    """A plot.  marks: of both axes, from the least to the most. log: whether x counts by factors."""

    frame: Box
    across: Sequence[float]
    up: Sequence[float]
    log: bool = False

    def at(self, x: float, y: float) -> Point:
        """Pixel of a point; what lies outside is drawn at the edge."""
        low, high = self.across[0], self.across[-1]
        share = math.log(x / low) / math.log(high / low) if self.log else (x - low) / (high - low)
        rise = (y - self.up[0]) / (self.up[-1] - self.up[0])
        right, above = (min(max(one, 0.0), 1.0) for one in (share, rise))
        return self.frame.x + self.frame.w * right, self.frame.bottom - self.frame.h * above

    def draw(self, canvas: Canvas, across: str, up: str, below: str) -> None:
        """Lines and numbers.  across, up: the format of the numbers. below: what the plot counts to the right"""
        frame = self.frame
        for value in self.up:
            set_level(canvas, frame, self.at(self.across[0], value)[1], up.format(value).replace("%", " %"), 8)
        for value in self.across:
            x = self.at(value, self.up[0])[0]
            canvas.line([(x, frame.bottom), (x, frame.bottom + 4)], canvas.theme.hair, 1.0)
            set_lines(canvas, (x, frame.bottom + 8), [across.format(value).replace("%", " %")], 0.5)
        set_lines(canvas, (frame.right, frame.bottom + 28), [below], 1.0)


@dataclass(frozen=True)
class Key:
    """A word of a legend, beside a piece of its line or its marker."""

    words: str
    colour: str
    dash: tuple[float, ...] | None = None
    marker: str = ""


def draw_legend(canvas: Canvas, left: float, top: float, keys: Sequence[Key]) -> None:
    """All keys in rows, as many as fit between equal margins."""
    x, y = left, top
    for key in keys:
        if x + extent(key.words, SMALL)[0] + 34 > canvas.width - left:
            x, y = left, y + 26
        if key.marker:
            canvas.marker((x + 20, y + 10), key.marker, key.colour, 8.0)
        else:
            canvas.line([(x, y + 10), (x + 26, y + 10)], key.colour, 2.2, key.dash)
        x = canvas.text((x + 32, y), key.words, SMALL, halo=False).right + 22
