"""The runs that jobs had recorded for the Guidance tab: a bounded store, from the recording to the browser."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from threading import Lock, Thread
from typing import Any

import torch
from comfy_execution.progress import NodeState, get_progress_state

from ...files.places import TAB_FOLDER
from ...trace.faults import keep_out
from ...trace.file import save, with_end_alone
from ...trace.trace import Trace
from ..server import prompt_server
from .jobs import RunningJob, job_of, running_job, within
from .node_types import declaration_of
from .panel_record import keep_in_use, portable, record_with_parts, report_on, temporary, temporary_folder
from .users import is_heard

EVENT = "guidance_geometry.run"
VERDICT = "guidance_geometry.verdict"  # the report of a run: it is there before the pictures of its record are
MOST_RUNS = 1000
MOST_BYTES = 256 << 20  # of records and their pictures
MOST_MEGABYTES = 1 << 20
HEAD_START = 0.01  # seconds in which the sampler hands its sample on, before the interpreter is shared
MOST_UNREACHED = 1000  # samplers without a record that are remembered
MOST_EPOCHS = 10_000  # workflows whose epoch is remembered
PICTURES = 8  # steps of a run that are kept as pictures
LOST = "the numbers of this run are not kept, so its verdict cannot be made anew and nothing is compared with it: {}"
Workflow = tuple[str, str | None, str | None]  # its user, its id and its key


@dataclass(frozen=True)
class RunPlace:
    """Where a run was sampled, and how it ended.

    prompt_id: the job.
    node, title: of the user's graph.
    list_index: which element of a list the node worked on.
    index: place among its runs in that job.
    workflow_id: of the browser that queued it, None where none did.
    run: its id.
    steps: how many were recorded.
    ended: why it stopped before its end; empty where it did not.
    when: seconds since 1970.
    key: of the workflow, among those of the same id.
    stopped_at: the step in which it stopped, from 1; None where it did not.
    """

    prompt_id: str
    node: str
    title: str
    list_index: int
    index: int
    workflow_id: str | None
    run: str
    steps: int
    ended: str
    when: float
    key: str | None = None
    stopped_at: int | None = None

    @property
    def sampler(self) -> tuple:
        """What samples again in the next job, if the host's cache does not stand in for it."""
        return self.workflow_id, self.key, self.node, self.list_index, self.index

    def summary(self) -> dict[str, Any]:
        """For the browser."""
        return {"v": 1, **asdict(self)}


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A recorded run, or the numbers of one that only an inspector shows.

    place: where it was sampled.
    user: who alone sees it.
    record: as the inspector shows it, in JSON; empty where the tab does not list the run.
    files: of TAB_FOLDER, that it names.
    size: bytes in memory and on disk.
    lost: why its numbers are not among the files; empty where they are.
    """

    place: RunPlace
    user: str
    record: bytes
    files: frozenset[str]
    size: int
    lost: str = ""

    @property
    def is_listed(self) -> bool:
        """Whether the tab lists it."""
        return bool(self.record)


@dataclass
class RunStore:
    """Runs in the order in which they ended, those of each user within bounds; the oldest go first.

    most_runs, most_bytes: the bounds of a user.
    runs: by their ids, in the order in which they ended.
    user_bounds: bytes by the users who set another bound.
    epochs: user, id and key of a workflow -> another number each time the last record of one of its nodes went, or a
        fresh run was wanted, after which the host's cache is of no use for it.
    numbers: of epochs; each is given once.
    latest_nodes: job and node of the latest runs, of those too that are gone.
    unreached_samplers: samplers that had no record when they last ran.
    lock: held while any of these changes.
    coming: makes the record of a run that has just ended; None before the first.
    """

    most_runs: int = MOST_RUNS
    most_bytes: int = MOST_BYTES
    runs: dict[str, StoredRun] = field(default_factory=dict)
    user_bounds: dict[str, int] = field(default_factory=dict)
    epochs: dict[Workflow, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))  # no two users share one: the host's cache is one
    latest_nodes: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=MOST_RUNS))
    unreached_samplers: dict[tuple, dict[str, Any]] = field(default_factory=dict)
    lock: Any = field(default_factory=Lock)
    coming: Thread | None = None

    def soon(self, work: Callable[[], None]) -> None:
        """Do this beside the job, after what was begun before: its sampler waits for nothing.

        The thread ends with its work. One that lives on would keep a team of OpenMP, and with more threads than cores
        the teams of samplers on a processor sleep between two operations.
        """
        before = self.coming

        def turn() -> None:
            time.sleep(HEAD_START)
            if before:
                before.join()
            with torch.inference_mode():  # as the job was: its tensors know no other
                work()

        coming = Thread(target=turn, name=EVENT)
        coming.start()
        self.coming = coming  # only now: a thread that has not begun cannot be waited for

    def wait_for_runs(self) -> RunStore:
        """The store, when the runs that have ended are in it; not for the event loop, which would wait too."""
        if self.coming:
            self.coming.join()
        return self

    def epoch(self, user: str, workflow_id: str | None, key: str | None = None) -> int:
        """A number that changes when this workflow has lost a record that its cached samplers cannot bring back."""
        return self.epochs.get((user, workflow_id, key), 0)

    def begin_epoch(self, user: str, workflow_id: str | None, key: str | None = None) -> None:
        """Let the next job of this workflow of a user sample again, whatever the host has in its cache."""
        with self.lock:
            self._begin_epoch(user, workflow_id, key)

    def _begin_epoch(self, user: str, workflow_id: str | None, key: str | None) -> None:
        self.epochs.pop((user, workflow_id, key), None)
        self.epochs[user, workflow_id, key] = next(self.numbers)
        drop_oldest(self.epochs, user, MOST_EPOCHS)

    def count(self, prompt_id: str, node: str, list_index: int) -> int:
        """How many runs of this node in this job there are."""
        places = [(run.place.prompt_id, run.place.node, run.place.list_index) for run in self._all() if run.is_listed]
        return places.count((prompt_id, node, list_index))

    def set_bound(self, user: str, megabytes: Any) -> None:
        """Take what a user wants as the bound for the own runs; what is no sensible number leaves the present one."""
        if type(megabytes) is int and 1 <= megabytes <= MOST_MEGABYTES:
            with self.lock:
                self.user_bounds[user] = megabytes << 20
                self._keep_within_bounds(user)

    def add(self, run: StoredRun) -> None:
        """Keep a run, one that has grown in its own place; older ones of its user go until these are within bounds."""
        with self.lock:
            before = self.runs.pop(run.place.run, None)
            self.runs[run.place.run] = run
            self._delete_files(before.files if before else ())
            if run.is_listed:
                self.latest_nodes.append((run.place.prompt_id, run.place.node))
            self._keep_within_bounds(run.user)

    def _keep_within_bounds(self, user: str) -> None:
        names = [name for name, run in self.runs.items() if run.user == user]
        size, most = sum(self.runs[name].size for name in names), self.user_bounds.get(user, self.most_bytes)
        while len(names) > 1 and (len(names) > self.most_runs or size > most):
            size -= self.runs[names[0]].size
            self._let_go(names.pop(0))

    def _let_go(self, name: str) -> None:
        gone = self.runs.pop(name)
        self._delete_files(gone.files)
        samplers = {(run.user, run.place.sampler) for run in self.runs.values()}
        if gone.is_listed and (gone.user, gone.place.sampler) not in samplers:
            self._begin_epoch(gone.user, gone.place.workflow_id, gone.place.key)

    def _delete_files(self, files: Iterable[str]) -> None:
        for file in set(files).difference(*(run.files for run in self.runs.values())):
            with suppress(OSError):  # it is gone, or a browser reads it where an open file stays
                (temporary_folder(TAB_FOLDER) / file).unlink()

    def _all(self) -> list[StoredRun]:
        with self.lock:
            return list(self.runs.values())

    def list_runs(self, user: str, workflow_id: str | None = None, prompt_id: str | None = None) -> list[dict]:
        """Summaries of a job's runs, or of a workflow's, that are this user's; none where neither is named.

        Waits for runs on their way, as `find_run` does: a job is over before its last record is there.
        """
        self.wait_for_runs()
        wanted_id = prompt_id or workflow_id
        seen = [run.place for run in self._all() if run.user == user and run.is_listed] if wanted_id else []
        return [place.summary() for place in seen if wanted_id == (place.prompt_id if prompt_id else place.workflow_id)]

    def find_run(self, user: str, name: str) -> StoredRun | None:
        """A run by its id, None where it is gone or somebody else's."""
        self.wait_for_runs()
        with self.lock:
            run = self.runs.get(name)
        return run if run and run.user == user else None


