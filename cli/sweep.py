"""The command `sweep`: every combination of settings on a ComfyUI, and a page, a sheet and tables of it."""

from __future__ import annotations

import os
import platform
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..files.claims import LINE, check_claims, read_json, require, table, text
from ..guidance.printing import count_of
from ..guidance.rule_file import OFFERED, RuleFile
from ..sweeps.addresses import place_at
from ..sweeps.axes import RULE, Axis, Value, axis_of, check_count, count, distinct, value_of, values_of
from ..sweeps.cells import Cell, cells_of, pack_version
from ..sweeps.comfyui import process
from ..sweeps.comfyui.cell import (
    FAULTS,
    PAUSES,
    REPORT_NODE,
    Connection,
    Told,
    is_there,
    models_of,
    read_node_types,
    refuse_deaf_judges,
)
from ..sweeps.comfyui.client import Client
from ..sweeps.comfyui.executor import describe_failure, run_missing
from ..sweeps.comfyui.misfits import refuse_misfits
from ..sweeps.plan import Plan, plan_of, read_plan
from ..sweeps.report import report_text
from ..sweeps.results import Folder, alone
from ..sweeps.rules import Nodes, words_of_files
from ..sweeps.summary import set_faulty_aside, write_summary
from .options import RUNS_AT, parse

FIRST_LOOK = Path(process.__file__).with_name("first_look.json")
ITS_JUDGE = {  # of the first look: the network that comes with the demo model, and only measures
    "network": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-judge-1"}},
    "judge": {"class_type": "GGLabelEnergy", "inputs": {"classifier": ["network", 0], "label": "*", "kind": "label"}},
}
ONE_ROBOT = {"label": "robot", "batch_size": 1}  # of the first look, which shows ten labels
SECONDS = 2.0  # of a cell, before one has run
MOST_MARKS = 1_000_000
NO_MARKS = "Give the file that the page of the sweep saved."


@contextmanager
def serving(args: Namespace) -> Iterator[Connection]:
    """The ComfyUI that the command line asks for, started and ended where none runs.  Raises StartError."""
    runs = args.server or (not args.comfyui and is_there(RUNS_AT) and RUNS_AT)
    if runs:
        print(f"on {runs}", flush=True)
        yield Connection(runs, args.timeout, PAUSES, args.name)
        return
    folder = process.find_comfyui(args.comfyui)
    print(f"starting the ComfyUI in {folder}", flush=True)
    with process.start_comfyui(folder, args.cpu) as live:  # its port tells nobody anything
        yield Connection(live.address, args.timeout, PAUSES, args.name or f"own ComfyUI on {platform.node()}")


def offer_rules(chains: Iterable[Value]) -> None:
    """Name the rules in files of a command line to this process, and to the ComfyUI that it starts: nothing else does.

    Raises ValueError for a file that is not there, and for two of one name.
    """
    places = {place: None for word in words_of_files(chains) if (place := RuleFile.of(word))}
    before = os.environ.get(OFFERED, "").splitlines()
    lines = [*dict.fromkeys([*before, *(f"{place.file}:{place.name}" for place in places)])]
    names = [Path(line).name for line in lines]
    if twice := [line for line, name in zip(lines, names, strict=True) if names.count(name) > 1]:
        raise ValueError(f"{' and '.join(twice)} have one name. Rename one: results call a rule by its file's name.")
    os.environ[OFFERED] = "\n".join(lines)


def plan_from(args: Namespace) -> Plan:
    """The plan of the command line.  Raises ValueError."""
    if args.plan:
        offer_rules(values_of(args.rule or ""))
        return read_plan(args.plan)
    axes = [Axis("cfg", values_of(args.cfg))] if args.cfg is not None else []
    axes += [Axis("rule", values_of(args.rule))] if args.rule is not None else []
    axes += [axis_of(line) for line in args.axis]
    axes += [Axis("seed", tuple(range(args.seeds)))] if args.seeds is not None else []
    overrides = {} if args.workflow else dict(ONE_ROBOT)
    settings = [(name.strip(), value.strip()) for name, _, value in (text.partition("=") for text in args.set)]
    overrides |= {name: value_of(value, name) for name, value in settings}
    mine = {axis.name for axis in axes}
    offer_rules([*(value for axis in axes if axis.name == RULE for value in axis.values), overrides.get(RULE, "")])
    keys = {
        "workflow": read_json(args.workflow, "Export it again.") if args.workflow else first_look(),
        "axes": {axis.name: list(axis.values) for axis in distinct(axes)},
        "overrides": {name: value for name, value in overrides.items() if name not in mine},
        "measures": [name.strip() for name in args.measures.split(",")] if args.measures else [],
        "judge": args.judge,
    }
    return plan_of(keys)


