"""Many jobs of several clients at once, some of them interrupted, on a host that is killed now and then.

Every job has a number in the names of its files, so that what it made is told from what others make. Where it ends by
itself it must have made, to the bit, what it makes alone; where it was stopped, no file may be cut, and it is done
again. Some ask for a record for the Guidance tab, which must list the same runs as it does for the job alone.
"""

from __future__ import annotations

import json
import math
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from random import Random
from typing import Any

import psutil

from ...sweeps.comfyui.answers import ServerFault
from ...sweeps.comfyui.client import Client
from ...sweeps.comfyui.process import Server, StartError
from .mixed_jobs import UNFINISHED, Folder, broken_files, checksum, numbered_job
from .sites import SAY, Site, first_results, forget

CLIENTS = 3
STOPPED, RECORDED = 0.25, 0.3  # of all jobs
PER_KILL = 100  # jobs
SETTLED = 0.6  # of all jobs, after which no host is killed: the last one shows what long use costs
MOST_GROWN = 50  # MB of memory between the second and the last quarter of the last host's life
LOOK, NOTICED = 0.25, 5.0  # seconds between two looks at a host, and until its death is seen
STARTS = 3  # tries
MOST_SAID = 20  # complaints
OF_THE_HOST = ".latent"  # what the host's own node writes, and not under another name first
RECORD: dict[str, Any] = {"extra_data": {"guidance_geometry": {"record": True}}}
OK, STOP, ERROR, CUT = "execution_success", "execution_interrupted", "execution_error", "cut by a kill"


