"""Sweeps and studies under kills, and studies on many actors, with servers that compute nothing.

Kills: a study by two actors on two servers, started by its command line; at random moments an actor, a server or the
driver is killed (SIGKILL), and the same command is given again until it has ended well. No row may be lost or be there
twice, and no file may be cut off. Sweep: the same with one server and no Ray. In both the servers give bad pictures now
and then, and after each kill somebody spoils a cell that is done: none may count, and all must be there in the end.

Scaling: Ray Data hands cells to up to 64 actors. Here an actor waits for as long as a server would take, and needs
neither torch nor a connection, since a machine with few cores cannot hold 64 of the real ones: what is measured is
what all cells share, the driver and Ray. Efficiency is against the first count of actors; the driver's memory is that
after a quarter of the cells and at their end.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil

from ...cli.study import keep_to_this_machine
from ...cli.sweep import FIRST_LOOK
from ...dev.fixtures.hostile_answers import large_picture
from ...dev.fixtures.made_up_trace import made_up_trace
from ...dev.fixtures.stub_server import POISON, keep, node_types_of, white_picture
from ...dev.places import ROOT
from ...sweeps.axes import Axis
from ...sweeps.cells import Cell, cells_of
from ...sweeps.cluster.passes import OnRay, Tally
from ...sweeps.cluster.worker import DONE
from ...sweeps.measures import measure
from ...sweeps.plan import Plan
from ...sweeps.results import CELLS, read_results
from ...sweeps.rules import NOTHING
from ...trace.file import load, save
from .. import markdown
from ..markdown import PERFORMANCE

TEXT = markdown.passages(__file__)
LAB, COMMAND = [sys.executable, str(ROOT / "lab")], [sys.executable, str(ROOT)]
KINDS = ("actor", "server", "driver")
ALONE = KINDS[1:]  # of a sweep
BAD = 0.05  # share of the servers' pictures
FRESH = 30.0  # s, of files that are read after a kill
LEAST_EFFICIENCY, MOST_GROWN = 0.9, 20.0  # MB
EVEN = {"worker_niceness": 0}  # Ray's own 15 would wait for everything else on a busy machine
SECONDS = 0.05  # of a simulated cell


@dataclass
class Site:
    """A study under kills, or a sweep.  kinds: of kills. servers: by port. driver: the command that runs now."""

    place: Path
    cells: int
    rng: Random
    kinds: Sequence[str] = KINDS
    servers: dict[int, subprocess.Popen] = field(default_factory=dict)
    driver: Any = None  # a subprocess.Popen, once the command runs
    starts: int = 0
    kills: list[str] = field(default_factory=list)
    halves: list[str] = field(default_factory=list)
    spoilt: list[str] = field(default_factory=list)  # files

    @property
    def folder(self) -> Path:
        """Where its results come."""
        return self.place / "study"

    def serve(self) -> None:
        """Start the servers that are not there, at the ports that they had: two in all, for a sweep one."""
        for port in list(self.servers) or [0] * (len(self.kinds) - 1):
            if port and self.servers[port].poll() is None:
                continue
            seed = str(self.rng.random())
            command = [*LAB, "fixtures.hostile_answers", str(self.place), "0", str(port), str(BAD), seed]
            process: Any = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self.servers[int(process.stdout.readline().rpartition(":")[2])] = process

    def start(self) -> None:
        """Give the command."""
        self.serve()
        self.starts += 1
        plan, addresses = str(self.place / "plan.json"), ",".join(f"http://127.0.0.1:{port}" for port in self.servers)
        study, sweep = ["study", plan, "--servers"], ["sweep", "--plan", plan, "--server"]
        command = [*COMMAND, *(sweep if self.kinds == ALONE else study), addresses, "--output"]
        with (self.place / f"driver-{self.starts}.log").open("w") as log:
            env = os.environ | {f"RAY_{name}": str(value) for name, value in EVEN.items()}
            self.driver = subprocess.Popen([*command, str(self.folder)], stdout=log, stderr=log, env=env)

    def end(self) -> None:
        """Leave nothing of it behind."""
        for process in [*self.servers.values(), *([self.driver] if self.driver else [])]:
            end_all(process)

    def count_rows(self) -> int:
        """How many rows are there."""
        return sum(name.suffix == ".json" for name in (self.folder / CELLS).glob("[!.]*"))


def end_all(process: subprocess.Popen) -> None:
    """Kill a process and what it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        ours = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        _, left = psutil.wait_procs(ours, timeout=20)  # Ray ends by itself when its driver is gone
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=10)


