"""A sweep from the command line: every combination of settings on a server, and a page, a sheet and tables of it.

    python3 dev.py sweep --cfg 1,2,4,6,8 --seeds 4 --rule "cfg, APG" --axis "steps: 10, 20"

What is done is kept in the output folder: the same command again runs only what is missing, and so do more values.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files.claims import check_claims, json_of, required, table, text
from ..files.writing import NotWritten
from ..sweeps.addresses import place_at
from ..sweeps.axes import Axis, axis_of, check_count, count, distinct, value_of, values_of
from ..sweeps.cells import Cell, cells_of, pack_version
from ..sweeps.measures import USUAL
from ..sweeps.plan import Plan, plan_of, read_plan
from ..sweeps.report import report_text
from ..sweeps.results import Folder
from ..sweeps.rules import Nodes
from ..sweeps.summary import set_faulty_aside, write_summary
from .host.answers import ServerFault
from .host.client import Client, JobError
from .places import ROOT
from .study_cell import (
    FAULTS,
    PAUSES,
    REPORT_NODE,
    Connection,
    is_there,
    models_of,
    refuse_deaf_judges,
    told_by,
)
from .study_progress import Progress
from .study_servers import refuse_misfits

FIRST_LOOK = ROOT / "tools" / "templates" / "first_look.json"
ONE_ROBOT = {"label": "robot", "batch_size": 1}  # of the first look, which shows ten labels
SECONDS = 2.0  # of a cell, before one has run
MOST_MARKS = 1_000_000
NO_MARKS = "Give the file that the page of the sweep saved."
AGAIN = "Give the same command again: it runs what is missing."
ATTEMPTS = 2  # of a cell that fails, before it is set aside


def options(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="http://127.0.0.1:8188", help="a running ComfyUI with this pack")
    parser.add_argument("--name", default="", help="what the results call the server; default: its address")
    parser.add_argument(
        "--output",
        default=str(ROOT / "output" / "sweep"),
        help="folder of the results, or an address that fsspec knows",
    )
    parser.add_argument("--plan", type=Path, help="a plan in YAML or JSON, in place of the options below")
    parser.add_argument("--workflow", type=Path, help="a workflow in API form; default: the first look, one robot")
    parser.add_argument("--cfg", help="values, such as 1,2,4,8")
    parser.add_argument("--seeds", type=int, help="how many, from 0")
    parser.add_argument("--rule", help='chains of rules, such as "cfg, APG, TCFG + Rescale CFG"')
    parser.add_argument("--axis", action="append", default=[], help='any other, such as "4.steps: 10, 20"')
    parser.add_argument("--set", action="append", default=[], metavar="WIDGET=VALUE", help="of every cell")
    parser.add_argument("--measures", default=",".join(USUAL), help="what is measured")
    parser.add_argument("--judge", default="", help="the energy node that scores every cell, or none; default: what "
                        "the workflow measures with, or its only energy")  # fmt: skip
    parser.add_argument("--rerun", type=Path, help="marks saved on the page: run those cells again")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds of a cell, after which it has failed")
    parser.add_argument("--yes", action="store_true", help="also for more than 2,000 cells")
    return parser.parse_args(words)


def plan_from(args: argparse.Namespace) -> Plan:
    """The plan of the command line.  Raises ValueError."""
    if args.plan:
        return read_plan(args.plan)
    axes = [Axis("cfg", values_of(args.cfg))] if args.cfg is not None else []
    axes += [Axis("rule", values_of(args.rule))] if args.rule is not None else []
    axes += [axis_of(line) for line in args.axis]
    axes += [Axis("seed", tuple(range(args.seeds)))] if args.seeds is not None else []
    overrides = {} if args.workflow else dict(ONE_ROBOT)
    settings = [(name.strip(), value.strip()) for name, _, value in (one.partition("=") for one in args.set)]
    overrides |= {name: value_of(value, name) for name, value in settings}
    mine = {axis.name for axis in axes}
    told = {
        "workflow": json.loads((args.workflow or FIRST_LOOK).read_text(encoding="utf-8")),
        "axes": {axis.name: list(axis.values) for axis in distinct(axes)},
        "overrides": {name: value for name, value in overrides.items() if name not in mine},
        "measures": [name.strip() for name in args.measures.split(",")],
        "judge": args.judge,
    }
    return plan_of(told)


def agreed(plan: Plan, folder: Folder, confirmed: bool) -> Plan:
    """The plan with what the folder holds already, its size told.  Raises ValueError for too many cells in all."""
    whole = folder.widened(plan)
    print(" x ".join(f"{len(axis.values)} {axis.name}" for axis in whole.varied), "=", f"{count(whole.varied):,} cells")
    check_count(count(whole.varied), SECONDS, confirmed, "add --yes")
    return whole


def run_missing(server: Connection, folder: Folder, cells: Sequence[Cell], names: Sequence[str], reports: bool) -> None:
    """Run cells one after the other; one that fails again is set aside with its error.  Raises what a server does."""
    progress = Progress(len(cells))
    for cell in cells:
        error = ""
        for _ in range(ATTEMPTS):
            error = error_of(server, folder, cell, names, reports)
            if not error:
                break
        if error:
            folder.reject(cell, error)
        progress.tell(cell, error)


def error_of(server: Connection, folder: Folder, cell: Cell, names: Sequence[str], reports: bool) -> str:
    """Run a cell and keep what it made; returns its error, "" where it has none.  Raises one of FAULTS of a server."""
    try:
        folder.write(cell, *server.run(cell, reports), names)
    except (JobError, ValueError) as failure:
        if not is_there(server.address):  # no fault of the cell
            raise ConnectionError(str(failure)) from failure
        return str(failure)
    return ""


def marks_of(file: Path) -> Mapping[str, str]:
    """What the page's Save marks wrote: a word by the id of a cell.  Raises ValueError for another file."""
    told = json_of(str(file), file.read_text(encoding="utf-8"), "Save the marks again.")
    check_claims(str(file), told, {"marks": required(table(text(), MOST_MARKS))}, NO_MARKS)
    return told["marks"]