def mixed_use(
    site: Site, jobs: Mapping[str, dict], count: int, rng: Random, minutes: float = math.inf
) -> tuple[list[str], bool]:
    """Let clients do so many jobs; what came of them in sentences, and whether all is well.

    minutes: after which no job is begun.
    """
    with site.live() as (_, client):
        lengths = first_results(client, site, jobs)
        listed = {name: runs_listed(client, name, prompt) for name, prompt in jobs.items()}
    shared = SharedHost(site, jobs, lengths, listed, count, time.monotonic() + 60 * minutes)
    kills = sorted(rng.sample(range(1, max(2, int(SETTLED * count))), count // PER_KILL))
    with ThreadPoolExecutor(CLIENTS) as pool:
        users = [pool.submit(shared.use, Random(rng.random())) for _ in range(CLIENTS)]
        shared.serve(kills, users, rng)
    shared.complaints += [repr(user.exception()) for user in users if user.exception()]
    return shared.lines(), shared.is_fine()


def runs_listed(client: Client, name: str, prompt: dict) -> int:
    """How many runs the Guidance tab lists of a job that asks for it, done from the start."""
    forget(client)
    return len(runs_of(client, client.run(numbered_job(prompt, 0), **RECORD).prompt_id))


def runs_of(client: Client, prompt_id: str) -> list:
    """What the Guidance tab lists of a job."""
    return json.loads(client.get("/guidance_geometry/tab/runs", prompt_id=prompt_id) or b"{}").get("runs", [])


class SharedHost:
    """A host of several clients, and the next one where it was killed.

    jobs: what they ask for. lengths: seconds of each alone. listed: runs that the tab lists of each. begun: so many
    jobs, of `count` at most. end: after which none is. counts: what came of them. memory: of the last host, in MB.
    """

    def __init__(
        self,
        site: Site,
        jobs: Mapping[str, dict],
        lengths: Mapping[str, float],
        listed: Mapping[str, int],
        count: int,
        end: float = math.inf,
    ):
        self.site, self.jobs, self.lengths, self.listed = site, jobs, lengths, listed
        self.count, self.end, self.begun = count, end, 0
        self.counts: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.memory: list[float] = [0.0]
        self.server: Server | None = None
        self.turn = threading.Condition()
        self.folder = Folder(site.place)

    @property
    def is_over(self) -> bool:
        """Whether no job is begun any more."""
        return self.begun >= self.count or time.monotonic() > self.end

    def serve(self, kills: list[int], users: list[Future], rng: Random) -> None:
        """Keep a host there until all jobs are done.  kills: after how many jobs it is killed"""
        began = time.monotonic()
        try:
            for after in takewhile(lambda _: not self.is_over, kills):
                with started(self.site) as server:
                    self.watch(server, after, users, began)
                    time.sleep(rng.uniform(0, max(self.lengths.values())))
                    self.kill(server)
            with started(self.site) as server:
                self.watch(server, self.count, users, began)
            self.remove_unfinished("left")
        except StartError as error:  # what was seen until then is told all the same
            self.complaints.append(f"the host did not start again: {str(error).splitlines()[0]}")
        finally:
            self.end = 0.0
            self.offer(None)

    def kill(self, server: Server) -> None:
        """Let a host die at once."""
        self.offer(None)
        self.counts["kills"] += 1
        server.process.kill()
        server.process.wait()
        self.remove_unfinished("left by kills")

    def watch(self, server: Server, after: int, users: list[Future], began: float) -> None:
        """Give the clients a host until so many jobs are begun, or all are done."""
        self.offer(server)
        process, spoke = psutil.Process(server.process.pid), time.monotonic()
        self.memory = [process.memory_info().rss / 2**20]
        while not all(user.done() for user in users) and (after == self.count or self.begun < after):
            time.sleep(LOOK)
            self.memory.append(process.memory_info().rss / 2**20)
            if time.monotonic() - spoke > SAY:
                spoke = time.monotonic()
                what = f"{self.begun} of {self.count} jobs, {len(self.complaints)} complaints"
                print(f"  ... {what}, {spoke - began:.0f} s", flush=True)

    def offer(self, server: Server | None) -> None:
        """Tell the clients which host there is."""
        with self.turn:
            self.server = server
            self.turn.notify_all()

    def remove_unfinished(self, what: str) -> None:
        """Count the temporary files, and take them away."""
        for path in self.folder.new():
            if path.name.endswith(UNFINISHED):
                self.counts[what] += 1
                path.unlink()

    def next_server(self) -> Server | None:
        """The host, when there is one; none where all jobs are begun."""
        with self.turn:
            self.turn.wait_for(lambda: self.server is not None or self.is_over)
            return None if self.is_over else self.server

    def next_number(self) -> int:
        """The number of the next job, from 1; 0 where all are begun."""
        with self.turn:
            if self.is_over:
                return 0
            self.begun += 1
            return self.begun

    def use(self, rng: Random) -> None:
        """Be one client: job after job, on the next host where one was killed.  Raises ServerFault of a live host"""
        while server := self.next_server():
            with forgive_the_dead(server), Client(server.address) as client:
                self.use_host(server, client, rng)

    def use_host(self, server: Server, client: Client, rng: Random) -> None:
        """Do jobs on one host.  Raises ServerFault where it dies"""
        again = ""
        while number := self.next_number():
            try:
                again = self.try_job(client, number, again or rng.choice(list(self.jobs)), rng)
            except ServerFault:  # noqa: PERF203 - a job takes seconds
                if is_dead(server):
                    self.judge_files(CUT, number)
                raise

    def try_job(self, client: Client, number: int, name: str, rng: Random) -> str:
        """Do one job and judge it; its name where it is to be done again.  Raises ServerFault"""
        pause = rng.uniform(0, self.lengths[name]) if rng.random() < STOPPED else None
        extra = RECORD if rng.random() < RECORDED else {}
        prompt_id = client.submit(numbered_job(self.jobs[name], number), **extra)

        def stop(kind: str, _: dict) -> None:
            if kind == "execution_start" and pause is not None:
                time.sleep(pause)
                client.cancel(prompt_id)

        job = client.follow(prompt_id, stop)
        complaint = ""
        if job.ending == ERROR:
            complaint = f"{name}: {job.error.get('exception_message', '')}"
        if job.ending == OK and checksum(self.folder.of_job(number)) != self.site.checksums[name]:
            complaint = f"{name}: another result, {[path.name for path in self.folder.of_job(number)]}"
        if job.ending == OK and extra:
            runs = len(runs_of(client, prompt_id))
            if runs != self.listed[name] and not job.cached_nodes:
                complaint = f"{name}: {runs} runs are listed, alone {self.listed[name]}"
            self.count_one("recorded")
        self.judge_files(job.ending, number, complaint)
        return name if job.ending == STOP else ""

    def judge_files(self, ending: str, number: int, complaint: str = "") -> None:
        """Count how a job ended; its files must be whole, and go."""
        files = self.folder.of_job(number)
        cut = [name for name in broken_files(files) if not (ending == CUT and name.endswith(OF_THE_HOST))]
        self.count_one(ending, *([complaint] if complaint else []), *(f"cut off: {name}" for name in cut))
        for path in files:
            path.unlink()

    def count_one(self, what: str, *complaints: str) -> None:
        """Count one of a kind, and keep what is wrong with it."""
        with self.turn:
            self.counts[what] += 1
            self.complaints += complaints

    def quarters(self) -> tuple[float, float]:
        """MB in the second and in the last quarter of the last host's life."""
        quarter = max(1, len(self.memory) // 4)
        early = self.memory[quarter : 2 * quarter] or self.memory
        return statistics.median(early), statistics.median(self.memory[-quarter:])

    def is_fine(self) -> bool:
        """Whether nothing is wrong."""
        early, late = self.quarters()
        return not self.complaints and not self.counts["left"] and late - early <= MOST_GROWN

    def lines(self) -> list[str]:
        """What came of all jobs."""
        counts, (early, late) = self.counts, self.quarters()
        kills = self.counts["kills"]
        total = sum(counts[ending] for ending in (OK, STOP, ERROR, CUT))
        return [
            f"{total:,} jobs of {len(self.jobs)} kinds from {CLIENTS} clients at once: {counts[OK]:,} ended by "
            f"themselves, {counts[STOP]:,} were interrupted at a random time and done again, {counts[CUT]:,} were cut "
            f"off by {kills} kills (SIGKILL) of the host; {counts['recorded']:,} were recorded for the Guidance tab",
            f"other results than alone, errors, truncated files, runs not listed: {len(self.complaints)}",
            f"temporary files left: {counts['left']}; at the moments of the kills: {counts['left by kills']}",
            f"memory of the last host: {early:,.0f} MB in the second quarter of its life, {late:,.0f} MB in the last",
            *self.complaints[:MOST_SAID],
        ]


@contextmanager
def started(site: Site) -> Iterator[Server]:
    """The next host."""
    with ExitStack() as stack:
        yield start_in(stack, site, STARTS)


def start_in(stack: ExitStack, site: Site, tries: int) -> Server:
    """Start a host; on a busy machine that may take longer than anyone waits, and is tried again."""
    try:
        return stack.enter_context(site.start())
    except StartError:
        if tries <= 1:
            raise
    return start_in(stack, site, tries - 1)


@contextmanager
def forgive_the_dead(server: Server) -> Iterator[None]:
    """Take it as no fault that a host does not answer which was killed."""
    try:
        yield
    except ServerFault:
        if not is_dead(server):
            raise


def is_dead(server: Server) -> bool:
    """Whether a host has died, for which it has a moment."""
    end = time.monotonic() + NOTICED
    while server.process.poll() is None and time.monotonic() < end:
        time.sleep(LOOK)
    return server.process.poll() is not None
