"""The contact sheet of a sweep: its pictures, labelled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..figures.contact_sheet import contact_sheet
from .axes import Value
from .measures import spread_of
from .results import Row

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS, ROWS = 16, 32
WORDS = {"judge": "judge {:.2f}", "saturation": "{:.1%} saturated"}  # of measures, below a column
MORE = " {} more runs are not on this sheet."


def sheet(
    axes: Sequence[str],
    rows: Sequence[Row],
    picture_of: Callable[[str], Tensor],
    title: str,
    note: str,
    words: Mapping[str, str] = WORDS,
    least: int = 128,
) -> Image:
    """A column for each value of the first axis, a row for each place on the others.

    picture_of: a cell's, [H, W, 3] in 0 .. 1. words: what is said of a column. least: pixels of a side of a picture.
    """
    first, *others = axes
    columns: dict[Value, dict[str, Row]] = {}
    for row in rows:
        columns.setdefault(row["place"][first], {})[_line(row, others)] = row
    lines = list(dict.fromkeys(_line(row, others) for row in rows))[:ROWS]
    shown = [
        (_axis_text(first, value), [cells.get(line) for line in lines], caption([*cells.values()], words))
        for value, cells in list(columns.items())[:COLUMNS]
    ]
    pictures = [[picture_of(row["id"]) if row else None for row in column] for _, column, _ in shown]
    there = [picture for column in pictures for picture in column if picture is not None]
    height, width = (max(picture.shape[side] for picture in there) for side in (0, 1))
    framed = [torch.stack([_frame(picture, height, width) for picture in column]) for column in pictures]
    drawn = [(head, column, foot) for (head, _, foot), column in zip(shown, framed, strict=True)]
    left_out = sum(map(len, columns.values())) - len(there)
    note += MORE.format(left_out) if left_out else ""
    scale = max(1, least // max(height, width))
    return contact_sheet(drawn, title=title, scale=scale, rows=lines if any(lines) else (), note=note)


def caption(rows: Sequence[Row], words: Mapping[str, str] = WORDS) -> str:
    """What was found in a column of the sheet, on the average, for the foot of it."""
    means = {name: spread_of([row["measures"].get(name) for row in rows]).mean for name in words}
    return "\n".join(words[name].format(mean) for name, mean in means.items() if math.isfinite(mean))


def _line(row: Row, others: Sequence[str]) -> str:
    return " \u00b7 ".join(_axis_text(name, row["place"][name]) for name in others)


def _axis_text(name: str, value: Value) -> str:
    return (
        value if isinstance(value, str) else f"{name} {value:.12g}" if isinstance(value, float) else f"{name} {value}"
    )


def _frame(picture: Tensor | None, height: int, width: int) -> Tensor:  # -> [height, width, 3]
    """A picture in the middle of white; white alone for none.  An axis may be of the size of the pictures."""
    frame = torch.ones(height, width, 3)
    if picture is not None:
        top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
        frame[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return frame
