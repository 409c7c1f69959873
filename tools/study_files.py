"""What a study leaves beside its cells: the page, the sheet and the tables.

One picture at a time is in memory, and every file is written whole or not at all.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from ..figures.contact_sheet import contact_sheet
from ..studies.addresses import local, write_whole
from ..studies.axes import Axis
from ..studies.cells import Cell
from ..studies.measures import spread_of
from ..studies.page import diverse, study_page
from ..studies.pictures import open_picture
from ..studies.plan import Plan
from ..studies.report import report_text
from ..studies.results import DIGESTS, Folder, Row, csv_of
from ..studies.runs import records_of
from ..trace.file import load
from ..trace.portable import ascii_json
from ..trace.trace import Trace

REPORT = "report.txt"
SHEET_SIDE, SHEET_COLUMNS, SHEET_ROWS = 192, 16, 32


class Pictures(Mapping[str, bytes]):
    """The pictures of cells, each read when it is asked for; one that has to travel does so once, to `near`."""

    def __init__(self, folder: Folder, cells: Sequence[str], near: Path):
        self.folder, self.cells, self.near = folder, dict.fromkeys(cells), near

    def __getitem__(self, cell: str) -> bytes:
        if cell not in self.cells:
            raise KeyError(cell)
        far = self.folder.picture_of(cell)
        if isinstance(far, Path):
            return far.read_bytes()
        copy = self.near / cell
        if not copy.exists():
            copy.write_bytes(far.read_bytes())
        return copy.read_bytes()

    def __contains__(self, cell: object) -> bool:
        return cell in self.cells

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)


@contextmanager
def pictures_of(folder: Folder, rows: Sequence[Row]) -> Iterator[Pictures]:
    """The pictures of these rows."""
    with tempfile.TemporaryDirectory(prefix="study-") as near:
        yield Pictures(folder, [row["id"] for row in rows], Path(near))


def written(folder: Folder, plan: Plan, cells: Sequence[Cell], title: str, note: str) -> list[Row]:
    """Write the page, the report, the sheet and the tables of what is done; returns the rows, one for every place."""
    folder.tidy()
    told_aside(folder, cells)
    found = zip(cells, folder.measured_rows(cells, plan.measures), strict=True)
    rows = [{**row, "place": dict(place)} for cell, row in found if row for place in (cell.place, *cell.also)]
    for row in rows:
        row.pop(DIGESTS, None)
    with pictures_of(folder, rows) as pictures:
        rows = diverse(rows, pictures)
        summary = report_text(rows, plan.varied)
        runs = records_of(list(pictures), lambda cell: trace_at(folder, cell))
        _write(folder, REPORT, summary)
        _write(folder, "results.csv", csv_of(rows))
        _write(folder, "results.json", ascii_json({"plan": plan.as_mapping(), "rows": rows}))
        _write(folder, "index.html", study_page(title, plan.varied, cells, rows, pictures, note, summary, runs))
        if rows:
            sink = BytesIO()
            sheet(plan, rows, pictures, title, note).save(sink, "PNG")
            write_whole(folder.path / "sheet.png", [sink.getvalue()])
    return rows


def told_aside(folder: Folder, cells: Sequence[Cell]) -> None:
    """Set aside what cannot be used, and say what and why: it runs again with the next command."""
    places = {cell.id: cell.place for cell in cells}
    for cell, fault in folder.set_aside(cells).items():
        place = " ".join(f"{name}={value}" for name, value in places[cell].items())
        print(f"set aside: {place}: {fault}", file=sys.stderr)


def trace_at(folder: Folder, cell: str) -> Trace:
    """The trace of a cell that is done."""
    with local(folder.trace_of(cell)) as file:
        return load(file)


def _write(folder: Folder, name: str, text: str) -> None:
    write_whole(folder.path / name, [text.encode()])


def sheet(plan: Plan, rows: Sequence[Row], pictures: Mapping[str, bytes], title: str, note: str):
    """The contact sheet: a column for each value of the first axis, a row for each place on the others."""
    first, *others = plan.varied
    lines = list(dict.fromkeys(_line(row, others) for row in rows))[:SHEET_ROWS]
    found = {(row["place"][first.name], _line(row, others)): row for row in rows}
    there = [value for value in first.values if any(row["place"][first.name] == value for row in rows)]
    columns = []
    for value in there[:SHEET_COLUMNS]:
        own = [found.get((value, line)) for line in lines]
        columns.append(
            (
                f"{first.name} {value}" if not isinstance(value, str) else value,
                [_picture(pictures[row["id"]]) if row else None for row in own],
                caption([row for row in rows if row["place"][first.name] == value]),
            )
        )
    shapes = [shown.shape for _, column, _ in columns for shown in column if shown is not None]
    height, width = (max(shape[side] for shape in shapes) for side in (0, 1))
    columns = [
        (head, torch.stack([_framed(shown, height, width) for shown in column]), words)
        for head, column, words in columns
    ]
    scale = max(1, 128 // max(height, width))
    return contact_sheet(columns, title=title, scale=scale, rows=lines if any(lines) else (), note=note)


def caption(rows: Sequence[Row]) -> str:
    """What was found in a column of the sheet, on the average, for the foot of it."""
    words = {"judge": "judge {:.2f}", "saturation": "{:.1%} saturated"}
    found = {name: spread_of([row["measures"].get(name) for row in rows]).mean for name in words}
    return "\n".join(words[name].format(mean) for name, mean in found.items() if math.isfinite(mean))


def _line(row: Row, others: Sequence[Axis]) -> str:
    values = ((axis.name, row["place"][axis.name]) for axis in others if len(axis.values) > 1)
    return " \u00b7 ".join(value if isinstance(value, str) else f"{name} {value}" for name, value in values)


def _framed(picture: torch.Tensor | None, height: int, width: int) -> torch.Tensor:  # -> [height, width, 3]
    """A picture in the middle of white; white alone for none.  An axis may be of the size of the pictures."""
    frame = torch.ones(height, width, 3)
    if picture is not None:
        top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
        frame[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return frame


def _picture(data: bytes) -> torch.Tensor:  # -> [H, W, 3] in 0 .. 1
    return torch.from_numpy(np.asarray(open_picture(data, SHEET_SIDE)).copy()).float() / 255
