"""What guidance would do at cfg 1: the second prediction, evaluated at a few steps after the run.

Then no pixel can change any more. Some packs answer from a cache, or count calls, so c is evaluated once more beside
each u; where it is not what it was during the run, that u is not believed. Where nothing is evaluated, the trace's
header says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import comfy.conds
import comfy.samplers
import torch
from torch import Tensor

from ...guidance.parts import Packed
from ...trace.file import even_positions
from ...trace.recorder import Evaluation, Recorded
from ...trace.rows import cond_of
from ...trace.trace import AFTERWARDS
from .host_run import HostRun

SAME = 1e-3  # of the largest value of c: how far it may be from itself; kernels differ by batch
FARTHER = 10  # times as far as c is from itself: what is changed by that much was not changed by rounding
WITHOUT = (0.0, 1.0)  # values of embedded guidance that leave it out
EMBEDDED, NEGATIVE = "embedded guidance 1", "the negative"
NOT_ASKED, NOT_CHOSEN = "uncond_steps is 0", "the steps chosen for it had both predictions"
NO_OTHER = "the guider has no second condition"
FOREIGN = "{name} combines its predictions itself, so no condition stands for the one left out"


@dataclass(frozen=True, eq=False)
class Call:
    """What the network was asked for a prediction: x [B, ...], sigma [B]."""

    model: Any
    x: Tensor
    sigma: Tensor


class Look(NamedTuple):
    """A step with its u.  drift: how far c was from itself. differs: whether u is another than c."""

    step: Recorded
    drift: float
    differs: bool


class Afterwards:
    """Steps of one run that are kept for evaluating them again.

    count: how many are asked for, evenly over the run. call: of the latest evaluation. calls: by the Evaluation that
    they led to, of steps that are not complete yet. lacking: complete steps without u at scale 1, of which
    `waiting` are the chosen ones, with their calls. summary: what the trace's header says of all this.
    """

    def __init__(self, run: HostRun, count: int):
        self.run, self.count = run, count
        count = 0 if run.foreign else count
        self.chosen_steps = set(even_positions(run.steps, count) or range(min(count, run.steps)))
        self.call: Call | None = None
        self.calls: dict[int, Call] = {}
        self.lacking = 0
        self.waiting: list[tuple[Recorded, Call]] = []
        self.summary: dict[str, Any] = {}

    def note_call(self, model: Any, x: Tensor, sigma: Tensor) -> None:
        """The network was asked; samplers write into their state, so x is copied."""
        self.call = Call(model, x.clone(), sigma.clone())

    def note_evaluation(self, evaluation: Evaluation) -> None:
        """The call has led to this."""
        if self.call is not None:
            self.calls[id(evaluation)] = self.call
        self.call = None

    def enter_step(self, step: Recorded) -> None:
        """A step is complete: keep it if it was chosen and has c alone, and forget the calls before it."""
        seen, order = step.evaluation, list(self.calls)
        call = self.calls.get(id(seen))
        if call is not None:
            self.calls = {key: self.calls[key] for key in order[order.index(id(seen)) + 1 :]}
        if all(one.uncond is None and one.cond is not None and one.gamma == 1 for one in seen.every_part):
            self.lacking += 1
            self.waiting += [(step, call)] if call and step.index in self.chosen_steps else []

    def evaluate_chosen(self, options: Mapping[str, Any]) -> list[Recorded]:
        """The kept steps with their u, where c is what it was.  options: the run's model options"""
        if self.lacking and (why := self._hindrance):
            self.summary = {"steps": [], "evaluations": 0, "why": why}
        if not self.waiting:
            return []
        second, looks = Second(self.run, options), list[Look]()
        with torch.random.fork_rng():
            for step, call in self.waiting:
                if second.missing:
                    break
                looks.append(self._look(step, call, second))
        if second.missing:
            self.summary = {"steps": [], "evaluations": second.evaluations, "why": second.missing}
            return []
        cached = any(look.drift > SAME for look in looks)  # then a u that is c may be an answer of the cache, too
        steps = [look.step for look in looks if look.drift <= SAME and (look.differs or not cached)]
        facts = {"against": second.against, "drift": max(look.drift for look in looks)}
        facts |= {"steps": [step.index for step in steps], "evaluations": second.evaluations}
        self.summary = facts | {"dropped": len(looks) - len(steps)}
        return steps

    def _look(self, step: Recorded, call: Call, second: Second) -> Look:
        packed = self.run.packing
        cond = packed.join([cond_of(one) for one in step.evaluation.every_part])
        again, u = second.beside(call, cond)
        moved = u is not None and second.distance(u, again) > 0
        return Look(step if u is None else with_uncond(step, u, packed), second.distance(again, cond), moved)

    @property
    def _hindrance(self) -> str:
        """Why nothing can be evaluated, if so."""
        if self.waiting:
            return ""
        if self.run.foreign:
            return FOREIGN.format(name=type(self.run.guider).__name__)
        return NOT_CHOSEN if self.chosen_steps else NOT_ASKED