def forget_marked(folder: Folder, marks: Path) -> int:
    """Drop the rows of the cells that are marked to run again; returns how many."""
    told = marks_of(marks)
    again = [folder.cells / f"{cell}.json" for cell, kind in told.items() if kind == "rerun" and cell.isalnum()]
    there = [path for path in again if path.exists()]
    for path in there:
        path.unlink()
    return len(there)


def in_words(error: Exception, server: str) -> str:
    """What a person reads of a failure."""
    if isinstance(error, (ValueError, NotWritten)):
        return str(error)
    if isinstance(error, ServerFault):
        return f"{error} {AGAIN}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} cannot be read: {error.strerror}. Give another file."
    return f"{server} does not answer: {error}. Start it. {AGAIN}"


def main(words: Sequence[str] | None = None) -> int:
    """Plan, check, run what is missing, and write what came out.  words: of the command line, None for its own"""
    args = options(words)
    try:
        plan = plan_from(args)
        folder = Folder(place_at(args.output))
        plan = agreed(plan, folder, args.yes)
        with Client(args.server, args.timeout) as client:
            told = told_by(client)
            cells = cells_of(plan, Nodes.of(told), models_of(client), pack_version())
            refuse_misfits(cells, {args.server: told})
            refuse_deaf_judges(client, cells, told)
        folder.keep(plan)
        if args.rerun:
            print(f"{forget_marked(folder, args.rerun)} cells run again")
    except (ValueError, *FAULTS) as error:
        print(in_words(error, args.server), file=sys.stderr)
        return 2
    return run_and_show(args, plan, folder, cells, REPORT_NODE in told)


def run_and_show(args: argparse.Namespace, plan: Plan, folder: Folder, cells: Sequence[Cell], reports: bool) -> int:
    """Run what is missing; whatever a server does, the page shows what is done.  Returns the exit code."""
    set_faulty_aside(folder, cells)
    missing = folder.missing(cells)
    print(f"{len(cells)} cells, {len(cells) - len(missing)} done before, {len(missing)} to run")
    server = Connection(args.server, args.timeout, PAUSES, args.name)
    try:
        run_missing(server, folder, missing, plan.measures, reports)
    except FAULTS as fault:
        print(in_words(fault, args.server), file=sys.stderr)
    finally:
        server.close()
        done = shown(plan, folder, cells)
    return int(done < len(cells))


def shown(plan: Plan, folder: Folder, cells: Sequence[Cell]) -> int:
    """Write the page and the tables; returns how many cells are done, none where nothing can be written."""
    try:
        rows = write_summary(
            folder, plan, cells, "Guidance sweep", f"{len(cells)} cells, each its own run of the workflow."
        )
    except OSError as error:  # NotWritten, and what reading from an address raises
        print(error, file=sys.stderr)
        return 0
    done = len({row["id"] for row in rows})
    print(report_text(rows, plan.varied))
    print(f"{done} of {len(cells)} cells are in {folder.path}: index.html, report.txt, sheet.png, results.csv")
    return done


if __name__ == "__main__":
    sys.exit(main())
