"""The folder of a study: its plan, a row and a trace for every cell that is done, and what is still missing."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..files.claims import (
    ANYTHING,
    LARGEST,
    PAGE,
    Field,
    check_claims,
    either,
    guard,
    maybe,
    number,
    read_json,
    require,
    several,
    switch,
    table,
    text,
    whole,
)
from ..files.locks import InUse, lock
from ..files.places import BESIDE_PLAN, PLAN, RESULTS
from ..files.writing import check_place
from ..trace.file import load
from ..trace.portable import ascii_json
from .addresses import Place, local, write_whole
from .axes import Value
from .cells import Cell
from .measures import JUDGE, KNOWN, measure
from .pictures import open_picture
from .plan import Plan, plan_of, read_plan

CELLS, REJECTED = "cells", "rejected"
WRITTEN_BY = 60.0  # s, in which any file of a study is written
MOST_MEASURES, MOST_ROWS = 1000, 10_000_000
REQUESTS = 16  # at once, of an address
DIGESTS = "sha256"  # of the files of a row, which have been opened
ORIGIN = "origin"  # digests of what made a row beside its place, where a sweep may come back with something else
PNG, TRACE = "png", "safetensors"
AGAIN = "The cell runs again."
GIVE_A_SWEEP = "Give the folder of a sweep that has run."
CELL = Field(lambda value: isinstance(value, str) and re.fullmatch(r"[0-9a-zA-Z]{1,64}", value) is not None,
             "the name of a cell, of letters and digits")  # fmt: skip
ROW = {
    "id": require(CELL),  # files have this name, so it leads to no other folder
    "place": require(table(maybe(either(number(), switch(), text(LARGEST))), MOST_MEASURES)),
    "measures": require(table(maybe(number()), MOST_MEASURES)),
    "trace_bytes": require(whole(1, 2**40)),
    **dict.fromkeys((DIGESTS, ORIGIN), table(text(), 2)),
    **dict.fromkeys(("seconds",), maybe(number(0))),
    **dict.fromkeys(("verdict", "server", "machine"), maybe(text(PAGE))),
}
Row = dict[str, Any]
FOUND = {name: ROW[name] for name in ("id", "place", "measures")}  # in every row of the results


class Folder:
    """A sweep on disk, or behind an address.  any_measure: rows may have measures that no table knows.

    A cell is done when its row, its trace and its picture are there, and each is what it should be; the row is written
    last, and all are written whole or not at all. So whatever is killed, at whatever time, leaves cells that are done
    and cells that are missing. What somebody else changed is set aside with the reason, and is missing too.
    """

    def __init__(self, path: Place, any_measure: bool = False):
        self.path, self.cells, self.any_measure = path, path / CELLS, any_measure

    def widen(self, plan: Plan) -> Plan:
        """A plan with what an earlier one of the same study asked for here.

        Raises ValueError where another study has its results here, or something else is in the place of one.
        """
        if not (self.path / PLAN).exists():
            if other := next((name for name in BESIDE_PLAN if (self.path / name).exists()), ""):
                raise ValueError(f"{self.path / other} is there without a {PLAN}. Choose another folder.")
            return plan
        try:
            return plan.widen(read_plan(self.path / PLAN))
        except ValueError as error:
            raise ValueError(
                f"{self.path} holds the results of another plan. {error} Choose another folder, or delete that one."
            ) from error

    def keep(self, plan: Plan) -> None:
        """Write the plan whose cells come here."""
        write_whole(self.path / PLAN, [plan.text().encode()])

    def trace_of(self, cell: str) -> Place:
        """Where the trace of a cell is."""
        return self.cells / f"{cell}.{TRACE}"

    def picture_of(self, cell: str) -> Place:
        """Where the picture of a cell is."""
        return self.cells / f"{cell}.{PNG}"

    def row(self, cell: Cell) -> Row | None:
        """The row of a cell that is done; its place is that of this plan."""
        try:
            return self._row(cell.id) | {"place": dict(cell.place)}
        except (OSError, ValueError):
            return None

    def rows_beside(self, cells: Iterable[Cell]) -> list[Row]:
        """The rows of other cells that are done here, each at the place that it says itself."""
        ids, rows = {cell.id for cell in cells}, []
        for name in sorted(file.name for file in self.cells.iterdir()):
            if name.endswith(".json") and name.removesuffix(".json") not in ids:
                with suppress(OSError, ValueError):
                    rows.append(self._row(name.removesuffix(".json")))
        return rows

    def _row(self, cell: str) -> Row:
        """The row of a cell.  Raises OSError where there is none, ValueError for one that is not what it should be."""
        file = self.cells / f"{cell}.json"
        row = read_json(file, AGAIN)
        with guard(file.name, "a field", AGAIN):
            check_claims(file.name, row, ROW, AGAIN)
        if row["id"] != cell:
            raise ValueError(f"{file.name} is the row of {row['id']}. {AGAIN}")
        trace, _ = (self._size(place) for place in (self.trace_of(cell), self.picture_of(cell)))
        if trace != row["trace_bytes"]:
            raise ValueError(f"Its trace has {trace:,} bytes, of {row['trace_bytes']:,}. {AGAIN}")
        measures = {name: value for name, value in row["measures"].items() if self.any_measure or name in KNOWN}
        return {**row, "measures": measures}

    def _size(self, place: Place) -> int:
        try:
            return place.stat().st_size
        except OSError as error:
            raise ValueError(f"{place.name} is not there. {AGAIN}") from error

    def fault_of(self, cell: Cell) -> str:
        """What is wrong with a cell that has a row, "" for nothing: its files are read, and opened where they changed.

        A cell without a row is missing, and nothing is wrong with it.
        """
        try:
            row, files = self._row(cell.id), {PNG: self.picture_of(cell.id), TRACE: self.trace_of(cell.id)}
            if row.get(DIGESTS) != {kind: digest_of(file.read_bytes()) for kind, file in files.items()}:
                open_picture(self.picture_of(cell.id).read_bytes())
                self._measure_cell(cell, ())
        except FileNotFoundError:
            return ""
        except ValueError as error:
            return str(error)
        except OSError as error:
            if isinstance(self.path, Path):
                return str(error)
            raise  # a network that fails says nothing of the cell
        return ""

    def set_aside(self, cells: Iterable[Cell]) -> dict[str, str]:
        """Take the cells with a fault out of those that are done; returns the fault of each by its id."""
        cells = list(cells)
        faults = {
            cell.id: fault for cell, fault in zip(cells, self._map_cells(self.fault_of, cells), strict=True) if fault
        }
        for cell in cells:
            if cell.id in faults:
                self.reject(cell, faults[cell.id])
                (self.cells / f"{cell.id}.json").unlink(missing_ok=True)
        return faults

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells that are not done."""
        cells = list(cells)
        return [cell for cell, row in zip(cells, self.rows(cells), strict=True) if row is None]

    def rows(self, cells: Iterable[Cell]) -> Iterator[Row | None]:
        """The row of every cell, in turn."""
        return self._map_cells(self.row, cells)

    def measured_rows(self, cells: Iterable[Cell], names: Sequence[str]) -> Iterator[Row | None]:
        """The row of every cell with these measures, in turn."""
        return self._map_cells(lambda cell: self.measure(cell, names), cells)

    def _map_cells(self, act: Callable[[Cell], Any], cells: Iterable[Cell]) -> Iterator[Any]:
        """Several are asked for at once where each has to travel."""
        if isinstance(self.path, Path):
            yield from map(act, cells)
            return
        with ThreadPoolExecutor(REQUESTS) as pool:
            yield from pool.map(act, cells)

    def write(self, cell: Cell, trace: bytes, picture: bytes, facts: Mapping[str, Any], names: Sequence[str]) -> Row:
        """Write what a cell made: its trace, its picture, then its row.

        facts: seconds, judge, ... ; measures beside those of the trace. names: of these.
        Raises ValueError for a picture or a trace that cannot be read, and for facts that no row may have.
        """
        open_picture(picture)
        write_whole(self.picture_of(cell.id), [picture])
        write_whole(self.trace_of(cell.id), [trace])
        scores = {JUDGE: facts[JUDGE]} if JUDGE in facts else {}
        values = self._measure_cell(cell, names) | scores | facts.get("measures", {})
        facts = {name: fact for name, fact in facts.items() if name not in (JUDGE, "measures")}
        digests = {PNG: digest_of(picture), TRACE: digest_of(trace)}
        row = {"id": cell.id, "place": dict(cell.place), "measures": values, **facts, "trace_bytes": len(trace)}
        written = json.loads(ascii_json({**row, DIGESTS: digests}))
        check_claims(f"the row of cell {cell.id}", written, ROW, "The server told it.")
        self._write_row(written)
        (self.path / REJECTED / f"{cell.id}.json").unlink(missing_ok=True)
        return row

    def measure(self, cell: Cell, names: Sequence[str]) -> Row | None:
        """The row of a cell that is done, with these measures: those that it lacks are read from its trace."""
        row = self.row(cell)
        lacking = [name for name in names if row and name not in row["measures"]]
        if row and lacking:
            row["measures"] |= self._measure_cell(cell, lacking)
            self._write_row(row)
        return row

    def tidy(self) -> None:
        """Delete what was being written when something was killed; what is being written now is younger."""
        if not isinstance(self.path, Path):
            return
        for part in [*self.path.glob(".*.part"), *self.path.glob("*/.*.part")]:
            with suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > WRITTEN_BY:
                    part.unlink()

    def _measure_cell(self, cell: Cell, names: Sequence[str]) -> dict[str, float]:
        with local(self.trace_of(cell.id)) as trace:
            return measure(load(trace), names)

    def _write_row(self, row: Row) -> None:
        write_whole(self.cells / f"{row['id']}.json", [ascii_json(row).encode()])

    def reject(self, cell: Cell, error: str) -> None:
        """Set a cell aside with its error."""
        rejection = {"id": cell.id, "place": dict(cell.place), "error": error, "prompt": cell.prompt}
        write_whole(self.path / REJECTED / f"{cell.id}.json", [ascii_json(rejection).encode()])


