"""Samplers that ran in a recorded job and left no record: what they sample with never passed a tap.

A node that counts more than one step and may sample did sample; the host keeps these counts until its next job begins.
"""

from __future__ import annotations

from typing import Any

from comfy_execution.progress import NodeState, ProgressRegistry, get_progress_state

from ..trace.faults import kept_out
from .jobs import RunningJob, job_of
from .run_store import RunStore

MOST = 1000  # samplers that are remembered


def list_unreached(
    store: RunStore, queue: Any, user: str, workflow_id: str | None, prompt_id: str | None
) -> list[dict]:
    """Those of a job, or of the last job of each node of a workflow, that are this user's.  Not for the event loop."""
    with kept_out(lambda fault: None):
        _note_latest(queue, store.settled())
    asked = {"prompt_id": prompt_id} if prompt_id else {"workflow_id": workflow_id}
    there = [one for (owner, *_), one in list(store.unreached.items()) if owner == user]
    return [one for one in there if any(asked.values()) and asked.items() <= one.items()]


def _note_latest(queue: Any, store: RunStore) -> None:
    """Look at the job whose counts the host still has."""
    counts = get_progress_state()
    job = job_of(queue, counts.prompt_id)
    if job is None or not job.wants_records:
        return
    where = {"prompt_id": job.prompt_id, "workflow_id": job.workflow_id, "key": job.workflow_key}
    for node in _counting_steps(counts, job):
        slot = (job.user, job.workflow_id or job.prompt_id, job.workflow_key, node)
        store.unreached.pop(slot, None)
        if (job.prompt_id, node) not in store.sampled:
            store.unreached[slot] = {**where, "node": node, "title": job.title_of(node)}
    for slot in list(store.unreached)[:-MOST]:
        del store.unreached[slot]


def _counting_steps(counts: ProgressRegistry, job: RunningJob) -> set[str]:
    """The nodes that may sample, have ended, and counted more than one step."""
    ended = (name for name, at in dict(counts.nodes).items() if at["state"] == NodeState.Finished and at["max"] > 1)
    return {counts.dynprompt.get_display_node_id(name) for name in ended}.intersection(job.samplers)
