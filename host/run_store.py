"""The runs that jobs had recorded for the Guidance tab: a bounded store, from the recording to the browser."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from ..trace.trace import Trace
from .adapter import prompt_server
from .jobs import running_job
from .panel_record import of_every_part, portable, temporary_folder

EVENT = "guidance_geometry.run"
MOST_RUNS = 1000
MOST_BYTES = 256 << 20  # of records and their pictures
MOST_MEGABYTES = 1 << 20
PICTURES = 8  # steps of a run that are kept as pictures


@dataclass(frozen=True)
class RunPlace:
    """Where a run was sampled, and how it ended.

    prompt_id: the job. node, title: of the user's graph. list_index: which element of a list the node worked on.
    index: place among its runs in that job. workflow_id, client_id: of the browser that queued it, if one did. run: its
    id. steps: recorded. ended: why it stopped before its end, else empty. when: seconds since 1970. key: of the
    workflow, among those of the same id.
    """

    prompt_id: str
    node: str
    title: str
    list_index: int
    index: int
    workflow_id: str | None
    client_id: str | None
    run: str
    steps: int
    ended: str
    when: float
    key: str | None = None

    @property
    def sampler(self) -> tuple:
        """What samples again in the next job, if the host's cache does not stand in for it."""
        return self.workflow_id, self.key, self.node, self.list_index, self.index

    def summary(self) -> dict[str, Any]:
        """For the browser, which needs nobody's client id."""
        return {"v": 1, **{name: value for name, value in asdict(self).items() if name != "client_id"}}


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A recorded run.  record: as the inspector shows it. size: bytes in memory and on disk"""

    place: RunPlace
    record: dict
    size: int


@dataclass
class RunStore:
    """Runs in the order in which they ended, within bounds; the oldest go first.

    most_runs, most_bytes: the bounds. owners: client id -> the user who listens there. epochs: workflow id -> how often
    the last record of one of its nodes went, after which the host's cache is of no use for it.
    """

    most_runs: int = MOST_RUNS
    most_bytes: int = MOST_BYTES
    runs: dict[str, StoredRun] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    epochs: Counter = field(default_factory=Counter)
    lock: Any = field(default_factory=Lock)

    def epoch(self, workflow_id: str | None) -> int:
        """A number that changes when this workflow has lost a record that its cached samplers cannot bring back."""
        return self.epochs[workflow_id]

    def count(self, prompt_id: str, node: str, list_index: int) -> int:
        """How many runs of this node in this job there are."""
        places = [(run.place.prompt_id, run.place.node, run.place.list_index) for run in self._all()]
        return places.count((prompt_id, node, list_index))

    def bound(self, megabytes: Any) -> None:
        """Take another bound for all runs together; what is no sensible number leaves the present one."""
        if isinstance(megabytes, int) and 1 <= megabytes <= MOST_MEGABYTES:
            self.most_bytes = megabytes << 20

    def add(self, run: StoredRun) -> None:
        """Keep a run; older ones are let go until all is within bounds, the new one last."""
        with self.lock:
            self.runs[run.place.run] = run
            while len(self.runs) > 1 and (len(self.runs) > self.most_runs or self.size > self.most_bytes):
                self._let_go(next(iter(self.runs)))

    @property
    def size(self) -> int:
        """Bytes of all runs."""
        return sum(run.size for run in self.runs.values())

    def _let_go(self, name: str) -> None:
        gone = self.runs.pop(name)
        kept = {file for run in self.runs.values() for file in files_of(run.record)}
        for file in files_of(gone.record) - kept:
            (temporary_folder() / file).unlink(missing_ok=True)
        if all(run.place.sampler != gone.place.sampler for run in self.runs.values()):
            self.epochs[gone.place.workflow_id] += 1

    def _all(self) -> list[StoredRun]:
        with self.lock:
            return list(self.runs.values())

    def listed(self, user: str, workflow_id: str | None = None, prompt_id: str | None = None) -> list[dict]:
        """Summaries of a job's runs, or of a workflow's, as far as this user may see them."""
        asked = prompt_id or workflow_id
        seen = [run.place for run in self._all() if self.may_see(user, run)]
        return [place.summary() for place in seen if asked == (place.prompt_id if prompt_id else place.workflow_id)]

    def may_see(self, user: str, run: StoredRun) -> bool:
        """Whether a run is this user's; a job without a browser belongs to whoever knows its id."""
        return self.owners.get(run.place.client_id or "", user) == user

    def found(self, user: str, name: str) -> StoredRun | None:
        """A run by its id, None where it is gone or somebody else's."""
        with self.lock:
            run = self.runs.get(name)
        return run if run and self.may_see(user, run) else None


STORE = RunStore()  # one for the server, as its queue and its history


def publish(traced: Callable[[], Trace], ended: str = "") -> None:
    """Keep a run for the Guidance tab and tell the browser, if the running job asked for that.

    traced: makes its trace. ended: why the run stopped before its end.
    """
    server, job = prompt_server(), running_job()
    if server is None or job is None or not job.wants_records:
        return
    trace = traced()
    whole = of_every_part(trace, None, PICTURES) | {"workflow_id": job.workflow_id}
    record = portable(whole | {"ended": ended})
    node = job.display
    index = STORE.count(job.prompt_id, node, job.list_index)
    where = (job.prompt_id, node, job.title, job.list_index, index, job.workflow_id, job.client_id)
    place = RunPlace(*where, str(whole["run"]), trace.n, ended, time.time(), job.workflow_key)
    STORE.add(StoredRun(place, record, size_of(record)))
    server.send_sync(EVENT, place.summary(), server.client_id)


def size_of(record: dict) -> int:
    """Bytes of a record and of the files that it names."""
    files = (temporary_folder() / name for name in files_of(record))
    return len(json.dumps(record)) + sum(path.stat().st_size for path in files if path.exists())


def files_of(record: Any) -> set[str]:
    """Names of the temporary files that a record names: its pictures, and its own where it is large."""
    return {Path(name).name for name in _named(record)}


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "temp" and isinstance(value.get("filename"), str):
            yield value["filename"]
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)
