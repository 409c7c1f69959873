"""Interrupts, kills, long use and full disks: whether a host computes the same afterwards, and what lies about.

Interrupts: jobs are stopped at random times, and each is done again; it must make what the undisturbed job made, to the
bit. Kills: the host is killed (SIGKILL) at random times while it computes and writes; no file under its own name may be
cut, and a fresh host must do the job. Soak: jobs of all kinds in random order; the same results, and memory that stays.
Mixed: all of that from several clients at once. Disks, names, sockets: what lab/fuzz/surroundings.py says.
`--write` keeps the figures in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from random import Random

import psutil

from ...sweeps.comfyui.client import Client
from .. import markdown
from ..command_line import parser_of
from ..fuzz.catalogue import Catalogue, catalogue_of
from ..fuzz.equipment import equip
from ..fuzz.graphs import seeds
from ..fuzz.mixed_jobs import JOBS, UNFINISHED, Folder, broken_files, trace_job
from ..fuzz.mixed_use import mixed_use
from ..fuzz.sites import Site, first_results, forget, progress, run_job
from ..fuzz.surroundings import NAMES, full_disk, odd_names, sockets

COMMAND = "Written by `python3 dev.py bench reliability --write`"
COUNTS = {"interrupts": 200, "kills": 12, "soak": 500, "mixed": 2000, "disks": 90, "names": len(NAMES), "sockets": 400}
MOST_GROWN = 50  # MB of memory between the second and the last quarter of the soak


def interrupts(site: Site, jobs: dict[str, dict], count: int, rng: Random) -> tuple[list[str], bool]:
    """Stop jobs at random times and do them again."""
    stopped = different = unfinished = 0
    halves: list[str] = []
    with site.live() as (_, client):
        seconds = first_results(client, site, jobs)
        for _ in progress(count, "interrupts"):
            name = rng.choice(list(jobs))
            folder = Folder(site.place)
            forget(client)
            prompt_id = client.submit(jobs[name])
            time.sleep(rng.uniform(0, seconds[name]))
            client.interrupt()
            stopped += client.follow(prompt_id).ending == "execution_interrupted"
            halves += broken_files(folder.new())
            unfinished += sum(path.name.endswith(UNFINISHED) for path in folder.new())
            folder.clear()
            different += run_job(client, site, jobs[name]) != site.checksums[name]
    lines = [
        f"{count} interrupts at random times in {len(jobs)} kinds of jobs; {stopped} came before the job's end",
        f"repeated jobs with a different result: {different}",
        f"truncated files: {len(halves)}; temporary files left: {unfinished}",
    ]
    return lines, not (different or halves or unfinished)


def kills(site: Site, jobs: dict[str, dict], count: int, rng: Random) -> tuple[list[str], bool]:
    """Kill the host while it writes; what stands in its folders must be whole, and a fresh host must work."""
    (prompt,) = jobs.values()
    halves: list[str] = []
    whole = unfinished = failed = 0
    with site.live() as (_, client):
        writes = seconds_of_writing(client, site, prompt)
    for _ in progress(count, "kills"):
        folder = Folder(site.place)
        with site.live() as (server, client):
            client.submit(prompt)
            wait_for_a_file(folder)
            time.sleep(rng.uniform(0, writes))
            server.process.kill()
            server.process.wait()
        halves += broken_files(folder.new())
        unfinished += sum(path.name.endswith(UNFINISHED) for path in folder.new())
        whole += len(folder.new())
        folder.clear()
    with site.live() as (_, client):
        failed = run_job(client, site, prompt) != run_job(client, site, prompt)
    lines = [
        f"{count} kills (SIGKILL) of a host that writes traces, figures and a classifier; "
        f"{whole - unfinished} files were there afterwards",
        f"truncated files: {len(halves)}; hidden temporary files left: {unfinished}",
        f"the restarted host finished the job: {'no' if failed else 'yes'}",
    ]
    return lines, not (halves or failed)


def seconds_of_writing(client: Client, site: Site, prompt: dict) -> float:
    """From the first file of a job to its end, on a fresh host."""
    folder = Folder(site.place)
    prompt_id = client.submit(prompt)
    wait_for_a_file(folder)
    began = time.monotonic()
    client.follow(prompt_id)
    folder.clear()
    return time.monotonic() - began


def wait_for_a_file(folder: Folder, seconds: float = 60.0) -> None:
    """Until the first file appears."""
    end = time.monotonic() + seconds
    while not folder.new() and time.monotonic() < end:
        time.sleep(0.005)


def soak(site: Site, jobs: dict[str, dict], count: int, rng: Random) -> tuple[list[str], bool]:
    """Many jobs, one after the other, some of them from the cache's start."""
    different, memory = 0, []
    with site.live() as (server, client):
        first_results(client, site, jobs)
        process = psutil.Process(server.process.pid)
        for _ in progress(count, "soak"):
            name = rng.choice(list(jobs))
            different += run_job(client, site, jobs[name]) != site.checksums[name]
            memory.append(process.memory_info().rss / 2**20)
    quarter = max(1, count // 4)
    early, late = statistics.median(memory[quarter : 2 * quarter] or memory), statistics.median(memory[-quarter:])
    lines = [
        f"{count} jobs of {len(jobs)} kinds in random order, each computed anew; results that differ: {different}",
        f"memory of the process: {early:,.0f} MB in the second quarter, {late:,.0f} MB in the last; "
        f"between {min(memory):,.0f} and {max(memory):,.0f} MB over all",
    ]
    return lines, not different and late - early <= MOST_GROWN


def jobs_of(catalogue: Catalogue) -> dict[str, dict]:
    """One job of every sort."""
    return {name: make(catalogue, seed) for seed, (name, make) in enumerate(JOBS.items(), start=1)}


def writing(catalogue: Catalogue) -> dict:
    """Everything that writes, in one job."""
    parts = {
        "again": trace_job(catalogue, 1),
        "trained": JOBS["trained"](catalogue, 2),
        "drawn": JOBS["drawn"](catalogue, 3),
    }
    return {f"{part} {node}": move_wires(facts, part) for part, graph in parts.items() for node, facts in graph.items()}


def move_wires(facts: dict, part: str) -> dict:
    """A node whose wires lead to the nodes of its own part."""
    inputs = facts["inputs"].items()
    return facts | {"inputs": {k: [f"{part} {v[0]}", v[1]] if isinstance(v, list) else v for k, v in inputs}}


def options_of() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__, markdown.PERFORMANCE)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(COUNTS)}; default: all")
    for name, count in COUNTS.items():
        parser.add_argument(f"--{name}", type=int, default=count, help=f"how many; default: {count:,}")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of mixed, after which no job is begun")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unknown := {*options.parts} - COUNTS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(COUNTS)}")
    return options