STORE = RunStore()  # one for the server, as its queue and its history


def publish(
    traced: Callable[[], Trace], failed: Callable[[str], None], ended: str = "", stopped_at: int | None = None
) -> None:
    """Keep a run for the Guidance tab and tell the browser, if the running job asked for that.

    traced: makes its trace. failed: is told a fault. ended: why the run stopped before its end. stopped_at: in which
    step. What the job alone knows is asked here, the rest is done beside it.
    """
    server, job = prompt_server(), running_job()
    if server is None or job is None or not job.wants_records:
        return
    trace, node = traced(), job.display
    where = (job.prompt_id, node, job.title, job.list_index, 0, job.workflow_id)
    place = RunPlace(*where, str(trace.header["run"]), trace.n, ended, time.time(), job.workflow_key, stopped_at)
    client = server.client_id
    tell = server.send_sync if is_heard(server) else lambda *event: None

    def keep_run(store: RunStore = STORE) -> None:
        with keep_out(failed):
            known, where = store.runs.get(place.run), (place.prompt_id, place.node, place.list_index)
            index = known.place.index if known and known.is_listed else store.count(*where)
            there, report = replace(place, index=index), report_on(trace, job.user)
            if report:
                tell(VERDICT, there.summary() | report, client)
            store.add(make_stored_run(trace, there, job.user, report))
            tell(EVENT, there.summary(), client)

    STORE.soon(keep_run)


