"""What is said of skipped passes: a section of docs/rules.md and its figure, from the numbers in docs/economy.json.

`python lab economy --page` measures and writes; `python lab economy_page` sets the stored numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ...dev.places import ROOT
from ...figures.canvas import Box, Canvas, extent
from ...figures.caption import HEADING as LARGE
from ...figures.layout import Placer
from ...figures.palette import THEMES, Theme
from ...figures.step_curves import TITLE
from ...figures.typeset import SMALL
from .. import markdown
from .economy_rows import FAMILIES, FULL, PRESET, PROBE, Row
from .pictures import write_pixels
from .plots import Axes

NUMBERS, PAGE = ROOT / "docs" / "economy.json", ROOT / "docs" / "rules.md"
HEADING = "What skipped passes cost"
FIGURE = ROOT / "docs" / "figures" / "economy.webp"
POINTS, SHARE = 0.01, 0.05  # what a chain may lose: accuracy in points, Frechet distance as a share
SIZE = (960, 400)
FRAMES = (Box(76, 86, 380, 250), Box(548, 86, 380, 250))
WITHIN = {"accuracy": "within 1 point of plain CFG", "frechet": "within 5 % of plain CFG"}
UP = {"accuracy": (0.94, 0.96, 0.98, 1.0), "frechet": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)}  # at the axes
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the passes, at the axis
SURE = 1.96  # standard deviations of a 95 % interval


class Look(NamedTuple):
    """How a family is drawn: its colour's name in the theme, its marker, and its words beside it."""

    colour: str
    marker: str
    words: str


LOOKS = {
    "full": Look("ink", "disc", "plain CFG"),
    "interval": Look("cond", "square", "interval"),
    "line": Look("guided", "diamond", "reuse, line"),
    "hold": Look("noise", "circle", "reuse, hold"),
    "stop": Look("uncond", "triangle", "adaptive stop"),
    "preset": Look("rule", "square", "preset faster"),
    "both": Look("rule", "circle", "two together"),
}

CURVES = ("interval", "line", "hold", "stop")  # families with one knob


def draw_economy(rows: Sequence[Row], theme: Theme = THEMES["light"]) -> Canvas:
    """Accuracy and Frechet distance against the share of passes; the band is what full CFG gives, with its tolerance.

    The adaptive stop stands at what single samples cost, since a batch waits for its last item.
    """
    canvas, full = Canvas(*SIZE, theme, unit=2.0), named(rows, FULL)
    heading = f"What skipped passes cost: Pocket, \u03b3 {full.gamma:g}, {full.samples:,} samples a point"
    canvas.text((20, 12), heading, LARGE, bold=True, halo=False)
    titles = ("the judge recognises, with 95 % intervals", "Fr\u00e9chet distance to real pictures: low is near")
    for frame, title, (field, up), words in zip(FRAMES, titles, UP.items(), ("{:.0%}", "{:.1f}"), strict=True):
        canvas.text((frame.x - 56, frame.y - 36), title, TITLE, halo=False)
        panel(canvas, Axes(frame, SHARES, up), rows, field, words, band(getattr(full, field), field))
    return canvas


def interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of so many."""
    weight = SURE**2 / count
    middle, half = share + weight / 2, SURE * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return (middle - half) / (1 + weight), (middle + half) / (1 + weight)


def band(value: float, field: str) -> tuple[float, float]:
    """What counts as the quality of full CFG."""
    margin = POINTS if field == "accuracy" else SHARE * value
    return value - margin, value + margin


def panel(canvas: Canvas, axes: Axes, rows: Sequence[Row], field: str, words: str, near: tuple[float, float]) -> None:
    """One quantity against the passes.  words: how its numbers are written. near: the band about full CFG."""
    at, frame = axes.at, axes.frame
    bottom, top = (at(1.0, value)[1] for value in near)
    canvas.rectangle(Box(frame.x, top, frame.w, bottom - top), canvas.theme.cond, alpha=0.10)
    axes.draw(canvas, "{:.0%}", words, "share of the passes of plain CFG")
    placer = Placer(frame)
    for family, look in LOOKS.items():
        colour = getattr(canvas.theme, look.colour)
        shown = sorted(members(rows, family), key=lambda row: -row.alone)
        points = [at(row.alone, getattr(row, field)) for row in shown]
        if family in CURVES and points:
            canvas.line([at(1.0, getattr(named(rows, FULL), field)), *points], colour, 1.4, alpha=0.6)
        for row, point in zip(shown, points, strict=True):
            if field == "accuracy":
                ends = [at(row.alone, value) for value in interval(row.accuracy, row.samples)]
                canvas.line(ends, colour, 1.6)
                placer.lines.append((ends[0], ends[1]))
            canvas.marker(point, look.marker, colour, 10.0 if family == "preset" else 7.5)
            placer.obstacles.append(Box(point[0] - 7, point[1] - 7, 14, 14))
    placer.lines += [(at(1.0, value), at(0.5, value)) for value in near]
    _set_names(canvas, placer, [(look, members(rows, family)) for family, look in LOOKS.items()], at, field)
    w, up, down = extent(WITHIN[field], SMALL)
    box = placer.anywhere((frame.right, bottom + 4), (w, up + down), frame)
    canvas.text((box.x, box.y), WITHIN[field], SMALL, canvas.theme.cond)


def _set_names(canvas: Canvas, placer: Placer, named: Sequence[tuple[Look, list[Row]]], at: Callable, field: str):
    """The name of every family beside its cheapest chain."""
    for look, own in named:
        if own:
            cheapest = min(own, key=lambda row: row.alone)
            w, up, down = extent(look.words, SMALL)
            box = placer.near(at(cheapest.alone, getattr(cheapest, field)), (w, up + down), "sw s se n nw ne w e")
            canvas.text((box.x, box.y), look.words, SMALL, getattr(canvas.theme, look.colour))


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


def words(rows: Sequence[Row]) -> str:
    """The whole section, below its heading."""
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
    """The section and its figure."""
    write_pixels(FIGURE, draw_economy(rows).png())
    markdown.put_section(PAGE, HEADING, words(rows))


def main() -> None:
    """Set the stored numbers into the page and the figure."""
    write([Row(**row) for row in json.loads(NUMBERS.read_text(encoding="utf-8"))])


if __name__ == "__main__":
    main()
