"""The command `study`: a plan on one ComfyUI, on several servers or on a Ray cluster."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..guidance.printing import count_of
from ..guidance.rule_file import OFFERED
from ..sweeps.addresses import place_at
from ..sweeps.axes import values_of
from ..sweeps.cluster.passes import OnRay, left_over, passes
from ..sweeps.comfyui import process
from ..sweeps.comfyui.cell import AGAIN, FAULTS, PAUSES, REPORT_NODE, Told
from ..sweeps.comfyui.executor import describe_failure
from ..sweeps.parquet import write_parquet
from ..sweeps.plan import Plan, read_plan
from ..sweeps.report import report_text
from ..sweeps.results import Folder, alone, read_results
from ..sweeps.summary import set_faulty_aside, write_summary
from . import sweep
from .options import OUTPUT, parse
from .sweep import agree_plan, cells_on, describe_server, offer_rules

NO_CLUSTER = "No Ray cluster answers at {}. Start one with ray start --head, or leave out --ray."
GAVE_UP = "Ray gave up: ... {} Is this folder at the same place on every machine? " + AGAIN
LOCAL = "local"  # what Ray calls a cluster of its own on this machine
ALONE = {  # of a Ray that has no other machine, read when it is imported
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # its servers listen to this machine alone, as on the systems of its name
    "RAY_AUTH_MODE": "token",  # and ask whoever else is on this machine for the token
}
NO_RAY = "Ray is not installed. Run: pip install 'ray[data]>=2.52', or leave out --servers and --ray."


def ask_servers(servers: Sequence[str], timeout: float = 300.0) -> tuple[dict[str, Told], dict[str, int | None]]:
    """What every server that answers says of its nodes, and the models of the first of them.

    Raises ValueError where they differ, where one is no ComfyUI, or none answers.
    """
    answers = {address: described for address in servers if (described := description_of(address, timeout))}
    types = {address: nodes for address, (nodes, _) in answers.items()}
    models = {address: files for address, (_, files) in answers.items()}
    if not types:
        raise ValueError("No server answers. Start one, then give the same command again: it runs what is missing.")
    first, *others = types
    for address in others:
        shared = models[first].keys() & models[address].keys()
        if other := [name for name in shared if models[first][name] != models[address][name]]:
            raise ValueError(
                f"The model {other[0]} on {address} is another one than on {first}. Copy one over the other."
            )
    return types, models[first]


def description_of(address: str, timeout: float) -> tuple[Told, dict[str, int | None]] | None:
    """What a server says of its nodes and its models; None, with a line of it, where it does not answer."""
    try:
        return describe_server(address, timeout)
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


def join_cluster(ray: Any, address: str) -> None:
    """Join a cluster, or start Ray on this machine.  Raises ValueError where no cluster is there."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level="warning")
    except ConnectionError as error:
        raise ValueError(NO_CLUSTER.format(address)) from error


def run_study(ray: Any, plan: Plan, folder: Folder, args: Namespace, addresses: Sequence[str]) -> int:
    """Run a plan on Ray, which has been started.  addresses: servers that say what there is"""
    types, models = ask_servers(addresses, args.timeout)
    servers = [address for address in addresses if address in types] if args.servers else []
    cells = cells_on(types, models, plan, args.timeout)
    folder.keep(plan)
    set_faulty_aside(folder, cells)
    crew = OnRay(ray, runner_of(plan, folder, args, types), servers, len(servers) or args.actors, args.batch)
    tally = passes(folder, cells, crew)
    rows = write_summary(
        folder, plan, cells, args.plan.stem, f"{count_of(len(cells), 'cell')} on {count_of(crew.actors, 'actor')}."
    )
    write_parquet(folder.path / "results.parquet", rows)
    done = len({row["id"] for row in rows})
    print(f"{report_text(rows, plan.every_axis)}\n{done} of {len(cells)} cells are in {folder.path}")
    if words := left_over(folder, cells, tally, [server for server in servers if server not in crew.servers]):
        print(words, file=sys.stderr)
    return int(done < len(cells))


def runner_of(plan: Plan, folder: Folder, args: Namespace, types: Mapping[str, Told]) -> dict[str, Any]:
    """What every actor is made with."""
    return {
        "root": str(process.ROOT),
        "output": str(folder.path.resolve() if isinstance(folder.path, Path) else folder.path),
        "measures": list(plan.measures),
        "host": "" if args.servers else args.comfyui or str(process.find_comfyui()),  # at this place on their machines
        "cpu": args.cpu,
        "reports": all(REPORT_NODE in nodes for nodes in types.values()),
        "patience": (args.timeout, PAUSES),
        "rules": os.environ.get(OFFERED, ""),
    }


def main(words: Sequence[str] | None = None) -> int:
    """Run a plan where the command line says.  words: of the command line, None for its own"""
    args = parse("study", words)
    args.output = args.output or str(OUTPUT / args.plan.stem)
    if args.report:
        return print_report(args.output)
    if args.servers or args.ray:
        return run_on_cluster(args)
    where = [f"--{name}={value}" for name in ("server", "comfyui", "name", "rule") if (value := getattr(args, name))]
    where += [f"--{name}" for name in ("cpu", "yes") if getattr(args, name)]
    return sweep.main(["--plan", str(args.plan), f"--output={args.output}", f"--timeout={args.timeout}", *where])


def run_on_cluster(args: Namespace) -> int:
    """Start Ray or join a cluster, and run the plan there."""
    cluster = args.ray or os.environ.get("RAY_ADDRESS") or LOCAL
    if cluster == LOCAL:
        keep_to_this_machine()
    try:
        import ray
        import ray.exceptions
    except ImportError:
        print(NO_RAY, file=sys.stderr)
        return 2
    try:
        offer_rules(values_of(args.rule))
        plan = read_plan(args.plan)
        folder = Folder(place_at(args.output))
        with alone(folder.path):
            plan = agree_plan(plan, folder, args.yes)
            join_cluster(ray, cluster)
            if args.servers:
                servers = [each.strip() for each in args.servers.split(",") if each.strip()]
                return run_study(ray, plan, folder, args, servers)
            with sweep.serving(args) as client:  # what there is; it runs no cell
                return run_study(ray, plan, folder, args, [client.address])
    except BrokenPipeError:  # of what is printed; a server's is a ServerFault
        raise
    except (ValueError, *FAULTS) as error:
        print(describe_failure(error, "A server"), file=sys.stderr)
    except ray.exceptions.RayError as error:
        print(GAVE_UP.format(" ".join(str(error).split())[-300:]), file=sys.stderr)
    return 2


def print_report(address: str) -> int:
    """Print the report of a study again, from what its folder holds; nothing runs."""
    try:
        plan, rows = read_results(place_at(address))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(report_text(rows, plan.every_axis), end="")
    return 0
