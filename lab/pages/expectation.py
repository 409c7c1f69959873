"""Predictions as averages: what the network answers at every noise level, beside the mean of the pictures it saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...figures.canvas import Box, Canvas, extent
from ...figures.caption import Caption, caption_box, set_caption
from ...figures.labels import SYMBOL
from ...figures.palette import THEMES
from ...figures.typeset import SMALL

WIDTH = 960
NAMES, TOP, GAP = 148.0, 46.0, 8.0  # width of the names, first row's top, gap between the pictures
SIDE = 96.0  # of a picture at most
ROOM = 26.0  # under a picture, for its number


@dataclass(frozen=True)
class Shown:
    """One row: its symbol and name, a picture [H, W, 3] a column (None is blank), and a number under each."""

    symbol: str
    name: str
    role: str
    pictures: Sequence[np.ndarray | None]
    below: Sequence[str]


def draw_expectation(heads: Sequence[str], rows: Sequence[Shown], caption: Caption, theme: str = "light") -> Canvas:
    """Rows of predictions over the noise levels; the first column is what they start from."""
    left, width = 20.0, WIDTH - 40.0
    side = min((width - NAMES + GAP) / len(heads) - GAP, SIDE)
    box = caption_box(Box(left, TOP + len(rows) * (side + ROOM + GAP), width, 0), caption)
    canvas = Canvas(WIDTH, round(box.y + 2 * box.h + 14), THEMES[theme])
    for k, head in enumerate(heads):
        x = left + NAMES + k * (side + GAP)
        _centre_text(canvas, head, x + side / 2, TOP - 27, canvas.theme.ink)
    for row, shown in enumerate(rows):
        _row(canvas, shown, (left, TOP + row * (side + ROOM + GAP)), side)
    set_caption(canvas, replace(box, y=canvas.height - box.h - 12), caption)
    return canvas


def _row(canvas: Canvas, shown: Shown, at: tuple[float, float], side: float):
    x, y = at
    colour = {"u": canvas.theme.uncond, "c": canvas.theme.cond}.get(shown.role, canvas.theme.ink)
    canvas.text((x, y + side / 2 - 34), shown.symbol, SYMBOL, colour, halo=False)
    for k, line in enumerate(shown.name.split("\n")):
        canvas.text((x, y + side / 2 + 2 + 20 * k), line, SMALL, canvas.theme.muted, halo=False)
    for k, (picture, words) in enumerate(zip(shown.pictures, shown.below, strict=True)):
        left = x + NAMES + k * (side + GAP)
        if picture is not None:
            frame = canvas.theme.ink if k == 0 else colour
            canvas.picture(picture, Box(left, y, side, side), frame, name=f"{shown.role}-{k}")
        _centre_text(canvas, words, left + side / 2, y + side + 5, canvas.theme.muted)


def _centre_text(canvas: Canvas, words: str, x: float, y: float, colour: str):
    if words:
        canvas.text((x - extent(words, SMALL)[0] / 2, y), words, SMALL, colour, halo=False)
