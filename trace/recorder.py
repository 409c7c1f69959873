"""Watching a sampler that knows nothing of it: which model call is the step, where the state went, what was noise.

The rule for all samplers of the k-diffusion family: the last model call before callback i is the call of step i, and
the state it was made at is x_i. Samplers that report after all their stages (dpm_adaptive) are the other way round: the
first call since the previous callback. A sampler that nobody knows says in its callback at which noise level the step
began, and the last call at that level is the step's. So step i is complete once step i + 1 is known, or the sampler has
returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ..samplers.noise_tracking import Parts, parts_of, tracked, untracked

RECUR = "recur"  # stage of a step back to a noisier level
SAME_LEVEL = 1e-4  # relative; a sampler may keep its levels in another precision than it hands to the model


@dataclass
class Call:
    """One evaluation of the model by a sampler.

    x, denoised: [B, ...]. uncond, cond: [B, ...], None where not evaluated. gamma: the scale in force.
    evaluations: predictions the network made for it. parts: noise contained in x, by draw. drawn: draws made before.
    stage: a word of the trace, empty if u and c tell it. gradients: shifts of x0-hat by name, [B, ...]; log_probs: what
    the energies said, [B]. unnamed: predictions [B, ...] of which nobody says whether they are u or c.
    """

    x: Tensor
    sigma: float
    parts: Parts
    denoised: Tensor | None = None
    uncond: Tensor | None = None
    cond: Tensor | None = None
    gamma: float = float("nan")
    evaluations: int = 0
    stage: str = ""
    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    log_probs: Mapping[str, Tensor] = field(default_factory=dict)
    drawn: int = 0
    unnamed: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Recorded:
    """A complete step: x' = x + move + noise.

    x, denoised, move: [B, ...]; noise: the same, or None where none was injected; uncond, cond: or None.
    evaluations: predictions made in this step, all stages. stage: a word of the trace, empty if u and c tell it.
    gradients, log_probs: as in the call.
    """

    index: int
    x: Tensor
    denoised: Tensor
    uncond: Tensor | None
    cond: Tensor | None
    gamma: float
    sigma: float
    sigma_next: float
    move: Tensor
    noise: Tensor | None
    evaluations: int
    stage: str = ""
    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    log_probs: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def plain(self) -> Tensor | None:  # [B, ...]
        """What stands as u: the unconditional prediction, or the only one made, if a gradient is added to it."""
        return self.cond if self.uncond is None and self.gradients else self.uncond

    @property
    def travel(self) -> Tensor:  # [B, ...]
        """Where the state went: x' - x."""
        return self.move if self.noise is None else self.move + self.noise


@dataclass
class Recorder:
    """Turns the calls, draws and callbacks of one run into complete steps.

    commit: receives each Recorded as soon as its next state is known. last_sigma: level at which the run ends.
    reports_late: the sampler's callback comes after the stages of its step, not before. draws: made so far.
    unfollowed: steps that drew noise of which nothing was found in the state they led to.
    unreported: model calls of a sampler that ended without a single callback.
    """

    commit: Callable[[Recorded], None]
    last_sigma: float
    reports_late: bool = False
    steps: int = 0
    draws: int = 0
    unfollowed: int = 0
    unreported: int = 0
    pending: list[Call] = field(default_factory=list)
    primary: Call | None = None

    def mark(self, eps: Tensor) -> Tensor:  # [B, ...] -> [B, ...]
        """A draw of the sampler's noise that says which one it was."""
        self.draws += 1
        return tracked(eps, {self.draws: eps})

    def called(self, x: Tensor, sigma: Tensor) -> Call:
        """Note a model call before it is made; the caller fills in what came out of it."""
        call = Call(untracked(x).clone(), float(sigma.flatten()[0]), parts_of(x), drawn=self.draws)
        self.pending.append(call)
        return call

    def stepped(self, sigma: float | None = None) -> None:
        """Note the sampler's callback: one of the calls since the last one was this step's; none if it reports twice.

        sigma: the level at which it says the step began, None where the order alone tells.
        """
        if not self.pending:
            return
        place = self._place(sigma)
        found = self.pending[place]
        _add_stages(self.primary or found, self.pending[:place])
        if self.primary is not None:
            self._complete(self.primary, found)
        _add_stages(found, self.pending[place + 1 :])
        self.pending.clear()
        self.primary, self.steps = found, self.steps + 1

    def turned(self, x: Tensor, sigma: float) -> None:
        """Note that the sampler makes x noisier again without asking the model: a step of its own, stage `recur`."""
        at = self.primary
        if at is not None:
            back = Call(untracked(x).clone(), sigma, parts_of(x), denoised=at.denoised, stage=RECUR, drawn=self.draws)
            self._complete(at, back)
            self.primary, self.steps = back, self.steps + 1

    def returned(self, x: Tensor) -> None:
        """Note the sampler's result, which ends the last step."""
        if self.primary is None:
            self.unreported = len(self.pending)
        else:
            _add_stages(self.primary, self.pending)
            self._complete(self.primary, Call(untracked(x), self.last_sigma, parts_of(x), drawn=self.draws))
        self.pending.clear()
        self.primary = None

    def _place(self, sigma: float | None) -> int:
        """Which of the pending calls is the step's."""
        if self.reports_late:
            return 0
        last = len(self.pending) - 1
        if sigma is None:
            return last
        places = reversed(range(len(self.pending)))
        return next((i for i in places if math.isclose(self.pending[i].sigma, sigma, rel_tol=SAME_LEVEL)), last)

    def _noise(self, at: Call, reached: Call) -> Tensor | None:
        """What the state reached contains of the draws made since the step began; None where there were none."""
        fresh = range(at.drawn + 1, reached.drawn + 1)
        found = [reached.parts[draw] for draw in fresh if draw in reached.parts]
        self.unfollowed += len(fresh) > 0 and not found
        return sum(found[1:], start=found[0]) if found else None

    def _complete(self, at: Call, reached: Call) -> None:
        if at.denoised is None:
            return  # the model call failed: its exception is on the way
        noise = self._noise(at, reached)
        moved = reached.x - at.x
        move = moved if noise is None else moved - noise
        self.commit(
            Recorded(
                index=self.steps - 1,
                x=at.x,
                denoised=at.denoised,
                uncond=at.uncond,
                cond=at.cond,
                gamma=at.gamma,
                sigma=at.sigma,
                sigma_next=reached.sigma,
                move=move,
                noise=noise,
                evaluations=at.evaluations,
                stage=at.stage,
                gradients=at.gradients,
                log_probs=at.log_probs,
            )
        )


def _add_stages(owner: Call, stages: list[Call]) -> None:
    owner.evaluations += sum(call.evaluations for call in stages)