def first_look() -> dict[str, Any]:
    """The workflow of a sweep that is given none: the demo model, and its judge, which asks for what the model does."""
    return read_json(FIRST_LOOK, "Install the pack again.") | ITS_JUDGE


def agree_plan(plan: Plan, folder: Folder, confirmed: bool) -> Plan:
    """The plan with what the folder holds already, its size told.  Raises ValueError for too many cells in all."""
    whole = folder.widen(plan).add_digests()
    cells = count(whole.every_axis)
    print(" x ".join(f"{len(axis.values)} {axis.name}" for axis in whole.every_axis), "=", f"{cells:,} cells")
    check_count(cells, SECONDS, confirmed, "add --yes")
    return whole


def marks_of(file: Path) -> Mapping[str, str]:
    """What the page's Save marks wrote: a word by the id of a cell.  Raises ValueError for another file."""
    marks = read_json(file, "Save the marks again.", MOST_MARKS * LINE)
    check_claims(str(file), marks, {"marks": require(table(text(), MOST_MARKS))}, NO_MARKS)
    return marks["marks"]


def forget_marked(folder: Folder, marks: Path) -> int:
    """Drop the rows of the cells that are marked to run again; returns how many."""
    by_cell = marks_of(marks)
    again = [folder.cells / f"{cell}.json" for cell, kind in by_cell.items() if kind == "rerun" and cell.isalnum()]
    there = [path for path in again if path.exists()]
    for path in there:
        path.unlink()
    return len(there)


def main(words: Sequence[str] | None = None) -> int:
    """Plan, check, run what is missing, and write what came out.  words: of the command line, None for its own"""
    args = parse("sweep", words)
    try:
        plan = plan_from(args)
        folder = Folder(place_at(args.output))
        with alone(folder.path):
            return run_plan(agree_plan(plan, folder, args.yes), folder, args)
    except BrokenPipeError:  # of what is printed; a server's is a ServerFault
        raise
    except (ValueError, *FAULTS) as error:
        print(describe_failure(error, args.server or "ComfyUI"), file=sys.stderr)
        return 2


def run_plan(plan: Plan, folder: Folder, args: Namespace) -> int:
    """Run a plan on one ComfyUI.  Returns the exit code; raises ValueError before anything runs, or one of FAULTS."""
    with serving(args) as connection:
        nodes, models = describe_server(connection.address, args.timeout)
        cells = cells_on({connection.address: nodes}, models, plan, args.timeout)
        folder.keep(plan)
        if args.rerun:
            print(f"{count_of(forget_marked(folder, args.rerun), 'cell')} to run again")
        return run_and_show(connection, plan, folder, cells, REPORT_NODE in nodes)


def describe_server(address: str, timeout: float) -> tuple[Told, dict[str, int | None]]:
    """What a server says of its nodes, and its models."""
    with Client(address, timeout) as client:
        return read_node_types(client), models_of(client)


def cells_on(types: Mapping[str, Told], models: Mapping[str, int | None], plan: Plan, timeout: float) -> list[Cell]:
    """The cells of a plan for servers with the same models.  types: what each says of its nodes, by its address

    Raises ValueError for what one of them cannot run.
    """
    first, nodes = next(iter(types.items()))
    cells = cells_of(plan, Nodes.of(nodes), models, pack_version())
    refuse_misfits(cells, types)
    with Client(first, timeout) as client:
        refuse_deaf_judges(client, cells, nodes)
    return cells


def run_and_show(server: Connection, plan: Plan, folder: Folder, cells: Sequence[Cell], reports: bool) -> int:
    """Run what is missing; whatever a server does, the page shows what is done.  Returns the exit code."""
    set_faulty_aside(folder, cells)
    missing = folder.missing(cells)
    print(f"{count_of(len(cells), 'cell')}, {len(cells) - len(missing)} done before, {len(missing)} to run")
    try:
        run_missing(server, folder, missing, plan.measures, reports)
    except FAULTS as fault:
        print(describe_failure(fault, server.address), file=sys.stderr)
    finally:
        server.close()
        done = show_results(plan, folder, cells)
    return int(done < len(cells))


def show_results(plan: Plan, folder: Folder, cells: Sequence[Cell]) -> int:
    """Write the page and the tables; returns how many cells are done, none where nothing can be written."""
    try:
        rows = write_summary(
            folder, plan, cells, "Guidance sweep", f"{count_of(len(cells), 'cell')}, each its own run of the workflow."
        )
    except OSError as error:  # NotWritten, and what reading from an address raises
        print(error, file=sys.stderr)
        return 0
    done = len({row["id"] for row in rows})
    print(report_text(rows, plan.every_axis))
    print(f"{done} of {len(cells)} cells are in {folder.path}: index.html, report.txt, sheet.png, results.csv")
    return done
