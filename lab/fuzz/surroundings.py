"""Disks that are full or read-only, names of every sort, and whom a host talks to.

Full: a disk of memory is filled so far that a job's files fit in part; the job must say so or be whole, no file may be
cut, and with room it must make what it made before. Names: of files, and of the folder in which the host lives.
Sockets: every address that a host with this pack turns to or listens on, told by the kernel.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from random import Random

from ...files.writing import FULL, REMEDIES
from ...sweeps.comfyui.client import Client, Job, JobError, RefusedError
from ...sweeps.comfyui.process import Server, running
from .mixed_jobs import PREFIX, UNFINISHED, Folder, broken_files
from .sites import Site, first_results, forget, progress, run_job

ROOM = 32 << 20  # bytes of the disk
SPARE = "spare"  # the file that fills it
ON_DISK = ("output", "temp", "models/classifiers")  # folders of the host
OF_THE_HOST = ("SaveLatent",)  # its error is the host's own
READ_ONLY = REMEDIES[errno.EROFS]
MOST_SAID = 20  # faults
FOLDER = "\u5f71\u50cf \u00dcbung \U0001f9ea with spaces, 'quotes' & " + "long" * 20
NAMES = (
    *("\u5f71\u50cf/\u30ac\u30a4\u30c0\u30f3\u30b9", "\U0001f9ea run", "e\u0301te\u0301", "\u05de\u05d1\u05d7\u05df"),
    *("n" * 200, "n" * 201, "\u00e9" * 100, "\u00e9" * 101, "deep/" * 10 + "x", "runs/" * 300),
    *("a b  c", "-rf", "--", "...", ".hidden", "con", "aux.txt", "a%20b", "%year%-%month%", "a'b\"c", "a;b&c|d"),
    *("$(id)", "`id`", "a\tb", "a\nb", "a\0b", "../out", "a/../../out", "/etc/out", "a\\b", "", " ", "~", "*?", "<a>"),
)
ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
CALLS = "connect,bind,sendto,sendmsg"


def full_disk(site: Site, jobs: Mapping[str, dict], count: int, rng: Random) -> tuple[list[str], bool]:
    """Do jobs on a disk that fills up at another place each time, and on one that is read-only."""
    jobs = {name: without_hosts(prompt) for name, prompt in jobs.items()}
    seen: Counter[str] = Counter()
    faults: list[str] = []
    if trouble := mount_trouble(site.place):
        return [f"not measured: no file system can be mounted here ({trouble})"], True
    with small_disk(site.place) as disk, site.live() as (_, client):
        first_results(client, site, jobs)
        sizes = {name: sizes_of(client, site, prompt) for name, prompt in jobs.items()}
        for number in progress(count, "full disks"):
            name = list(jobs)[number % len(jobs)]
            fill(disk, rng.randrange(sum(sizes[name]) + 1))
            faults += judge_job(client, site, jobs[name], f"{name}, full", FULL, len(sizes[name]), seen)
            (disk / SPARE).unlink()
            seen["different"] += run_job(client, site, jobs[name]) != site.checksums[name]
        for name, prompt in jobs.items():
            remount(disk, "ro")
            faults += judge_job(client, site, prompt, f"{name}, read-only", READ_ONLY, len(sizes[name]), seen)
            remount(disk, "rw")
            seen["different"] += run_job(client, site, prompt) != site.checksums[name]
    lines = [
        f"{count} jobs of {len(jobs)} kinds on a disk with room for a random part of their files, and {len(jobs)} on "
        f"one that is read-only: {seen['kept']} ended well, with their results in the graph and a sentence about what "
        f"was not written, {seen['error']} ended with that sentence as an error, {seen['whole']} had room enough",
        f"other errors, files of whose absence nothing is said, truncated and temporary files: {len(faults)}",
        f"jobs with another result once there was room again: {seen['different']}",
        *faults[:MOST_SAID],
    ]
    return lines, not faults and not seen["different"]


def judge_job(
    client: Client, site: Site, prompt: dict, name: str, remedy: str, whole: int, seen: Counter[str]
) -> list[str]:
    """Do a job that may not write all; count how it ended, and return what is wrong with that.  whole: so many files"""
    folder = Folder(site.place)
    forget(client)
    job = client.follow(client.submit(prompt))
    files = folder.new()
    faults = [f"{name}: {one} is cut off" for one in broken_files(files)]
    faults += [f"{name}: {path.name} is left" for path in files if path.name.endswith(UNFINISHED)]
    if remedy in words_of(job):
        seen["error" if job.error else "kept"] += 1
    elif job.error:
        faults.append(f"{name}: {job.error.get('exception_message')}")
    elif len(files) == whole:
        seen["whole"] += 1
    else:
        faults.append(f"{name}: {len(files)} of {whole} files, and {words_of(job)}")
    folder.clear()
    return faults


def words_of(job: Job) -> str:
    """All that the nodes of a job say, and its error."""
    texts = [text for output in job.outputs.values() for text in output.get("text", ())]
    return " ".join(map(str, [*texts, job.error.get("exception_message", "")]))


def without_hosts(prompt: dict) -> dict:
    """A job in which nothing is written by nodes of the host, whose errors are its own."""
    return {node: facts for node, facts in prompt.items() if facts["class_type"] not in OF_THE_HOST}


def sizes_of(client: Client, site: Site, prompt: dict) -> list[int]:
    """Bytes of each file that a job writes."""
    folder = Folder(site.place)
    forget(client)
    client.run(prompt)
    sizes = [path.stat().st_size for path in folder.new()]
    folder.clear()
    return sizes


def mount_trouble(place: Path) -> str:
    """Why no small file system can be made here ('' if one can)."""
    try:
        with small_disk(place):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return str(getattr(error, "stderr", None) or error).strip()


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A small file system in memory, on which a host's folders for results lie, with what is in them."""
    disk, mounted = place / "disk", []
    disk.mkdir(exist_ok=True)
    try:
        mount("-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", disk)
        mounted.append(disk)
        for name in ON_DISK:
            (place / name).mkdir(parents=True, exist_ok=True)
            shutil.copytree(place / name, disk / name)
            mount("--bind", disk / name, place / name)
            mounted.append(place / name)
        yield disk
    finally:
        for folder in reversed(mounted):
            subprocess.run(["umount", "--lazy", folder], check=True)