def kill(site: Site, kind: str) -> bool:
    """Kill one of a kind; whether there was one."""
    if kind == "driver":
        end_all(site.driver)
        return True
    if kind == "server":
        alive = [process for process in site.servers.values() if process.poll() is None]
        if alive:
            victim = site.rng.choice(alive)
            victim.kill()
            victim.wait()
        if site.kinds == ALONE:
            time.sleep(site.rng.uniform(0, 2))
            site.serve()
        return bool(alive)
    actors = [process for process in psutil.Process(site.driver.pid).children(recursive=True) if is_actor(process)]
    if actors:
        site.rng.choice(actors).send_signal(signal.SIGKILL)
    return bool(actors)


def is_actor(process: psutil.Process) -> bool:
    """Whether a process of Ray runs cells."""
    with contextlib.suppress(psutil.Error):
        return "CellRunner" in " ".join(process.cmdline())
    return False


def wait_for(site: Site, count: int) -> bool:
    """Until so many rows are there; False where the command ends before."""
    while site.driver.poll() is None:
        if site.count_rows() >= count:
            time.sleep(site.rng.uniform(0, 0.3))
            return site.driver.poll() is None
        time.sleep(0.05)
    return False


def kills(site: Site, count: int) -> None:
    """Kill one after the other, each after some more rows; then let the study end."""
    kinds = [site.kinds[number % len(site.kinds)] for number in range(count)]
    site.rng.shuffle(kinds)
    marks = sorted(site.rng.sample(range(site.cells // 50 + 1, site.cells - site.cells // 20), count))
    site.start()
    for kind, mark in zip(kinds, marks, strict=True):
        while not (wait_for(site, mark) and kill(site, kind)):
            again(site)
        site.kills.append(kind)
        print(f"  {site.count_rows()} of {site.cells} rows: killed the {kind}", flush=True)
        site.halves += [fault for fault in broken_files(site.folder, FRESH) if fault.split(":")[0] not in site.spoilt]
        spoil(site)
    while site.driver.wait():
        again(site)


def again(site: Site) -> None:
    """Give the command again if it has ended.  Raises RuntimeError where it does not come forward."""
    if site.driver.poll() is None:
        time.sleep(0.2)
        return
    log = (site.place / f"driver-{site.starts}.log").read_text(encoding="utf-8")
    if site.starts > 4 * len(KINDS) + 4 * len(site.kills):
        raise RuntimeError(log[-2000:])
    if site.driver.returncode != -signal.SIGKILL:
        print(f"  the command ended by itself: {(log.splitlines() or [''])[-1]}", flush=True)
    site.start()


def broken_files(folder: Path, fresh: float | None = None) -> list[str]:
    """Files under their own names that cannot be read.  fresh: only those of the last seconds"""
    since = time.time() - fresh if fresh else 0
    named = [path for path in folder.rglob("[!.]*") if path.is_file() and path.stat().st_mtime >= since]
    return [f"{path.name}: {words}" for path in named if (words := fault_of(path))]


def fault_of(path: Path) -> str:
    """What is wrong with a file, "" for nothing."""
    from PIL import Image

    readers = {
        ".json": lambda: json.loads(path.read_bytes()),
        ".safetensors": lambda: load(path),
        ".png": lambda: Image.open(path).load(),
        ".parquet": lambda: ids_of(path),
    }
    try:
        readers.get(path.suffix, path.read_bytes)()
    except Exception as error:  # noqa: BLE001  every reader has its own
        return f"{type(error).__name__}: {error}"
    return ""


def ids_of(file: Path) -> list[str]:
    """The ids in a table of Parquet."""
    from pyarrow import parquet

    return parquet.read_table(file)["id"].to_pylist()


def count_results(site: Site) -> dict[str, Any]:
    """What the study left, counted."""
    _, rows = read_results(site.folder)
    ids = [row["id"] for row in rows]
    lines = csv.DictReader((site.folder / "results.csv").read_text(encoding="utf-8").splitlines())
    tables = [[line["id"] for line in lines]]
    if site.kinds != ALONE:
        tables.append(ids_of(site.folder / "results.parquet"))
    rejected = site.folder / "rejected"
    return {
        "lost": site.cells - len({row["place"]["seed"] for row in rows}),
        "doubled": len(ids) - len(set(ids)),
        "tables that differ": sum(table != ids for table in tables),
        "set aside": len(list(rejected.iterdir())) if rejected.exists() else 0,
        "wrong": sum(is_wrong(site, row) for row in rows),
        "half files": len(site.halves) + len(broken_files(site.folder)),
        "hidden files left": len(list(site.folder.rglob(".*"))),
    }


def spoil(site: Site) -> None:
    """Change, cut off or delete a file of a cell that is done."""
    row = site.rng.choice(sorted((site.folder / CELLS).glob("[!.]*.json")))
    told = json.loads(row.read_bytes())
    picture, trace = row.with_suffix(".png"), row.with_suffix(".safetensors")
    ways = [(picture, data) for data in (None, b"", b"<html>", picture.read_bytes()[:50], large_picture())]
    ways += [(trace, data) for data in (None, trace.read_bytes()[:-1], bytes(trace.stat().st_size))]
    odd = ({"measures": {"strength": "much"}}, {"id": "another"}, {"trace_bytes": None})
    ways += [(row, data) for data in (b"{", *(json.dumps(told | one).encode() for one in odd))]
    file, data = site.rng.choice(ways)
    file.unlink() if data is None else file.write_bytes(data)
    site.spoilt.append(file.name)


def is_wrong(site: Site, row: Mapping[str, Any]) -> bool:
    """Whether a row has something else than the servers made."""
    trace, picture = ((site.folder / CELLS / f"{row['id']}.{end}").read_bytes() for end in ("safetensors", "png"))
    same = (trace, picture) == tuple((site.place / name).read_bytes() for name in ("trace", "picture"))
    return not same or row["measures"]["strength"] != measure(made_up_trace(), ["strength"])["strength"]


def killed_study(cells: int, count: int, seed: int, kinds: Sequence[str] = KINDS) -> tuple[list[str], bool]:
    """The kill test, in words, and whether all is well."""
    with tempfile.TemporaryDirectory(prefix="bench-study-", ignore_cleanup_errors=True) as place:
        site = Site(Path(place), cells, Random(seed), kinds)
        seeds = tuple(POISON + 1 + number for number in range(cells))
        plan = Plan(json.loads(FIRST_LOOK.read_text(encoding="utf-8")), (Axis("seed", seeds),))
        (site.place / "plan.json").write_text(plan.text(), encoding="utf-8")
        save(made_up_trace(), site.place / "made_up.safetensors")
        told = node_types_of(cells_of(plan, NOTHING, {}, "1")[0].prompt)
        keep(site.place, told, (site.place / "made_up.safetensors").read_bytes(), white_picture())
        began = time.monotonic()
        try:
            kills(site, count)
            found = count_results(site)
        finally:
            site.end()
        by_kind = ", ".join(f"{site.kills.count(kind)} of the {kind}" for kind in kinds)
        whose = "no Ray" if kinds == ALONE else "2 actors"
        lines = [
            f"{cells:,} cells, {whose}, {count} kills ({by_kind}), seed {seed}: {site.starts} starts of the command, "
            f"{time.monotonic() - began:.0f} s",
            ", ".join(f"{name}: {value}" for name, value in found.items())
            + f"; {len(site.spoilt)} cells were spoilt, {BAD:.0%} of the pictures bad",
            *site.halves,
        ]
    return lines, not any(value for name, value in found.items() if name != "hidden files left")


class Waiting:
    """An actor whose server takes a while and makes nothing."""

    def __init__(self, seconds, seats):
        self.seconds = seconds

    def __call__(self, row):
        """Wait for a cell."""
        import time

        time.sleep(self.seconds)
        return {"id": row["id"], "end": "done", "words": "", "server": "", "process": time.time()}


class Watched(Tally):
    """Notes when rows were done, by their actors' clock, and the driver's memory after a quarter and after all."""

    def __init__(self, total: int):
        super().__init__()
        self.total = total
        self.times: list[float] = []
        self.memory: list[float] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row."""
        super().add(row)
        self.times += [row["process"]] if row["end"] == DONE else []
        if len(self.times) in (self.total // 4, self.total):
            self.memory.append(psutil.Process().memory_info().rss / 2**20)

    def rate(self, warm: int) -> float:
        """Rows per second, from when so many were done to the last."""
        times = sorted(self.times)
        return (len(times) - warm) / (times[-1] - times[warm - 1])


def rate_of(ray: Any, actors: int, per_actor: int, batch: int) -> tuple[float, float]:
    """Cells per second of so many actors once all have begun, and the megabytes that the driver grew by."""
    cells = [Cell(f"{number:016x}", {"seed": number}, {}) for number in range(actors * per_actor)]
    crew: Any = OnRay(ray, {"seconds": SECONDS}, [], actors, batch)
    crew.kind = Waiting
    tally = Watched(len(cells))
    with contextlib.redirect_stdout(None):
        crew(cells, tally)
    return tally.rate(actors * batch), tally.memory[-1] - tally.memory[0]


def scaling_lines(counts: Sequence[int], per_actor: int, batch: int) -> Iterator[tuple[str, bool]]:
    """A line for every count of actors, and whether it is within the limits."""
    keep_to_this_machine()
    import ray
    from ray import cloudpickle

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, _system_config=EVEN)
    context = ray.data.DataContext.get_current()
    context.wait_for_min_actors_s = 1200  # all are there before the first cell
    cloudpickle.register_pickle_by_value(sys.modules[Waiting.__module__])
    try:
        first = None
        for actors in counts:
            rate, grown = rate_of(ray, actors, per_actor, batch)
            first = first or rate / actors
            share, ideal = rate / actors / first, rate * SECONDS / actors
            line = (
                f"{actors:3} actors: {rate:7.1f} cells/s, {share:.0%} of linear, {ideal:.0%} of what the servers do; "
                f"the driver grew by {grown:.1f} MB"
            )
            yield line, share >= LEAST_EFFICIENCY and grown <= MOST_GROWN
    finally:
        ray.shutdown()


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("kills", "sweep", "scaling"), help="one of them; default: all")
    parser.add_argument("--cells", type=int, default=600, help="under kills")
    parser.add_argument("--kills", type=int, default=15, help="in a study, and as many in a sweep")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--actors", default="1,4,16,64")
    parser.add_argument("--per-actor", type=int, default=400, help="cells of every simulated actor")
    parser.add_argument("--batch", type=int, default=20, help="cells that a simulated actor takes at once")
    parser.add_argument("--write", action="store_true", help="keep what is printed in docs/performance.md")
    return parser.parse_args()


def main() -> int:
    """Measure, print, and fail beyond a limit."""
    args, said, fine = options(), [], True
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays behind
    for part, kinds in (("kills", KINDS), ("sweep", ALONE)):
        if args.part in (None, part):
            lines, well = killed_study(args.cells, args.kills, args.seed, kinds)
            print("\n".join(lines), flush=True)
            said, fine = said + lines, fine and well
    if args.part in (None, "scaling"):
        print(f"simulated servers of {1000 * SECONDS:.0f} ms, {args.per_actor} cells an actor, {args.batch} at once; "
              f"limits: {LEAST_EFFICIENCY:.0%} of linear, {MOST_GROWN:.0f} MB", flush=True)  # fmt: skip
        for line, well in scaling_lines([int(one) for one in args.actors.split(",")], args.per_actor, args.batch):
            print(line, flush=True)
            said.append(line.strip())
            fine = fine and well
    if args.write:
        opening = TEXT["OPENING"].format(cores=os.cpu_count())
        markdown.put_section(PERFORMANCE, "Studies under kills", opening, markdown.bullets(said))
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
