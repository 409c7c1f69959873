"""Nodes that sample in pieces, such as a step here and a step there in turn: which run continues which."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...samplers.stages import SAME_LEVEL
from ...trace.trace import Trace
from ..editor.jobs import running_job
from .host_run import HostRun

PLAIN = (str, int, float, tuple)
OWN = ("uuid", "model_conds")  # of a condition in one run
OPEN: list[Piece] = []  # of the node that runs now: runs that may go on


@dataclass(frozen=True, eq=False)
class Piece:
    """A run that ended above noise level 0.

    place: job, node and element of a list. model: its weights, if they are still there. conditions, cfg: of the guider.
    level: where it ended. trace: of the run, and of those that it continued.
    """

    place: tuple
    model: weakref.ref
    conditions: Mapping[str, list[Mapping[str, Any]]]
    cfg: float
    level: float
    trace: Trace

    def leads_to(self, run: HostRun) -> bool:
        """Whether a run goes on from here."""
        return (
            len(run.schedule) > 1
            and math.isclose(run.schedule[0], self.level, rel_tol=SAME_LEVEL)
            and self.model() is run.patcher.model
            and self.cfg == run.guider.cfg
            and _same(self.conditions, run.guider.original_conds)
        )


def _same(one: Any, other: Any) -> bool:
    """Whether two conditions hold the same: the host makes new tables of them for every run."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = {*one, *other}.difference(OWN)
        return all(name in one and name in other and _same(one[name], other[name]) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other or (isinstance(one, PLAIN) and isinstance(other, PLAIN) and one == other)


def piece_before(run: HostRun) -> Piece | None:
    """What a run of this node continues, None where it begins by itself."""
    place = _place()
    OPEN[:] = [one for one in OPEN if one.place == place]
    if run.patcher is None or run.foreign:
        return None
    return next((one for one in OPEN if one.leads_to(run)), None)


def keep_piece(run: HostRun, before: Piece | None, trace: Trace) -> None:
    """Keep a run that has ended, if another one may continue it.  before: what it continued itself"""
    OPEN[:] = [one for one in OPEN if one is not before]
    place, levels = _place(), run.schedule.tolist()
    goes_on = len(levels) > 1 and levels[0] > levels[-1] > 0
    if place and goes_on and run.patcher is not None and not run.foreign:
        model, guider = weakref.ref(run.patcher.model), run.guider
        OPEN.append(Piece(place, model, guider.original_conds, guider.cfg, levels[-1], trace))


def _place() -> tuple | None:
    job = running_job()
    return job and (job.prompt_id, job.node, job.list_index)