def main() -> int:
    """Measure, print, and fail where something differs, is cut off, or grows."""
    options, fine = options_of(), True
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # on a busy machine the host's threads would wait for each other
    with tempfile.TemporaryDirectory(prefix="reliability-", ignore_cleanup_errors=True) as base:
        site = Site(Path(base), options.host.resolve())
        equip(site.place)
        with site.live() as (_, client):
            catalogue = catalogue_of(json.loads(client.get("/object_info")), site.pack)
        jobs, everything = jobs_of(catalogue), {"everything that writes": writing(catalogue)}
        mixed = partial(mixed_use, minutes=options.minutes)
        for part, heading, measure, what in (
            ("interrupts", "Interrupts", interrupts, jobs),
            ("kills", "Kills", kills, everything),
            ("soak", "Long use", soak, jobs),
            ("mixed", "Several clients, interrupts and kills at once", mixed, jobs),
            ("disks", "Full and read-only disks", full_disk, jobs),
            ("names", "Names of files and folders", odd_names, jobs),
            ("sockets", "Sockets", sockets, seeds(catalogue)),
        ):
            if part in (options.parts or COUNTS):
                count = getattr(options, part)
                fine &= print_section(heading, *measure(site, what, count, Random(options.seed)), options.write)
    return int(not fine)


def print_section(heading: str, lines: list[str], fine: bool, keep: bool) -> bool:
    """Print a section, and keep it if that is wanted."""
    print("\n".join([f"## {heading}", *lines, "" if fine else "FAILED"]), flush=True)
    if keep:
        markdown.put_section(markdown.PERFORMANCE, heading, f"{COMMAND}.", markdown.bullets(lines))
    return fine


if __name__ == "__main__":
    sys.exit(main())