def keep_shown(trace: Trace) -> None:
    """Keep the numbers of a run that an inspector shows, so that its report can be made anew; the tab lists none."""
    job = running_job()
    if job is None:
        return
    where = (job.prompt_id, job.display, job.title, job.list_index, 0, job.workflow_id)
    place = RunPlace(*where, str(trace.header["run"]), trace.n, "", time.time(), job.workflow_key)

    def keep_numbers(store: RunStore = STORE) -> None:
        known = store.runs.get(place.run)
        if known and known.is_listed:
            return
        name, lost = keep_trace(trace)
        store.add(StoredRun(place, job.user, b"", frozenset([name][: not lost]), _size(name), lost))

    STORE.soon(keep_numbers)


def make_stored_run(trace: Trace, place: RunPlace, user: str, report: dict) -> StoredRun:
    """A run as the store keeps it: its record with its report, and the files that this names."""
    files: list[str] = []

    def keep(data: bytes, ending: str) -> dict:
        entry = temporary(data, ending, TAB_FOLDER)
        files.append(entry["filename"])
        return entry

    facts = {"workflow_id": place.workflow_id, "ended": place.ended, "stopped_at": place.stopped_at}
    whole = record_with_parts(trace, None, PICTURES, keep, report) | facts
    name, lost = keep_trace(trace)
    if lost:
        whole["notes"] = [*whole["notes"], lost]
    else:
        files.append(name)
        whole["trace"] = {"filename": name, "subfolder": TAB_FOLDER, "type": "temp"}
    data = json.dumps(portable(whole, keep), separators=(",", ":")).encode()
    size = len(data) + len(json.dumps(place.summary())) + sum(map(_size, files))
    return StoredRun(place, user, data, frozenset(files), size, lost)


