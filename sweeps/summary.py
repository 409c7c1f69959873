"""What a study leaves beside its cells: the page, the sheet and the tables.

One picture at a time is in memory, and every file is written whole or not at all.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from ..trace.file import load
from ..trace.portable import ascii_json
from ..trace.trace import Trace
from . import page
from .addresses import local, write_whole
from .cells import Cell
from .curves import add_diversity
from .pictures import open_picture
from .plan import Plan
from .plane import plane_of_sweep
from .report import report_text
from .results import DIGESTS, ORIGIN, RESULTS, Folder, Row, csv_of
from .runs import records_of
from .sheet import sheet

REPORT = "report.txt"
SHEET_SIDE = 192


class Pictures(Mapping[str, bytes]):
    """The pictures of cells, each read when it is asked for; one that has to travel does so once, to `near`."""

    def __init__(self, folder: Folder, cells: Sequence[str], near: Path):
        self.folder, self.cells, self.near = folder, dict.fromkeys(cells), near

    def __getitem__(self, cell: str) -> bytes:
        far = self.folder.picture_of(cell)
        if isinstance(far, Path):
            return far.read_bytes()
        copy = self.near / cell
        if not copy.exists():
            copy.write_bytes(far.read_bytes())
        return copy.read_bytes()

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)


@contextmanager
def pictures_of(folder: Folder, rows: Sequence[Row]) -> Iterator[Pictures]:
    """The pictures of these rows."""
    with tempfile.TemporaryDirectory(prefix="study-") as near:
        yield Pictures(folder, [row["id"] for row in rows], Path(near))


def write_summary(
    folder: Folder, plan: Plan, cells: Sequence[Cell], title: str, note: str, shown: Collection[str] = ()
) -> list[Row]:
    """Write the page, the report, the sheet and the tables of what is done; returns the rows, one for every place.

    shown: measures; all that the rows have where none is named.
    """
    folder.tidy()
    set_faulty_aside(folder, cells)
    read = zip(cells, folder.measured_rows(cells, plan.measures), strict=True)
    pairs = [(cell, {k: v for k, v in row.items() if k not in (DIGESTS, ORIGIN)}) for cell, row in read if row]
    rows = [{**row, "place": dict(place)} for cell, row in pairs for place in (cell.place, *cell.also)]
    for row in rows:
        row["measures"] = {n: value for n, value in row["measures"].items() if not shown or n in shown}
    with pictures_of(folder, rows) as pictures:

        def pixels_of(cell: str) -> torch.Tensor:
            return page.pixels_of(page.thumbnail(pictures[cell]))

        rows = add_diversity(rows, pixels_of)
        plane, why = plane_of_sweep(rows, plan.every_axis, lambda cell: trace_at(folder, cell), pixels_of)
        in_words = plane.text() if plane else why
        summary = "\n".join(filter(None, (report_text(rows, plan.every_axis), in_words)))
        runs = records_of(list(pictures), lambda cell: trace_at(folder, cell))
        _write(folder, REPORT, summary)
        _write(folder, "results.csv", csv_of(rows))
        _write(folder, RESULTS, ascii_json({"plan": plan.as_mapping(), "rows": rows}))
        study = page.study_page(title, plan.every_axis, cells, rows, pictures, note, summary, runs, plane)
        _write(folder, "index.html", study)
        if rows:
            sink = BytesIO()
            varied = [axis.name for i, axis in enumerate(plan.every_axis) if not i or len(axis.values) > 1]
            sheet(varied, rows, lambda cell: _picture(pictures[cell]), title, note).save(sink, "PNG")
            write_whole(folder.path / "sheet.png", [sink.getvalue()])
    return rows


def set_faulty_aside(folder: Folder, cells: Sequence[Cell]) -> None:
    """Set aside what cannot be used, and say what and why: it runs again with the next command."""
    places = {cell.id: cell.place for cell in cells}
    for cell, fault in folder.set_aside(cells).items():
        place = " ".join(f"{name}={value}" for name, value in places[cell].items())
        sys.stderr.write(f"set aside: {place}: {fault}\n")


def trace_at(folder: Folder, cell: str) -> Trace:
    """The trace of a cell that is done."""
    with local(folder.trace_of(cell)) as file:
        return load(file)


def _write(folder: Folder, name: str, text: str) -> None:
    write_whole(folder.path / name, [text.encode()])


def _picture(data: bytes) -> torch.Tensor:  # -> [H, W, 3] in 0 .. 1
    return torch.from_numpy(np.asarray(open_picture(data, SHEET_SIDE)).copy()).float() / 255
