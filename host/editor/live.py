"""Numbers of a run while it runs, for the inspectors that will show it. Without an editor's job nothing happens.

Steps are collected and sent at most 5 times a second, less often where that would be felt: making events takes at most
a hundredth of the run. Nobody waits for the browser, and nothing is evaluated.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...trace.accumulator import Accumulator
from ...trace.record import DRAWN, RunFacts, step_records
from ..server import prompt_server
from .jobs import running_job
from .users import is_heard

EVENT = "guidance_geometry.step"
MOST_BYTES = 8950  # of one event as the server writes it, without its envelope
MOST_RECORD = 7700  # of one step as compact JSON; the server's has a space after each comma and colon
MOST_STEPS = 16  # of one event; a record has 500 bytes or more
MOST_EVENTS = 5  # in any second, with those at the end: each waits once for the device
SHARE = 1 / 100  # of the run that making events may take: a fast run has fewer, larger ones
FIRST_COST = 0.02  # seconds that an event of 16 steps with eight samples takes to make on a CPU, before one was made
LONGEST_PAUSE = 3.0  # seconds; a slow event says little about the next
INSPECTOR = "GGInspector"
TRACES = {  # where a trace comes out: (node id, output)
    ("GGGuidedSampler", 2),
    ("GGInspectedSampler", 2),
    ("GGReadTrace", 0),
    ("GGSaveTrace", 0),
    ("GGMetrics", 0),
    (INSPECTOR, 0),
}


@dataclass(frozen=True)
class Job:
    """The job of the editor that runs now.

    send: takes an event to the browser.
    prompt_id: of the job.
    workflow_id: that the editor gave, None for a job of the API.
    targets: execution ids of the inspectors that show this node's run.
    node: the id of the node that samples.
    key: of the workflow, among those of one id.
    is_kept: the run will be listed in the Guidance tab.
    """

    send: Callable[[dict], None]
    prompt_id: str
    workflow_id: str | None
    targets: list[str]
    node: str = ""
    key: str | None = None
    is_kept: bool = False


def job_of_this_node() -> Job | None:
    """The job in which the calling node runs; None where nobody listens, and where nobody waits for this run."""
    server, job = prompt_server(), running_job()
    if server is None or job is None or not is_heard(server):
        return None
    targets = inspectors_of(job.prompt, job.node)
    if not targets and not job.wants_records:
        return None
    to = server.client_id
    names = (job.prompt_id, job.workflow_id, targets, job.display, job.workflow_key, job.wants_records)
    return Job(lambda event: server.send_sync(EVENT, event, to), *names)


def inspectors_of(prompt: Mapping[str, Mapping], sampler: str) -> list[str]:
    """Ids of the inspectors fed by a sampler's trace, also through nodes that pass it on.

    prompt: the job in API form, where a two-element list [id, output] is a link.
    """
    inspectors, waiting = {}, [sampler]
    while waiting:
        source = waiting.pop()
        for name, node in prompt.items():
            if name not in inspectors and any(_carries(prompt, source, node, *item) for item in node["inputs"].items()):
                inspectors[name] = node["class_type"]
                waiting.append(name)
    return [name for name, kind in inspectors.items() if kind == INSPECTOR]


def _carries(prompt: Mapping[str, Mapping], source: str, node: Mapping, name: str, value: object) -> bool:
    """Whether this input brings the run of `source`: its trace, or the latent that tells a reader it has ended."""
    if not (isinstance(value, list) and len(value) == 2 and str(value[0]) == source):
        return False
    reader = node["class_type"] == "GGReadTrace" and name == "latent"
    return reader or (prompt.get(source, {}).get("class_type"), value[1]) in TRACES


@dataclass
class Live:
    """Sends the steps of a run as they come in, an event for each part of its samples.

    parts: the numbers of each part, by its name.
    run: its id.
    n: steps planned.
    sigma_data: root mean square of clean data, None if unknown.
    job: that the node runs in, None where nobody listens.
    clock: seconds.
    counts: elements of a sample, part by part.
    steps_sent: steps that went out.
    last: the time when they did; before that, when the run began.
    cost: seconds that the last event took to make.
    """

    parts: Mapping[str, Accumulator]
    run: str
    n: int
    sigma_data: float | None = None
    job: Job | None = field(default_factory=job_of_this_node)
    clock: Callable[[], float] = time.monotonic
    counts: Sequence[int] = ()
    steps_sent: int = 0
    last: float = field(init=False)
    cost: float = FIRST_COST

    def __post_init__(self):
        self.last = self.clock()

    def add_row(self, *counts: int) -> None:
        """Each part has a further row, of samples of so many elements; sends what has gathered unless it just sent."""
        self.counts, each = counts, len(counts)
        pause = max(each / max(MOST_EVENTS - each, 1), min(LONGEST_PAUSE, self.cost / SHARE))
        if self.job is not None and self.clock() - self.last >= pause:
            self.flush()

    def close(self) -> None:
        """Send the last steps to inspectors, whose record comes with their node; the tab gets its own at once."""
        if self.job is not None and self.job.targets:
            self.flush()

    def flush(self) -> None:
        """Send what has not been sent; of more than one event can hold, the latest steps."""
        count_of_steps = min(len(part.stage) for part in self.parts.values())
        if self.job is None or self.steps_sent == count_of_steps:
            return
        began = self.clock()
        for (name, part), count in zip(self.parts.items(), self.counts, strict=True):
            event = {"v": 1, "run": self.run, "prompt_id": self.job.prompt_id, "workflow_id": self.job.workflow_id}
            event |= {"targets": self.job.targets, "node": self.job.node, "key": self.job.key}
            event |= {"kept": self.job.is_kept, "steps": []}
            event |= {"part": name, "parts": list(self.parts)} if len(self.parts) > 1 else {}
            event["steps"] = latest_fitting(self._records(part, count), MOST_BYTES - len(json.dumps(event)))
            self.job.send(event)
        self.steps_sent, self.last = count_of_steps, self.clock()
        self.cost = self.last - began

    def _records(self, part: Accumulator, count: int) -> list[dict]:
        stages = part.stage
        first = max(self.steps_sent, len(stages) - MOST_STEPS)
        columns, setting = part.columns(first), part.setting
        space = "flow" if setting.flow else "ve"
        facts = RunFacts(self.run, self.n, space, count, setting.vectors, self.sigma_data)
        return step_records(columns, facts, stages[first:], first, MOST_RECORD, DRAWN)


def latest_fitting(records: list[dict], room: int) -> list[dict]:
    """The latest records whose JSON, as the server writes it, fits into `room` bytes together, in their order."""
    latest = []
    for record in reversed(records):
        room -= len(json.dumps(record)) + 2
        if room < 0:
            break
        latest.append(record)
    return latest[::-1]