def _size(name: str) -> int:
    path = temporary_folder(TAB_FOLDER) / name
    return path.stat().st_size if path.exists() else 0


def keep_trace(trace: Trace) -> tuple[str, str]:
    """Keep the numbers and the end of a run, for a report made anew and for other runs to be compared with.

    Returns the name of their file in TAB_FOLDER, and why they are not there: "" where they are. The log says it, too.
    """
    name = hashlib.sha256(str(trace.header["run"]).encode()).hexdigest()[:20] + ".safetensors"
    try:
        save(with_end_alone(trace), temporary_folder(TAB_FOLDER) / name)
        keep_in_use(temporary_folder())
    except Exception as error:  # noqa: BLE001  a full disk, a very long run: the record itself is there
        lost = LOST.format(str(error).rstrip("."))
        logging.warning("Guidance Geometry: %s", lost)
        return name, lost
    return name, ""


def list_unreached(
    store: RunStore, queue: Any, user: str, workflow_id: str | None, prompt_id: str | None
) -> list[dict]:
    """Those of a job, or of the last job of each node of a workflow, that are this user's.  Not for the event loop."""
    with keep_out(lambda fault: None):
        _note_latest(queue, store.wait_for_runs())
    key = {"prompt_id": prompt_id} if prompt_id else {"workflow_id": workflow_id}
    samplers = [sampler for (owner, *_), sampler in list(store.unreached_samplers.items()) if owner == user]
    return [sampler for sampler in samplers if any(key.values()) and key.items() <= sampler.items()]


def _note_latest(queue: Any, store: RunStore) -> None:
    """Look at the job whose counts the host still has."""
    counts = get_progress_state()
    job = job_of(queue, counts.prompt_id)
    if job is None or not job.wants_records:
        return
    where = {"prompt_id": job.prompt_id, "workflow_id": job.workflow_id, "key": job.workflow_key}
    ended = {name: at["max"] for name, at in dict(counts.nodes).items() if at["state"] == NodeState.Finished}
    sampled = {name for name, steps in ended.items() if steps > 1} | _quiet_samplers(queue, job).intersection(ended)
    shown = {counts.dynprompt.get_display_node_id(name) for name in sampled}
    for node in shown.intersection(job.samplers):  # they may sample, have ended, and counted steps or do nothing else
        slot = (job.user, job.workflow_id or job.prompt_id, job.workflow_key, node)
        store.unreached_samplers.pop(slot, None)
        if (job.prompt_id, node) not in store.latest_nodes:
            store.unreached_samplers[slot] = {**where, "node": node, "title": job.title_of(node)}
    drop_oldest(store.unreached_samplers, job.user, MOST_UNREACHED)


def drop_oldest(entries: dict[tuple, Any], user: str, most: int) -> None:
    """Forget the oldest entries of a user, whose name begins their keys, beyond so many."""
    for name in [name for name in entries if name[0] == user][:-most]:
        del entries[name]


def _quiet_samplers(queue: Any, job: RunningJob) -> set[str]:
    """The nodes that can be nothing but samplers and ran in a job that has ended, though they counted no steps."""
    entry = queue.get_history(prompt_id=job.prompt_id).get(job.prompt_id)
    messages = within(entry, "status", "messages") or ()
    cached = {node for event, facts in messages if event == "execution_cached" for node in facts["nodes"]}
    kinds = {node: within(job.prompt, node, "class_type") for node in job.samplers if messages and node not in cached}
    types = {node: declaration_of(kind) for node, kind in kinds.items()}
    return {node for node, declares in types.items() if declares and declares.only_samples}
