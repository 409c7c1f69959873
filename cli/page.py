"""The command `page`: a saved trace as one HTML file, or the page of a sweep or a study again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..figures.html import RECORD_BYTES, page
from ..files.writing import check_place, write_atomically
from ..guidance.printing import count_of
from ..sweeps.addresses import place_at
from ..sweeps.cells import Cell, pack_version
from ..sweeps.results import Folder, read_results
from ..sweeps.summary import write_summary
from ..trace.checks import check
from ..trace.file import load
from ..trace.record import run_record
from ..trace.trace import Trace
from ..verdict.known import knowledge_without_host
from ..verdict.report import report_of
from .options import parse

NO_PICTURES = "A saved trace holds no pictures. Guidance Page, the node, writes them too."


def main(words: Sequence[str] | None = None) -> int:
    """Write the page; 1 for what cannot be read or written.  words: of the command line, None for its own"""
    args = parse("page", words)
    try:
        trace = Path(args.source)
        print(page_of_run(trace, args.output) if trace.is_file() else page_of_sweep(args.source))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def page_of_run(source: Path, target: Path | None) -> Path:
    """Write the page of a saved trace; returns its place.  Raises ValueError, OSError."""
    target = target or source.with_suffix(".html")
    check_place(target)
    write_atomically(target, [page(record_of(load(source)), {}, {}, pack_version()).encode()])
    return target


def record_of(trace: Trace) -> dict:
    """What the page shows of a run."""
    report = report_of(trace, knowledge_without_host(trace.header.get("model") or {}))
    facts = {"pictures": {"note": NO_PICTURES}, "problems": check(trace), "report": report.as_json()}
    return run_record(trace, RECORD_BYTES) | facts | {"host": trace.header.get("host") or {}}


def page_of_sweep(address: str) -> str:
    """Write the page, the report, the sheet and the tables of a sweep again, of the cells that its folder holds."""
    folder = Folder(place_at(address), any_measure=True)
    plan, rows = read_results(folder.path)
    cells = [Cell(row["id"], row["place"], {}) for row in rows]
    done = len(write_summary(folder, plan, cells, "Guidance sweep", f"{count_of(len(cells), 'cell')}."))
    return f"{done} of {count_of(len(cells), 'cell')}: {folder.path / 'index.html'}"