class Second:
    """The prediction that stands for u: c without the guidance that the network embeds, or else the negative's.

    Hosts hand a guidance to networks that ignore it, so the network is asked: is c another without it? If it is not,
    then what was evaluated for that was c once more, which is needed anyway.

    embeds: whether c is another, None until that is known. evaluations: evaluations.
    """

    def __init__(self, run: HostRun, options: Mapping[str, Any]):
        self.positive, self.negative = (run.guider.conds.get(name) for name in ("positive", "negative"))
        self.packing, self.options, self.evaluations = run.packing, options, 0
        self.embeds = None if any(map(_is_guided, self.positive)) else False

    @property
    def against(self) -> str:
        """What c is compared with."""
        return NEGATIVE if self.embeds is False else EMBEDDED

    @property
    def missing(self) -> str:
        """Why there is no such prediction, if so."""
        return NO_OTHER if self.embeds is False and not self.negative else ""

    def beside(self, call: Call, cond: Tensor) -> tuple[Tensor, Tensor | None]:  # [B, ...] each
        """c once more, and u where there is one.  cond: c as it was in the run"""
        if self.embeds is False:
            return self._predict(call, self.positive), self._predict(call, None, self.negative)
        off = self._predict(call, [without_guidance(entry) for entry in self.positive])
        differs = self.embeds or self.distance(off, cond) > 0
        again = self._predict(call, self.positive) if differs else off
        if self.embeds is None and (drift := self.distance(again, cond)) <= SAME:
            self.embeds = self.distance(off, again) > FARTHER * drift
        if self.embeds is not False:
            return again, off
        return again, self._predict(call, None, self.negative) if self.negative else None

    def _predict(self, call: Call, *conds: Any) -> Tensor:
        """The last of the conditions, which stand where the run's c and u stand: packs tell them by their place."""
        self.evaluations += 1
        return comfy.samplers.calc_cond_batch(call.model, [*conds], call.x, call.sigma, dict(self.options))[-1]

    def distance(self, one: Tensor, other: Tensor) -> float:
        """How far two predictions are apart, over the largest value of the other; of the part where that is most."""
        return max(map(relative_distance, self.packing.split(one), self.packing.split(other)))


def with_uncond(step: Recorded, u: Tensor, packing: Packed) -> Recorded:
    """A recorded step to which u is added, of every part of the sample."""
    seen = step.evaluation
    pairs = zip(seen.every_part, packing.split(u), strict=True)
    first, *others = (replace(one, uncond=own, stage=AFTERWARDS) for one, own in pairs)
    parts = (first, *others) if others else ()
    return replace(step, evaluation=replace(first, denoised=seen.denoised, parts=parts))


def relative_distance(one: Tensor, other: Tensor) -> float:
    """How far two predictions are apart, over the largest value of the other; infinite where one is no number."""
    away = float((one - other).abs().max() / other.abs().max().clamp(min=1e-12))
    return away if away == away else float("inf")


def _is_guided(entry: dict) -> bool:
    """Whether the network is handed a guidance that may act."""
    given = entry.get("model_conds", {}).get("guidance")
    return given is not None and any(value not in WITHOUT for value in given.cond.flatten().tolist())


def without_guidance(entry: dict) -> dict:
    """A condition whose embedded guidance, if it has one, is 1: as if there were none."""
    conds = entry.get("model_conds", {})
    if "guidance" not in conds:
        return entry
    off = comfy.conds.CONDRegular(torch.full_like(conds["guidance"].cond, WITHOUT[-1]))
    return {**entry, "model_conds": {**conds, "guidance": off}}