def mount(*words: str | Path) -> None:
    """Mount something.  Raises CalledProcessError"""
    subprocess.run(["mount", *words], capture_output=True, text=True, check=True)


def remount(disk: Path, mode: str) -> None:
    """Make a file system read-only (ro) or not (rw)."""
    mount("-o", f"remount,{mode}", disk)


def fill(disk: Path, room: int) -> None:
    """Fill a disk up to so many bytes."""
    size = max(0, shutil.disk_usage(disk).free - room)
    with (disk / SPARE).open("wb") as file:
        file.write(bytes(size))


def odd_names(site: Site, jobs: Mapping[str, dict], count: int, rng: Random) -> tuple[list[str], bool]:
    """Files of every sort of name, and a host that lives in a folder of such a name."""
    names, seen, faults = [*NAMES[:count]], Counter(), []
    rng.shuffle(names)
    prompt = without_hosts(jobs["drawn"])
    with site.live() as (_, client):
        first_results(client, site, jobs)
        for name in names:
            ending, wrong = try_name(client, site, prompt, name)
            seen[ending] += 1
            faults += wrong
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        other = Site(Path(base) / FOLDER, site.host)
        with other.live() as (_, client):
            different = [name for name in jobs if run_job(client, other, jobs[name]) != site.checksums[name]]
    lines = [
        f"{len(names)} names of files: {seen['written']} are written and open, {seen['refused']} are refused with a "
        f"sentence before any work; other ends, and files outside the folder: {len(faults)}",
        f"{len(jobs)} kinds of jobs of a host in a folder with spaces, quotes, an emoji and other scripts in a name of "
        f"{len(FOLDER.encode())} bytes: {len(different)} with another result",
        *faults[:MOST_SAID],
        *different,
    ]
    return lines, not faults and not different


def try_name(client: Client, site: Site, prompt: dict, name: str) -> tuple[str, list[str]]:
    """Do a job with this name for its files: how it ended, and what is wrong with that."""
    folder, around = Folder(site.place), set(site.place.iterdir())
    renamed = {
        node: facts | {"inputs": {key: name if value == PREFIX else value for key, value in facts["inputs"].items()}}
        for node, facts in prompt.items()
    }
    ending, wrong = "written", []
    try:
        client.run(renamed)
        wrong = [f"{name!r}: {one} is cut off" for one in broken_files(folder.new())]
        wrong += [] if folder.new() else [f"{name!r}: nothing was written"]
    except RefusedError as refused:
        ending = "refused"
        wrong = [] if "filename_prefix is " in str(refused) else [f"{name!r}: {refused}"]
    except JobError as failed:
        ending, wrong = "failed", [f"{name!r}: {failed}"]
    wrong += [f"{name!r}: {path} is outside" for path in {*site.place.iterdir()} - around]
    folder.clear()
    return ending, wrong


class Overheard(Site):
    """A host whose calls for sockets the kernel writes down.  calls: there"""

    def __init__(self, place: Path, host: Path):
        super().__init__(place, host)
        self.calls = place / "calls"

    def start(self, port: int = 0) -> AbstractContextManager[Server]:
        """The host, under strace; it is the child that is started, and ends as any other."""
        tracer = self.place / "tracer"
        watch = f"strace --daemonize -f -qq --seccomp-bpf -e signal=none -e trace={CALLS} -o '{self.calls}'"
        tracer.write_text(f"#!/bin/sh\nexec {watch} '{sys.executable}' \"$@\"\n", encoding="utf-8")
        tracer.chmod(0o700)
        return running(tracer, self.host, self.place / "host.log", self.options, self.pack, port)


def sockets(site: Site, graphs: Mapping[str, dict], count: int, rng: Random) -> tuple[list[str], bool]:
    """Have a host do a job around every node, and see with whom it talks."""
    if not shutil.which("strace"):
        return ["not measured: strace is not installed"], True
    chosen = rng.sample(sorted(graphs), min(count, len(graphs)))
    other, ended = Overheard(site.place, site.host), 0
    with other.live() as (_, client):
        for number in progress(len(chosen), "jobs under strace"):
            with suppress(RefusedError):
                ended += client.follow(client.submit(graphs[chosen[number]])).ending == "execution_success"
    found = addresses_in(other.calls.read_text(encoding="utf-8", errors="replace"))
    outside = {one: times for one, times in found.items() if not is_own(one)}
    lines = [
        f"{len(chosen)} jobs, around each node of the pack and each output of the templates, of which {ended} ended "
        f"well: {found.total():,} calls ({CALLS.replace(',', ', ')}) name an address",
        f"addresses other than loopback: {', '.join(outside) or 'none'}",
    ]
    return lines, bool(found) and not outside


def addresses_in(calls: str) -> Counter[str]:
    """The network addresses in what strace has written, and how often each stands there."""
    return Counter(next(filter(None, match.groups())) for match in ADDRESS.finditer(calls))


def is_own(address: str) -> bool:
    """Whether an address is of this machine alone."""
    return ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback
