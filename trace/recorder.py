"""Watching a sampler that knows nothing of it: which model call is the step, where the state went, what was noise.

`Stages` says which of the calls since the last callback is the step's; the state it was made at is x_i. Calls before it
are stages of the step before, calls after it of its own. So step i is complete once step i + 1 is known, or the sampler
has returned.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from ..guidance.parts import Packed
from ..samplers.noise_tracking import Parts, parts_of, track, untrack
from ..samplers.stages import Stages

RECUR = "recur"  # stage of a step back to a noisier level
MOST_CALLS = 64  # of one step, that wait for its report: a sampler that never reports must not fill the memory


@dataclass(frozen=True)
class Pass:
    """A further prediction beside u and c, from which guidance moves away.

    difference: the prediction of the same condition, minus this one, [B, ...]. nfe: function evaluations.
    """

    difference: Tensor
    nfe: int


@dataclass(frozen=True)
class Evaluation:
    """What one call of the model gave.

    denoised: D [B, ...].
    uncond, cond: u and c [B, ...], None where not evaluated.
    gamma: the stated scale, nan without any.
    nfe: function evaluations, one for each prediction the network made.
    stage: a word of the trace, empty if u and c tell it.
    gradients: shifts of x0-hat by name, [B, ...].
    weights: of each gradient in D, by name, [B].
    log_probs: what the energies said, by name, [B].
    passes: what else was evaluated, by name.
    mask_change: what a noise mask changed of D once it was guided, [B, ...].
    parts: an evaluation of each part of a packed sample; of this one only D and nfe are then of the whole, all else is
        of the first part.
    """

    denoised: Tensor
    uncond: Tensor | None = None
    cond: Tensor | None = None
    gamma: float = math.nan
    nfe: int = 0
    stage: str = ""
    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    log_probs: Mapping[str, Tensor] = field(default_factory=dict)
    passes: Mapping[str, Pass] = field(default_factory=dict)
    mask_change: Tensor | None = None
    parts: tuple[Evaluation, ...] = ()

    @property
    def unguided(self) -> Tensor | None:  # [B, ...]
        """What stands as u: the unconditional prediction, or the only one made, if a gradient is added to it."""
        return self.cond if self.uncond is None and self.gradients else self.uncond

    @property
    def every_part(self) -> tuple[Evaluation, ...]:
        """An evaluation of each part of a sample, or this one alone where it has no parts."""
        return self.parts or (self,)

    def split(self, packed: Packed) -> Sequence[Evaluation]:
        """An evaluation of each part of a sample."""
        return self.parts or [replace(self, denoised=part) for part in packed.split(self.denoised)]


@dataclass
class Visited:
    """A state that a sampler showed: at a call of the model, or at its end.

    x: the state [B, ...].
    sigma: its noise level.
    parts: noise contained in it, by draw.
    draws: draws made before.
    first: whether it begins a step, as far as that is known.
    evaluation: None until the model has answered, and where it was not asked.
    """

    x: Tensor
    sigma: float
    parts: Parts
    draws: int
    first: bool = False
    evaluation: Evaluation | None = None


@dataclass(frozen=True)
class Recorded:
    """A complete step: x' = x + move + noise.

    index: number of the step, from 0.
    x: the state at which it began [B, ...].
    sigma, sigma_next: noise levels at which it began and ended.
    evaluation: what the call of the model at x gave.
    move: the deterministic part of the step [B, ...].
    noise: the random part [B, ...], None where none was injected.
    nfe: function evaluations of all stages.
    pass_nfe: function evaluations of each further pass.
    calls: what all calls of the model in this step gave, the one at x first.
    """

    index: int
    x: Tensor
    sigma: float
    sigma_next: float
    evaluation: Evaluation
    move: Tensor
    noise: Tensor | None
    nfe: int
    pass_nfe: Mapping[str, int] = field(default_factory=dict)
    calls: tuple[Evaluation, ...] = ()

    @property
    def travel(self) -> Tensor:  # [B, ...]
        """Where the state went: x' - x."""
        return self.move if self.noise is None else self.move + self.noise

    def split(self, packed: Packed) -> list[Recorded]:
        """The step of each part of a sample, as views."""
        if len(packed.shapes) < 2:
            return [self]
        evaluations = self.evaluation.split(packed)
        tensors = {"x": self.x, "move": self.move} | ({} if self.noise is None else {"noise": self.noise})
        states = packed.split_table(tensors)
        calls = [()] * len(evaluations)
        if self.calls:
            calls = zip(*(call.split(packed) for call in self.calls), strict=True)
        parts = zip(evaluations, calls, states, strict=True)
        return [replace(self, evaluation=evaluation, calls=of_part, **state) for evaluation, of_part, state in parts]


@dataclass
class Recorder:
    """Turns the calls, draws and callbacks of one run into complete steps.

    commit: receives each Recorded as soon as its next state is known.
    last_sigma: level at which the run ends.
    stages: which calls are steps.
    steps: steps that were reported so far.
    draws: draws of noise so far.
    lost_draws: steps that drew noise of which nothing was found in the state they led to.
    silent_calls: model calls of a sampler that ended without a single callback.
    pending: calls since the last callback.
    primary: the call with which the latest step began.
    calls: all calls of that step so far.
    """

    commit: Callable[[Recorded], None]
    last_sigma: float
    stages: Stages = field(default_factory=Stages)
    steps: int = 0
    draws: int = 0
    lost_draws: int = 0
    silent_calls: int = 0
    pending: list[Visited] = field(default_factory=list)
    primary: Visited | None = None
    calls: list[Visited] = field(default_factory=list)

    def mark(self, eps: Tensor) -> Tensor:  # [B, ...] -> [B, ...]
        """A draw of the sampler's noise that says which one it was.

        Only the sampler knows by what it multiplies a draw and where it adds it. A draw that is carried through shows
        both in the next state, with the sampler's own rounding, and without a second statement of its formula here.
        """
        self.draws += 1
        return track(eps, {self.draws: eps})

    def begin_call(self, x: Tensor, sigma: Tensor) -> Visited:
        """Note a model call before it is made; its evaluation is set once the model has answered."""
        level = self.stages.level_of(sigma)
        first = self.stages.begins(level)
        call = Visited(untrack(x).clone(), level, parts_of(x), self.draws, first)  # samplers write into their state
        self.pending.append(call)
        return call

    def end_step(self, sigma: Tensor | float | None = None) -> None:
        """Note the sampler's callback: one of the calls since the last one was this step's; none if it reports twice.

        sigma: the level at which it says the step began, None where the order alone tells.
        """
        place = self.stages.note_report(sigma)
        if place is None:
            return  # a second report of the same step: there was no call since, so no new state is known
        call = self.pending[place]
        if self.primary is not None:
            self.calls += self.pending[:place]
            self._complete(self.primary, call)
            self.calls = self.pending[place:]
        else:
            self.calls = self.pending  # the first step: its own stages may come first
        self.pending = []
        self.primary, self.steps = call, self.steps + 1

    @property
    def current_step(self) -> int:
        """The number, from 1, of the step whose first model call has begun."""
        return max(self.steps + any(call.first for call in self.pending), 1)

    def keep_recurrence(self, x: Tensor, sigma: float) -> None:
        """Note that the sampler makes x noisier again without asking the model: a step of its own, stage `recur`."""
        at = self.primary
        if at is not None:
            back = Visited(untrack(x).clone(), sigma, parts_of(x), self.draws)
            if at.evaluation is not None:
                back.evaluation = Evaluation(at.evaluation.denoised, stage=RECUR)
            self._complete(at, back)
            self.primary, self.calls, self.steps = back, [], self.steps + 1

    def end_run(self, x: Tensor) -> None:
        """Note the sampler's result, which ends the last step."""
        if self.primary is None:
            self.silent_calls = len(self.pending)
        else:
            self.calls += self.pending
            self._complete(self.primary, Visited(untrack(x), self.last_sigma, parts_of(x), self.draws))
        self.pending, self.calls, self.primary = [], [], None

    def _noise(self, at: Visited, reached: Visited) -> Tensor | None:
        """What the state reached contains of the draws made since the step began; None where there were none.

        Older draws are in it too, as parts of x: they belong to the steps that drew them.
        """
        fresh = range(at.draws + 1, reached.draws + 1)
        shares = [reached.parts[draw] for draw in fresh if draw in reached.parts]
        self.lost_draws += len(fresh) > 0 and not shares
        return sum(shares[1:], start=shares[0]) if shares else None

    def _complete(self, at: Visited, reached: Visited) -> None:
        if at.evaluation is None:
            return  # the model call failed: its exception is on the way
        noise = self._noise(at, reached)
        evaluations = [call.evaluation for call in self.calls if call.evaluation is not None]
        pass_nfe: Counter[str] = Counter()
        for evaluation in evaluations:
            pass_nfe.update({name: further.nfe for name, further in evaluation.passes.items()})
        first = next((i for i, call in enumerate(self.calls) if call is at), len(self.calls))
        since = [call.evaluation for call in self.calls[first:] if call.evaluation is not None]
        moved = reached.x - at.x  # certain, both states were seen; what is no draw of this step is its move
        self.commit(
            Recorded(
                index=self.steps - 1,
                x=at.x,
                sigma=at.sigma,
                sigma_next=reached.sigma,
                evaluation=at.evaluation,
                move=moved if noise is None else moved - noise,
                noise=noise,
                nfe=sum(evaluation.nfe for evaluation in evaluations),
                pass_nfe=pass_nfe,
                calls=tuple(since),
            )
        )
