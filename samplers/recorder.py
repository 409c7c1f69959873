"""Watching a sampler that knows nothing of it: which model call is the step, where the state went, what was noise.

The rule for all samplers of the k-diffusion family: the last model call before callback i is the call of step i, and
the state it was made at is x_i. Samplers that report after all their stages (dpm_adaptive) are the other way round: the
first call since the previous callback. So step i is complete once step i + 1 is known, or the sampler has returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from .tagged import Parts, parts_of, plain, tag

RECUR = "recur"  # stage of a step back to a noisier level


@dataclass
class Call:
    """One evaluation of the model by a sampler.

    x, denoised: [B, ...]. uncond, cond: [B, ...], None where not evaluated. gamma: the scale in force.
    evaluations: predictions the network made for it. parts: noise contained in x, by step.
    stage: a word of the trace, empty if u and c tell it. gradients: shifts of x0-hat by name, [B, ...]; log_probs: what
    the energies said, [B].
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
    reports_late: the sampler's callback comes after the stages of its step, not before.
    """

    commit: Callable[[Recorded], None]
    last_sigma: float
    reports_late: bool = False
    steps: int = 0
    pending: list[Call] = field(default_factory=list)
    primary: Call | None = None

    def marked(self, draw: Callable) -> Callable:
        """A noise sampler whose draws say in which step they were made."""

        def noise_sampler(*levels):
            eps = draw(*levels)
            return tag(eps, {self.steps if self.reports_late else self.steps - 1: eps})

        return noise_sampler

    def called(self, x: Tensor, sigma: Tensor) -> Call:
        """Note a model call before it is made; the caller fills in what came out of it."""
        call = Call(plain(x).clone(), float(sigma.flatten()[0]), parts_of(x))
        self.pending.append(call)
        return call

    def stepped(self) -> None:
        """Note the sampler's callback: one of the calls made since the last one was this step's."""
        found = self.pending.pop(0 if self.reports_late else -1)
        self._count_stages(found if self.reports_late else self.primary)
        if self.primary is not None:
            self._complete(self.primary, found.x, found.parts, found.sigma)
        self.primary, self.steps = found, self.steps + 1

    def turned(self, x: Tensor, sigma: float) -> None:
        """Note that the sampler makes x noisier again without asking the model: a step of its own, stage `recur`."""
        at = self.primary
        if at is not None:
            self._complete(at, plain(x), parts_of(x), sigma)
            self.primary = Call(plain(x).clone(), sigma, {}, denoised=at.denoised, stage=RECUR)
            self.steps += 1

    def returned(self, x: Tensor) -> None:
        """Note the sampler's result, which ends the last step."""
        self._count_stages(self.primary)
        if self.primary is not None:
            self._complete(self.primary, plain(x), parts_of(x), self.last_sigma)
        self.primary = None

    def _count_stages(self, owner: Call | None) -> None:
        if owner is not None:
            owner.evaluations += sum(call.evaluations for call in self.pending)
        self.pending.clear()

    def _complete(self, at: Call, x_next: Tensor, parts: Parts, sigma_next: float) -> None:
        if at.denoised is None:
            return  # the model call failed: its exception is on the way
        noise = parts.get(self.steps - 1)
        moved = x_next - at.x
        move = moved if noise is None else moved - noise
        self.commit(
            Recorded(
                self.steps - 1,
                at.x,
                at.denoised,
                at.uncond,
                at.cond,
                at.gamma,
                at.sigma,
                sigma_next,
                move,
                noise,
                at.evaluations,
                at.stage,
                at.gradients,
                at.log_probs,
            )
        )
