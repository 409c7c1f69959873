"""Small blocks of text: rows of runs on one baseline, with a picture beside or above; words at the axes of plots."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .canvas import Box, Canvas, Point, extent

SMALL = 16.0  # size of the smallest words: a sheet is read at half its size, too
LEADING = 4.0
SPACE = 5.0
BESIDE = 9.0
_GAPS = re.compile("(?<![=\u00d7\u2192]) (?![=%\u2192])")  # an equation, a multiple and a percentage stay on one line


@dataclass(frozen=True)
class Run:
    """Words in one size and colour. column: least width, so that runs of several rows stand below each other."""

    words: str
    size: float
    colour: str
    bold: bool = False
    column: float = 0.0


Row = tuple[Run, ...]


@dataclass(frozen=True)
class Block:
    """Rows of runs; picture [H, W, 3] in 0..1, whose longer side is `side`, stands left of them, or above."""

    rows: tuple[Row, ...]
    picture: np.ndarray | None = None
    side: float = 0.0
    frame: str = ""
    above: bool = False

    @property
    def picture_size(self) -> tuple[float, float]:
        """Width and height of the picture."""
        if self.picture is None:
            return (0.0, 0.0)
        height, width = self.picture.shape[:2]
        box = Box(0, 0, self.side, self.side).middle(width, height)
        return (box.w, box.h)

    @property
    def shift(self) -> Point:
        """From the block's corner to the corner of its words, along the side where the picture stands."""
        if self.picture is None:
            return (0.0, 0.0)
        w, h = self.picture_size
        return (0.0, h + 4) if self.above else (w + BESIDE, 0.0)


def words_size(rows: tuple[Row, ...]) -> tuple[float, float]:
    """Width and height of the rows."""
    measured = [_row_extent(row) for row in rows]
    return max(w for w, _, _ in measured), sum(up + down for _, up, down in measured) + LEADING * (len(rows) - 1)


def block_size(block: Block) -> tuple[float, float]:
    """Width and height of a block, its picture included."""
    (w, h), (dx, dy), (wide, high) = words_size(block.rows), block.shift, block.picture_size
    return max(w + dx, wide), max(h + dy, high)


def set_block(canvas: Canvas, block: Block, at: Point, name: str | None = None) -> Box:
    """Draw a block with its left upper corner at `at`; words and a picture beside them are centred on each other."""
    size, (dx, dy), (wide, high) = block_size(block), block.shift, block.picture_size
    if block.picture is not None:
        lower = 0.0 if block.above else (size[1] - high) / 2
        box = Box(at[0], at[1] + lower, wide, high)
        canvas.picture(block.picture, box, block.frame, name=name and f"{name}-picture")
    top = at[1] + dy if block.above else at[1] + (size[1] - words_size(block.rows)[1]) / 2
    set_rows(canvas, block.rows, (at[0] + dx, top), name)
    return Box(*at, *size)


def set_rows(canvas: Canvas, rows: tuple[Row, ...], at: Point, name: str | None = None, halo: bool = True) -> float:
    """Draw rows below each other; returns the y below the last one. halo: off where nothing lies behind them."""
    y = at[1]
    for row in rows:
        _, up, down = _row_extent(row)
        x = at[0]
        for run in row:
            w, ascent, _ = extent(run.words, run.size, run.bold)
            if run.words:
                canvas.text((x, y + up - ascent), run.words, run.size, run.colour, bold=run.bold, halo=halo, name=name)
            x, name = x + max(w + SPACE, run.column), None
        y += up + down + LEADING
    return y - LEADING


def set_lines(canvas: Canvas, at: Point, lines: Sequence[str], share: float):
    """Small words below each other, muted. share: of each line's width that lies left of `at`."""
    for k, words in enumerate(lines):
        place = (at[0] - share * extent(words, SMALL)[0], at[1] + 20 * k)
        canvas.text(place, words, SMALL, canvas.theme.muted, halo=False)


def set_level(canvas: Canvas, box: Box, y: float, words: str, gap: float):
    """A hairline across a plot, with its number left of it."""
    canvas.line([(box.x, y), (box.right, y)], canvas.theme.hair, 0.8)
    _, up, down = extent(words, SMALL)
    set_lines(canvas, (box.x - gap, y - (up + down) / 2), [words], 1.0)


def cut(words: str, width: float, measure: Callable[[str], float]) -> str:
    """Words no wider than `width`, with an ellipsis where not all of them are.  measure: the width of some words."""
    if measure(words) <= width:
        return words
    letters = bisect_right(range(len(words)), width, key=lambda count: measure(f"{words[:count]}\u2026")) - 1
    return f"{words[: max(letters, 0)].rstrip()}\u2026"


def few_lines(words: str, size: float, width: float, most: int) -> list[str]:
    """At most so many lines no wider than `width`: the last one is cut where there are more."""
    lines = list(wrap_lines(words, size, width))
    last = cut(" ".join(lines[most - 1 :]), width, lambda some: extent(some, size)[0])
    return [*lines[: most - 1], last] if len(lines) > most else lines


def wrap_lines(words: str, size: float, width: float) -> Iterator[str]:
    """Lines no wider than `width`, broken at spaces outside of equations; a word that is wider is cut."""
    return fill_lines(words, width, lambda some: extent(some, size)[0])


def fill_lines(words: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    """Lines no wider than `width`, broken at spaces outside of equations.  measure: the width of some words."""
    space = measure("n n") - 2 * measure("n")
    line, taken = [], 0.0
    for word in (cut(word, width, measure) for word in _GAPS.split(words)):
        more = measure(word) + space
        if line and taken + more - space > width:
            yield " ".join(line)
            line, taken = [], 0.0
        line.append(word)
        taken += more
    if any(line):
        yield " ".join(line)


def _row_extent(row: Row) -> tuple[float, float, float]:
    measured = [extent(run.words, run.size, run.bold) for run in row]
    wide = sum(max(w + SPACE, run.column) for (w, _, _), run in zip(measured, row, strict=True)) - SPACE
    return wide, max(up for _, up, _ in measured), max(down for _, _, down in measured)
