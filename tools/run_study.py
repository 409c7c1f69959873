"""A study on several ComfyUI servers or a Ray cluster: the same plan, folder and page as a sweep on one machine.

    python3 dev.py study plan.yaml --servers http://a:8188,http://b:8188
    python3 dev.py study plan.yaml --ray auto --actors 8

Ray Data hands the cells to actors, restarts those that die and tries their cells again. A cell that fails is tried
again in a second pass, by whichever actor is free, and then set aside with its error. A server that is gone fails no
cell: its actor takes another server, and what it was at is run again there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..guidance.rule_file import OFFERED
from ..sweeps.addresses import place_at
from ..sweeps.cells import cells_of, pack_version
from ..sweeps.plan import Plan, read_plan
from ..sweeps.report import report_text
from ..sweeps.results import Folder
from ..sweeps.rules import Nodes
from ..sweeps.summary import set_faulty_aside, write_summary
from .host.client import Client
from .places import HOST, ROOT
from .run_sweep import AGAIN, agreed, in_words
from .study_cell import FAULTS, PAUSES, REPORT_NODE, models_of, refuse_deaf_judges, told_by
from .study_parquet import write_parquet
from .study_passes import OnRay, left_over, passes
from .study_servers import Told, refuse_misfits

NOBODY = "No server is given. Add --servers URL,URL, or with --ray one that is asked what there is: --server URL."
NO_CLUSTER = "No Ray cluster answers at {}. Start one with ray start --head, or leave out --ray."
GAVE_UP = "Ray gave up: ... {} Is this folder at the same place on every machine? " + AGAIN
LOCAL = "local"  # what Ray calls a cluster of its own on this machine
ALONE = {  # of a Ray that has no other machine, read when it is imported
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # its servers listen to this machine alone, as on the systems of its name
    "RAY_AUTH_MODE": "token",  # and ask whoever else is on this machine for the token
}
NO_RAY = "Ray is not installed. Run: pip install 'ray[data]>=2.52', or leave out --servers and --ray."


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="YAML or JSON")
    parser.add_argument("--servers", default="", help="addresses with commas; each gets an actor")
    parser.add_argument("--server", help="with --ray: a ComfyUI that is asked what there is; it runs no cell")
    parser.add_argument("--ray", help="address of a cluster, auto for the one that is there, or local (default)")
    parser.add_argument("--actors", type=int, default=1, help="with --ray: how many, each with a ComfyUI of its own")
    parser.add_argument("--batch", type=int, default=1, help="cells that an actor takes at once: 20 for 50 ms each")
    parser.add_argument("--host", type=Path, default=HOST, help="the ComfyUI that actors start, on their machines")
    parser.add_argument("--cpu", action="store_true", help="the ComfyUI that actors start use no GPU")
    parser.add_argument(
        "--output", help="folder that all machines see, or an address such as s3://bucket/study; default: output/<plan>"
    )
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds of a cell, after which it has failed")
    parser.add_argument("--yes", action="store_true", help="also for more than 2,000 cells")
    args = parser.parse_args()
    if min(args.actors, args.batch) < 1:
        parser.error(f"--actors {args.actors} --batch {args.batch}: both are whole numbers from 1 on")
    return args


def known_of(servers: Sequence[str], timeout: float = 300.0) -> tuple[dict[str, Told], dict[str, int | None]]:
    """What every server that answers says of its nodes, and the models of the first of them.

    Raises ValueError where they differ, where one is no ComfyUI, or none answers.
    """
    known = {address: described for address in servers if (described := description_of(address, timeout))}
    told, models = ({address: each[part] for address, each in known.items()} for part in (0, 1))
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


def description_of(address: str, timeout: float) -> tuple[Told, dict[str, int | None]] | None:
    """What a server says of its nodes and its models; None, with a line of it, where it does not answer."""
    try:
        with Client(address, timeout) as client:
            return told_by(client), models_of(client)
    except FAULTS as error:
        print(f"{error} It is left out.", file=sys.stderr)
    return None


def keep_to_this_machine() -> None:
    """Let no other machine reach the Ray that is started here; before it is imported.

    Its servers listen to every network unless it takes 127.0.0.1 for the address of the machine, and it does that only
    where it is said to have no cluster: `_node_ip_address` and `--node-ip-address` put the real address in its place.
    """
    for name, value in ALONE.items():
        os.environ.setdefault(name, value)


def joined(ray: Any, address: str) -> None:
    """Join a cluster, or start Ray on this machine.  Raises ValueError where no cluster is there."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level="warning")
    except ConnectionError as error:
        raise ValueError(NO_CLUSTER.format(address)) from error


def run_study(ray: Any, plan: Plan, folder: Folder, args: argparse.Namespace) -> int:
    """Run a plan on Ray, which has been started."""
    servers = [one.strip() for one in args.servers.split(",") if one.strip()]
    told, models = known_of(servers or [args.server], args.timeout)
    servers = [one for one in servers if one in told]
    cells = cells_of(plan, Nodes.of(next(iter(told.values()))), models, pack_version())
    refuse_misfits(cells, told)
    first = next(iter(told))
    with Client(first, args.timeout) as client:
        refuse_deaf_judges(client, cells, told[first])
    folder.keep(plan)
    set_faulty_aside(folder, cells)
    crew = OnRay(ray, runner_of(plan, folder, args, told), servers, len(servers) or args.actors, args.batch)
    tally = passes(folder, cells, crew)
    rows = write_summary(folder, plan, cells, args.plan.stem, f"{len(cells)} cells on {crew.actors} actors.")
    write_parquet(folder.path / "results.parquet", rows)
    done = len({row["id"] for row in rows})
    print(f"{report_text(rows, plan.varied)}\n{done} of {len(cells)} cells are in {folder.path}")
    if words := left_over(folder, cells, tally, [one for one in servers if one not in crew.servers]):
        print(words, file=sys.stderr)
    return int(done < len(cells))


def runner_of(plan: Plan, folder: Folder, args: argparse.Namespace, told: Mapping[str, Told]) -> dict[str, Any]:
    """What every actor is made with."""
    return {
        "root": str(ROOT),
        "output": str(folder.path.resolve() if isinstance(folder.path, Path) else folder.path),
        "measures": list(plan.measures),
        "host": "" if args.servers else str(args.host),
        "cpu": args.cpu,
        "reports": all(REPORT_NODE in nodes for nodes in told.values()),
        "patience": (args.timeout, PAUSES),
        "rules": os.environ.get(OFFERED, ""),
    }


def main() -> int:
    """Read the plan, start Ray or join a cluster, run."""
    args = options()
    if not (args.servers or args.server):
        print(NOBODY, file=sys.stderr)
        return 2
    cluster = args.ray or os.environ.get("RAY_ADDRESS") or LOCAL
    if cluster == LOCAL:
        keep_to_this_machine()
    try:
        import ray
    except ImportError:
        print(NO_RAY, file=sys.stderr)
        return 2
    try:
        plan = read_plan(args.plan)
        folder = Folder(place_at(args.output) if args.output else ROOT / "output" / args.plan.stem)
        plan = agreed(plan, folder, args.yes)
        joined(ray, cluster)
        return run_study(ray, plan, folder, args)
    except (ValueError, *FAULTS) as error:
        print(in_words(error, "A server"), file=sys.stderr)
    except ray.exceptions.RayError as error:
        print(GAVE_UP.format(" ".join(str(error).split())[-300:]), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
