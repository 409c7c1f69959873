"""A study on several ComfyUI servers or a Ray cluster: the same plan, folder and page as a sweep on one machine.

    python3 dev.py study plan.yaml --servers http://a:8188,http://b:8188
    python3 dev.py study plan.yaml --ray auto --actors 8

Ray Data hands the cells to actors, restarts those that die and tries their cells again. A cell that fails is tried
again in a second pass, by whichever actor is free, and then set aside with its error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..studies.cells import Cell, cells_of
from ..studies.plan import Plan, read_plan
from ..studies.results import Folder
from ..studies.rules import rule_nodes
from ..studies.servers import Told, refuse_misfits
from . import study_worker
from .host.client import Client
from .places import HOST, ROOT
from .run_sweep import ATTEMPTS, Progress, agreed, pack_version, written
from .study_cell import FAULTS, REPORT_NODE, models_of, told_by

NOBODY = "No server is given. Add --servers URL,URL, or with --ray one that is asked what there is: --server URL."
NO_RAY = "Ray is not installed. Run: pip install 'ray[data]', or leave out --servers and --ray."


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="YAML or JSON")
    parser.add_argument("--servers", default="", help="addresses with commas; each gets an actor")
    parser.add_argument("--server", help="with --ray: a ComfyUI that is asked what there is; it runs no cell")
    parser.add_argument("--ray", help="address of a cluster, or auto; without it Ray runs on this machine")
    parser.add_argument("--actors", type=int, default=1, help="with --ray: how many, each with a ComfyUI of its own")
    parser.add_argument("--host", type=Path, default=HOST, help="the ComfyUI that actors start, on their machines")
    parser.add_argument("--output", type=Path, help="folder that all machines see; default: output/<name of the plan>")
    parser.add_argument("--yes", action="store_true", help="also for more than 2,000 cells")
    return parser.parse_args()


def known_of(servers: Sequence[str]) -> tuple[dict[str, Told], dict[str, int]]:
    """What every server that answers says of its nodes, and the models of the first of them.

    Raises ValueError where they differ, or none answers.
    """
    told, models = {}, {}
    for address in servers:
        fault = None
        try:
            with Client(address) as client:
                told[address], models[address] = told_by(client), models_of(client)
        except FAULTS as error:
            fault = error
        if fault:
            print(f"{address} does not answer and is left out: {fault}", file=sys.stderr)
    if not told:
        raise ValueError("No server answers. Start one, then give the same command again: it runs what is missing.")
    first, *others = told
    for address in others:
        shared = models[first].keys() & models[address].keys()
        if other := [name for name in shared if models[first][name] != models[address][name]]:
            raise ValueError(
                f"The model {other[0]} on {address} is another one than on {first}. Copy one over the other."
            )
    return told, models[first]


def as_rows(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """Cells as Ray carries them."""
    return [{"id": c.id, "place": json.dumps(dict(c.place)), "prompt": json.dumps(c.prompt)} for c in cells]


def passes(ray: Any, folder: Folder, cells: Sequence[Cell], actors: int, runner: dict[str, Any]) -> None:
    """Run what is missing, and what failed again; then set aside what failed every time."""
    ray.cloudpickle.register_pickle_by_value(study_worker)
    errors: dict[str, str] = {}
    for attempt in range(ATTEMPTS):
        missing = folder.missing(cells)
        if not missing:
            return
        print(f"pass {attempt + 1}: {len(missing)} cells on {actors} actors", flush=True)
        errors = one_pass(ray, missing, actors, runner)
    for cell in folder.missing(cells):
        folder.reject(cell, errors.get(cell.id, "It never ended."))


def one_pass(ray: Any, cells: Sequence[Cell], actors: int, runner: dict[str, Any]) -> dict[str, str]:
    """Hand every cell to an actor once; returns the errors by cell.  Rows come back one by one: nothing piles up."""
    by_id, progress, errors = {cell.id: cell for cell in cells}, Progress(len(cells)), {}
    ray.data.DataContext.get_current().enable_progress_bars = False  # our line tells more
    data = ray.data.from_items(as_rows(cells), override_num_blocks=len(cells))
    gpus = 0 if runner["servers"] or not ray.cluster_resources().get("GPU") else 1
    done = data.map(
        study_worker.CellRunner,
        fn_constructor_kwargs=runner,
        compute=ray.data.ActorPoolStrategy(size=min(actors, len(cells))),
        num_cpus=0,
        num_gpus=gpus,
    )
    for row in done.iter_rows():
        if row["error"]:
            errors[row["id"]] = row["error"]
        progress.failed, progress.done = len(errors), progress.done + (not row["error"])
        progress.tell(by_id[row["id"]], row["error"])
    return errors


def turns(ray: Any) -> Any:
    """Counts the actors of a study."""

    class Turns:
        def __init__(self):
            self.taken = -1

        def next(self):
            self.taken += 1
            return self.taken

    return ray.remote(num_cpus=0)(Turns).remote()


def run_study(ray: Any, plan: Plan, folder: Folder, args: argparse.Namespace) -> int:
    """Run a plan on Ray, which has been started."""
    servers = [one.strip() for one in args.servers.split(",") if one.strip()]
    told, models = known_of(servers or [args.server])
    servers = [one for one in servers if one in told]
    cells = cells_of(plan, rule_nodes(next(iter(told.values()))), models, pack_version())
    refuse_misfits(cells, told)
    folder.keep(plan)
    reports = all(REPORT_NODE in nodes for nodes in told.values())
    runner = {
        "root": str(ROOT),
        "folder": str(folder.path.resolve()),
        "measures": list(plan.measures),
        "servers": servers,
        "turns": turns(ray),
        "host": str(args.host),
        "reports": reports,
    }
    actors = len(servers) or args.actors
    passes(ray, folder, cells, actors, runner)
    note = f"{len(cells)} cells on {actors} actors."
    rows = written(folder, plan, cells, args.plan.stem, note)
    print(f"{len(rows)} of {len(cells)} cells are in {folder.path}")
    return int(len(rows) < len(cells))


def main() -> int:
    """Read the plan, start Ray or join a cluster, run."""
    args = options()
    if not (args.servers or args.server):
        print(NOBODY, file=sys.stderr)
        return 2
    try:
        import ray
    except ImportError:
        print(NO_RAY, file=sys.stderr)
        return 2
    try:
        plan = read_plan(args.plan)
        folder = Folder(args.output or ROOT / "output" / args.plan.stem)
        plan = agreed(plan, folder, args.yes)
        ray.init(address=args.ray, log_to_driver=False, logging_level="warning")
        return run_study(ray, plan, folder, args)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