@contextmanager
def alone(folder: Place) -> Iterator[None]:
    """Keep a folder to one sweep at a time: two with other plans would each leave out what the other does.

    The system lets go of it however the process ends. An address cannot be kept so. Raises ValueError, NotWritten.
    """
    if not isinstance(folder, Path):
        yield
        return
    is_new = not folder.exists()
    check_place(folder / PLAN)
    try:
        handle = lock(folder)
    except InUse as error:
        words = f"Another sweep is running into {folder}. Choose another folder, or wait until it has ended."
        raise ValueError(words) from error
    try:
        yield
    finally:
        with suppress(OSError):  # it holds something
            if is_new:  # before anybody else can be in it
                folder.rmdir()
        os.close(handle)


def read_results(folder: Place) -> tuple[Plan, list[Row]]:
    """The plan of a sweep, and a row for every place that is done, as its folder holds them.

    Raises ValueError for the folder of something else.
    """
    file = folder / RESULTS
    try:
        results = read_json(file, GIVE_A_SWEEP, math.inf)
    except OSError as error:
        raise ValueError(f"{file} is not there. {GIVE_A_SWEEP}") from error
    check_claims(
        str(file), results, {"rows": require(several(table(ANYTHING, MOST_MEASURES), MOST_ROWS))}, GIVE_A_SWEEP
    )
    for row in results["rows"]:
        check_claims(str(file), row, FOUND, GIVE_A_SWEEP)
    try:
        plan = plan_of(results.get("plan"))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    axes = [axis.name for axis in plan.every_axis]
    for row in results["rows"]:
        if lost := [name for name in axes if name not in row["place"]]:
            raise ValueError(f"{file}: the place of {row['id']} has no {lost[0]}. {GIVE_A_SWEEP}")
    return plan, results["rows"]


def digest_of(data: bytes) -> str:
    """By which a file is known again."""
    return hashlib.sha256(data).hexdigest()


def csv_of(rows: Sequence[Row]) -> str:
    """All rows as CSV: the axes, then the measures, then the other facts; empty where nothing is known."""
    axes, names = (list(dict.fromkeys(n for row in rows for n in row[part])) for part in ("place", "measures"))
    facts = [n for n in dict.fromkeys(n for row in rows for n in row) if n not in ("id", "place", "measures")]
    sink = io.StringIO()
    write = csv.writer(sink, lineterminator="\n").writerow
    write(["id", *axes, *names, *facts])
    for row in rows:
        values = [*(row["place"].get(n) for n in axes), *(row["measures"].get(n) for n in names), *map(row.get, facts)]
        write([row["id"], *map(_entry, values)])
    return sink.getvalue()


def _entry(value: Any) -> Value:
    """What a table holds of a value: nothing where it is unknown; a text never begins as a formula does."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
