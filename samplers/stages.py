"""Which evaluations of a sampler begin an outer step, and which are further stages of it.

Noise levels do not tell: the second stage of heun and the first evaluation of its next step share one. The sampler's
response says it in advance. Where there is none, or the run departs from it, what tells is where the callback stands
among the evaluations: such a sampler is taken to report once a step, after all its stages; one that evaluates once a
step is both. Of a sampler that does not report the levels are all there is.

The response also says the noise levels, so that none is read off the device. Where there is none, each evaluation waits
once for its level, and each report for the one that it names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .response import Response, StepResponse

SAME_LEVEL = 1e-4  # relative difference below which two noise levels are one, rounded
STILL = 1e-3  # share of the sample by which a step may move it and still be said to leave it where it is


def cannot_wait(sampler: str, response: Response, steps: int) -> str:
    """Why a sampler does not leave the sample where it is while D = x, or is not done with it; empty if it does.

    steps: that wait, the first of the run.
    """
    waiting = response.steps[:steps]
    if any(step.noisy for step in waiting):
        return f"{sampler} moves the sample by its own noise"
    if any(step.reads_uncond for step in waiting):
        return f"{sampler} moves the sample by the unconditional prediction, whatever D is"
    if any(abs(_at_rest(step) - 1) > STILL for step in waiting):
        return f"{sampler} moves the sample even where D = x"
    if any(_reads(step, n - steps + 1) for n, step in enumerate(response.steps) if n >= steps):
        return f"{sampler} keeps D = x as history and carries it into the next steps"
    return ""


def _at_rest(step: StepResponse) -> float:
    """What becomes of 1 where all states and predictions are 1."""
    return sum(step.states) + sum(map(sum, step.guided))


def _reads(step: StepResponse, back: int) -> bool:
    """Whether a step reads what was seen so many steps before, or earlier."""
    return any(step.states[back:]) or any(map(any, (*step.guided[back:], *step.uncond[back:])))


def zero_init_note(sampler: str, response: Response, steps: int) -> str:
    """A sentence where zero-init does not hold with a sampler, or may not; empty where it does.  steps: that wait"""
    reason = cannot_wait(sampler, response, steps)
    if reason:
        return f"Zero-init does not hold here: {reason}."
    if response.steps:
        return ""
    unknown = f"it is not known whether {sampler} leaves the sample alone while D = x"
    return f"Zero-init may not hold here: {unknown} ({response.why})."


@dataclass
class Stages:
    """Follows the evaluations and callbacks of one run.

    sigmas: the schedule, noisiest first.
    response: of the sampler, until the run departs from it.
    calls: evaluations so far.
    reports: callbacks so far.
    levels: noise levels of the calls since the last report.
    foretold: level and tensor of every call whose level the response said.
    late: the sampler reports after several calls, the first time too: so they are all of one step.
    step_open: a step has not been reported.
    silent: the sampler evaluates on and on without a report.
    end: noise level at which the step ends.

    A sampler without a response that has not reported yet may still do so after the stages of its first step, the last
    of which stands at the step's end. So it counts as silent once an evaluation lies below that end; then every
    evaluation at the end of a step, or below it, begins the next. The second evaluation of a silent run is thus taken
    for a stage of the first.
    """

    sigmas: Sequence[float] = ()
    response: Response = field(default_factory=Response)
    calls: int = 0
    reports: int = 0
    levels: list[float] = field(default_factory=list)
    foretold: list[tuple[float, Tensor]] = field(default_factory=list)
    late: bool = False
    step_open: bool = False
    silent: bool = False
    end: float = 0.0

    def level_of(self, sigma: Tensor) -> float:  # sigma [B]
        """The noise level of the next evaluation, as the response says; read only where it does not, since that waits.

        A wait for the device in every step is time in which it has nothing to do.
        """
        levels = self.response.levels if self.response.firsts else ()
        if self.calls >= len(levels):
            return float(sigma.flatten()[0])
        self.foretold.append((levels[self.calls], sigma.flatten()[0]))
        return levels[self.calls]

    def departure(self) -> int | None:
        """The evaluation, from 1, that was not at the level that the response said; None for none.  Waits once."""
        if not self.foretold:
            return None
        levels, tensors = zip(*self.foretold, strict=True)
        pairs = enumerate(zip(levels, torch.stack(tensors).tolist(), strict=True), start=1)
        return next((n for n, (level, real) in pairs if abs(level - real) > SAME_LEVEL * abs(level)), None)

    def begins(self, sigma: float) -> bool:
        """Note an evaluation at a noise level, and say whether it is the first of its outer step."""
        first = self.calls in self.response.firsts if self.response.firsts else self._begins_unreported(sigma)
        self.calls += 1
        self.levels.append(sigma)
        return first

    def note_report(self, sigma: Tensor | float | None = None) -> int | None:
        """Note the sampler's callback: which of the calls since the last one was its step's; None for no new step.

        sigma: the level at which it says the step began.
        """
        if not self.levels:
            return None
        if self.response.firsts and self.response.reports[self.reports : self.reports + 1] != (self.calls,):
            self.response = Response(late=self.response.late, why="the run departed from it")
        place = self._place(sigma)
        self.reports, self.step_open = self.reports + 1, False
        self.levels.clear()
        return place

    def _place(self, sigma: Tensor | float | None) -> int:
        if self.response.firsts:
            firsts = [first for first in self.response.firsts if first is not None]
            return firsts[self.reports] - self.calls + len(self.levels)
        if self.response.late:
            return 0  # the stages of the step come after its first call, and the callback after them
        if len(self.levels) == 1:
            return 0
        self.late = self.late or not self.reports
        order = range(len(self.levels)) if self.late else range(len(self.levels) - 1, -1, -1)
        if sigma is None:
            return order[0]
        sigma = float(torch.as_tensor(sigma).flatten()[0])
        named = (i for i in order if math.isclose(self.levels[i], sigma, rel_tol=SAME_LEVEL))
        return next(named, order[0])

    def _begins_unreported(self, sigma: float) -> bool:
        """Whether an evaluation begins a step, by the reports so far."""
        first = not self.step_open or self._passed_end(sigma)
        if first:
            self.step_open, self.end = True, max((s for s in self.sigmas if s < sigma * (1 - SAME_LEVEL)), default=0.0)
        return first

    def _passed_end(self, sigma: float) -> bool:
        """Whether an evaluation lies behind a step that was not reported."""
        if self.reports or self.response.late:  # it reports
            return False
        self.silent = self.silent or sigma < self.end * (1 - SAME_LEVEL)
        return self.silent and sigma <= self.end * (1 + SAME_LEVEL)
