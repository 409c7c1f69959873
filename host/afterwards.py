"""What guidance would do at cfg 1: the second prediction, evaluated at a few steps after the run.

Then no pixel can change any more. Some packs answer from a cache, or count calls, so c is evaluated once more beside
each u; where it is not what it was during the run, that u is not believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import comfy.conds
import comfy.samplers
import torch
from torch import Tensor

from ..trace.file import even_positions
from ..trace.recorder import Evaluation, Recorded
from ..trace.rows import cond_of
from ..trace.trace import AFTERWARDS
from .host_run import HostRun

MOST_UNCOND = 64  # steps of a run
SAME = 1e-3  # of the largest value of c: how far it may be from itself; kernels differ by batch
EMBEDDED_OFF = 1.0  # embedded guidance without effect
NO_OTHER = "nothing: the guider has no second condition"


@dataclass(frozen=True, eq=False)
class Call:
    """What the network was asked for a prediction: x [B, ...], sigma [B]."""

    model: Any
    x: Tensor
    sigma: Tensor


class Afterwards:
    """Steps of one run that are kept for evaluating them again.

    count: how many at most, evenly over the run. call: of the latest evaluation. calls: by the Evaluation that they
    led to, of steps that are not complete yet. kept: complete steps without u, with their calls. said: what the trace's
    header says of all this.
    """

    def __init__(self, run: HostRun, count: int):
        self.run, self.chosen = run, set(even_positions(run.steps, count) or range(min(count, run.steps)))
        self.call: Call | None = None
        self.calls: dict[int, Call] = {}
        self.kept: list[tuple[Recorded, Call]] = []
        self.said: dict[str, Any] = {}

    def asked(self, model: Any, x: Tensor, sigma: Tensor) -> None:
        """The network was asked; samplers write into their state, so x is copied."""
        self.call = Call(model, x.clone(), sigma.clone())

    def answered(self, evaluation: Evaluation) -> None:
        """The call has led to this."""
        if self.call is not None:
            self.calls[id(evaluation)] = self.call
        self.call = None

    def entered(self, step: Recorded) -> None:
        """A step is complete: keep it if it was chosen and has c alone, and forget the calls before it."""
        seen, order = step.evaluation, list(self.calls)
        call = self.calls.get(id(seen))
        if call is not None:
            self.calls = {key: self.calls[key] for key in order[order.index(id(seen)) + 1 :]}
        if call and step.index in self.chosen and seen.uncond is None and seen.cond is not None and seen.gamma == 1:
            self.kept.append((step, call))

    def evaluated(self, options: Mapping[str, Any]) -> list[Recorded]:
        """The kept steps with their u, where c is what it was.  options: the run's model options"""
        positive, (other, against) = self.run.guider.conds["positive"], self._other()
        if not self.kept:
            return []
        self.said = {"steps": [], "evaluations": 0, "against": against}
        found, drifts = [], []
        with torch.random.fork_rng():
            for step, call in self.kept if other else []:
                again, u = (_evaluated(call, conds or [], options) for conds in (positive, other))
                drifts.append(_drift(again, cond_of(step.evaluation)))
                found += [with_uncond(step, u)] if drifts[-1] <= SAME else []
        spent = {"evaluations": 2 * len(drifts), "drift": max(drifts, default=0.0)}
        self.said |= spent | {"steps": [step.index for step in found]}
        return found

    def _other(self) -> tuple[list[dict] | None, str]:
        """The condition that stands for u: of embedded guidance the same without it, else the negative."""
        conds = self.run.guider.conds
        embedded = [entry for entry in conds["positive"] if "guidance" in entry.get("model_conds", {})]
        if embedded:
            return [_without_guidance(entry) for entry in conds["positive"]], "embedded guidance 1"
        negative = conds.get("negative")
        return (negative, "the negative") if negative else (None, NO_OTHER)


def with_uncond(step: Recorded, u: Tensor) -> Recorded:
    """The same step with u."""
    return replace(step, evaluation=replace(step.evaluation, uncond=u, stage=AFTERWARDS))


def _evaluated(call: Call, conds: list[dict], options: Mapping[str, Any]) -> Tensor:
    return comfy.samplers.calc_cond_batch(call.model, [conds], call.x, call.sigma, dict(options))[0]


def _drift(again: Tensor, cond: Tensor) -> float:
    """How far c is from what it was, over its largest value."""
    away = float((again - cond).abs().max() / cond.abs().max().clamp(min=1e-12))
    return away if away == away else float("inf")


def _without_guidance(entry: dict) -> dict:
    conds = entry.get("model_conds", {})
    if "guidance" not in conds:
        return entry
    off = comfy.conds.CONDRegular(torch.full_like(conds["guidance"].cond, EMBEDDED_OFF))
    return {**entry, "model_conds": {**conds, "guidance": off}}
