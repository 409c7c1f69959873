"""The page about skipped passes: docs/economy.md and its figure, from the numbers in docs/economy.json.

`python lab economy --page` measures and writes; `python lab economy_page` sets the stored numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...dev.places import ROOT
from ...figures.canvas import Box, Canvas
from ...figures.palette import THEMES, Theme
from .. import markdown
from .economy_rows import FAMILIES, FULL, PRESET, PROBE, Row
from .pictures import write_pixels
from .plots import Axes, Key, draw_legend

NUMBERS, PAGE = ROOT / "docs" / "economy.json", ROOT / "docs" / "economy.md"
FIGURE = ROOT / "docs" / "figures" / "economy.webp"
POINTS, SHARE = 0.01, 0.05  # what a chain may lose: accuracy in points, Frechet distance as a share
SIZE = (960, 420)
FRAMES = (Box(86, 84, 372, 250), Box(560, 84, 372, 250))
WITHIN = {"accuracy": "within 1 point of full CFG", "frechet": "within 5 % of full CFG"}
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the passes, at the axis


class Look(NamedTuple):
    """How a family is drawn: its colour's name in the theme, its marker, and its words in the legend."""

    colour: str
    marker: str
    words: str


LOOKS = {
    "full": Look("ink", "disc", "full CFG"),
    "interval": Look("cond", "square", "interval"),
    "line": Look("guided", "diamond", "reuse (line)"),
    "hold": Look("noise", "circle", "reuse (hold)"),
    "stop": Look("uncond", "triangle", "adaptive stop"),
    "preset": Look("rule", "square", "preset: faster"),
    "both": Look("rule", "circle", "two together"),
}

CURVES = ("interval", "line", "hold", "stop")  # families with one knob


def draw_economy(rows: Sequence[Row], theme: Theme = THEMES["light"]) -> Canvas:
    """Accuracy and Frechet distance against the share of passes; the band is what full CFG gives, with its tolerance.

    The adaptive stop stands at what single samples cost, since a batch waits for its last item.
    """
    canvas, full = Canvas(*SIZE, theme, unit=2.0), named(rows, FULL)
    title = f"What skipped passes cost: Pocket, gamma {full.gamma:g}, {full.samples:,} samples a point"
    canvas.text((FRAMES[0].x - 58, 16), title, 15, bold=True)
    shown = [row for family in FAMILIES for row in members(rows, family)]
    bands = {field: band(getattr(full, field), field) for field in ("accuracy", "frechet")}
    for frame, (field, near), every, words in zip(
        FRAMES, bands.items(), (0.01, 0.04), ("{:.0%}", "{:.2f}"), strict=True
    ):
        values = [*near, *(getattr(row, field) for row in shown)]
        steps = range(math.floor(min(values) / every), math.ceil(max(values) / every) + 1)
        panel(canvas, Axes(frame, SHARES, [every * step for step in steps]), rows, field, words, near)
    canvas.text((FRAMES[0].x, 56), "the judge recognises", 12.5, bold=True)
    canvas.text((FRAMES[1].x, 56), "Frechet distance to real pictures (lower is nearer)", 12.5, bold=True)
    looks = [LOOKS[family] for family in FAMILIES if members(rows, family)]
    keys = [Key(look.words, getattr(theme, look.colour), marker=look.marker) for look in looks]
    draw_legend(canvas, FRAMES[0].x - 58, SIZE[1] - 32, keys)
    return canvas


def band(value: float, field: str) -> tuple[float, float]:
    """What counts as the quality of full CFG."""
    margin = POINTS if field == "accuracy" else SHARE * value
    return value - margin, value + margin


def panel(canvas: Canvas, axes: Axes, rows: Sequence[Row], field: str, words: str, near: tuple[float, float]) -> None:
    """One quantity against the passes.  words: how its numbers are written. near: the band about full CFG."""
    at, frame = axes.at, axes.frame
    bottom, top = (at(1.0, value)[1] for value in near)
    canvas.rectangle(Box(frame.x, top, frame.w, bottom - top), canvas.theme.cond, alpha=0.10)
    canvas.text((frame.x + 8, top + 5), WITHIN[field], 11, canvas.theme.cond, halo=False)
    axes.draw(canvas, "{:.0%}", words, "passes, of those of full CFG")
    for family, look in LOOKS.items():
        colour = getattr(canvas.theme, look.colour)
        shown = sorted(members(rows, family), key=lambda row: -row.alone)
        points = [at(row.alone, getattr(row, field)) for row in shown]
        if family in CURVES and points:
            canvas.line([at(1.0, getattr(named(rows, FULL), field)), *points], colour, 1.4, alpha=0.6)
        for point in points:
            canvas.marker(point, look.marker, colour, 10.0 if family == "preset" else 7.5)


def members(rows: Sequence[Row], family: str) -> list[Row]:
    """The rows of a family on all samples."""
    return [row for row in rows if row.chain in FAMILIES[family] and row.samples == rows[0].samples]


def named(rows: Sequence[Row], chain: str) -> Row:
    """The row of a chain."""
    return next(row for row in rows if row.chain == chain)


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    head = "chain | passes | one sample alone | judge agrees | Frechet | class-wise Frechet | apart"
    return markdown.table(head, [cells(row) for row in rows])


def cells(row: Row) -> list[str]:
    """One row's numbers."""
    shares = [f"{row.passes:.1%}", f"{row.alone:.1%}", f"{row.accuracy:.2%}"]
    return [row.chain, *shares, f"{row.frechet:.3f}", f"{row.classwise:.3f}", f"{row.apart:.1%}"]


def verdict(rows: Sequence[Row], chain: str) -> str:
    """One chain against full CFG with the same noise, in words."""
    row, full = named(rows, chain), named(rows, FULL)
    points, share = 100 * (row.accuracy - full.accuracy), row.frechet / full.frechet - 1
    return f"{row.passes:.1%} of the passes, accuracy {points:+.2f} points, Frechet distance {share:+.1%}"


def page(rows: Sequence[Row]) -> str:
    """The whole page."""
    full = named(rows, FULL)
    return (
        Path(__file__)
        .with_suffix(".md")
        .read_text(encoding="utf-8")
        .format(
            figure=FIGURE.name,
            table=table([row for row in rows if row.samples == full.samples]),
            preset=PRESET,
            against_full=verdict(rows, PRESET),
            probe=PROBE,
            stops=table([row for row in rows if row.samples == PROBE]),
            gamma=full.gamma,
            samples=full.samples,
            seed=full.seed,
        )
    )


def write(rows: Sequence[Row]) -> None:
    """The page and its figure."""
    write_pixels(FIGURE, draw_economy(rows).png())
    markdown.write(PAGE, page(rows))


def main() -> None:
    """Set the stored numbers into page and figure."""
    write([Row(**row) for row in json.loads(NUMBERS.read_text(encoding="utf-8"))])


if __name__ == "__main__":
    main()
