"""One evaluation of a denoiser in which gradient terms are asked, with its graph or without.

An evaluation is given all it needs and returns what it made; it changes nothing of the run. The denoiser is called once
in it, whatever has to be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..vectors import gradient_mode, rms, share_along
from .estimators import bound_push
from .term import BACKPROP, NOISY, STAND_IN, GradientTerm, Place, Strength, Term

BLIND = f"the denoiser keeps no gradient (it runs under torch.no_grad): {STAND_IN}"


class OwnPixels:
    """From x0-hat to what an energy looks at: the sample is the picture, or whatever the energies read."""

    def ready(self) -> AbstractContextManager:
        """Nothing has to be prepared."""
        return nullcontext()

    def __call__(self, x0: Tensor) -> Tensor:  # [B, ...] -> [B, ...]
        """The sample itself."""
        return x0


class Decoder(OwnPixels):
    """Pictures that a function makes of latents, differentiably.  decode: [B, ...] -> [B, 3, H, W] in -1 .. 1"""

    def __init__(self, decode: Callable[[Tensor], Tensor]):
        self.decode = decode

    def __call__(self, x0: Tensor) -> Tensor:  # [B, ...] -> [B, 3, H, W]
        """The picture."""
        return self.decode(x0)


class Denoised(NamedTuple):
    """A guided x0-hat [B, ...], and the u and c that it was made of, where they are known."""

    guided: Tensor
    uncond: Tensor | None = None
    cond: Tensor | None = None


class Answer(NamedTuple):
    """What one term said in one evaluation.  What is counted is on the device: to read it is to wait.

    name: of the term.
    shift: of x0-hat at gamma 1, [B, ...]; None for a term that only measures.
    log_prob: [B].
    non_finite: how many numbers of the shift were not finite, which are 0.
    no_difference: whether c - u, by which the push is measured, is 0.
    weight: of the shift in the push that acted, [B].
    """

    name: str
    shift: Tensor | None
    log_prob: Tensor
    non_finite: Tensor | None = None
    no_difference: Tensor | None = None
    weight: Tensor | None = None


class ActiveTerm(NamedTuple):
    """A term that is at work in one evaluation.

    term: with its energy.
    name: of the term in the trace.
    evaluation: where it is asked, of EVALUATIONS.
    picture: from x0-hat to what the energy looks at.
    strength: of a gradient.
    earlier_answer: of an earlier step, where no gradient is taken anew.
    """

    term: Term
    name: str
    evaluation: str
    picture: OwnPixels
    strength: Strength = Strength(0.0)
    earlier_answer: Answer | None = None

    @property
    def through_denoiser(self) -> bool:
        """Whether it takes a gradient through the denoiser in this evaluation."""
        return self.evaluation == BACKPROP and self.earlier_answer is None

    def answer(self, place: Place) -> Answer:
        """What the term says there."""
        if self.earlier_answer is not None:
            return self.earlier_answer
        if not isinstance(self.term, GradientTerm):
            with gradient_mode(recording=False), self.picture.ready():
                log_prob = self.term.log_prob(replace(place, denoised=place.denoised.detach()))
            return Answer(self.name, None, log_prob)
        with self.picture.ready() if self.evaluation != NOISY else nullcontext():
            gradient = self.term.shift(place, self.evaluation, again=True, gamma=self.strength.gamma)
        shift = gradient.shift.detach()
        return Answer(self.name, shift.nan_to_num(0.0, 0.0, 0.0), gradient.log_prob, (~shift.isfinite()).sum())


class GuidedPrediction(NamedTuple):
    """What an evaluation made.

    guided: x0-hat with what the terms add to it. terms: as they were asked in the end. answers: of the terms, in their
    order. notes: sentences about the denoiser.
    """

    guided: Tensor
    terms: tuple[ActiveTerm, ...]
    answers: list[Answer]
    notes: tuple[str, ...] = ()


AnswerOf = Callable[[ActiveTerm], Answer]
Asking = Callable[[ActiveTerm, AnswerOf, bool], tuple[ActiveTerm, Answer]]


def ask_once(active: ActiveTerm, answer_of: AnswerOf, again: bool) -> tuple[ActiveTerm, Answer]:
    """A term as it was asked, and its answer.  again: the graph of the denoiser is needed once more."""
    return active, answer_of(active)


@dataclass(frozen=True)
class GradientEvaluation:
    """One evaluation in which terms are asked, ready to be made.

    denoise: x -> Denoised, without gradient terms.
    x: [B, ...].
    sigma: noise level of x.
    alpha: signal level of x.
    terms: in the order in which they are asked.
    sigma_data: deviation of clean data.
    stand_in: a term -> how it is asked where no gradient through the denoiser can be had.
    pause: called between energies; it may raise.
    """

    denoise: Callable[[Tensor], Denoised]
    x: Tensor
    sigma: float
    alpha: float
    terms: tuple[ActiveTerm, ...]
    sigma_data: float
    stand_in: Callable[[Term], ActiveTerm]
    pause: Callable[[], object] = bool

    @property
    def through_denoiser(self) -> bool:
        """Whether a term takes a gradient through the denoiser."""
        return any(active.through_denoiser for active in self.terms)

    def guide(self) -> GuidedPrediction:
        """x0-hat with what the terms add: one forward, with its graph where a term needs one."""
        if not self.through_denoiser:
            return self.plain()
        with gradient_mode():
            leaf = self.x.detach().clone().requires_grad_()
            denoised = self.denoise(leaf)
            if denoised.guided.requires_grad:
                return self.add_terms(leaf, denoised)
            plain = replace(self, terms=tuple(map(self.ask_without_graph, self.terms)))
            return plain.add_terms(leaf, denoised)._replace(notes=(BLIND,))

    def plain(self) -> GuidedPrediction:
        """x0-hat with what the terms add, without a graph through the denoiser."""
        return self.add_terms(self.x, self.denoise(self.x))

    def ask_without_graph(self, active: ActiveTerm) -> ActiveTerm:
        """A term as it is asked where no gradient goes through the denoiser."""
        return self.stand_in(active.term) if active.through_denoiser else active

    def add_terms(self, x: Tensor, denoised: Denoised, ask: Asking = ask_once) -> GuidedPrediction:
        """What the terms say of an x0-hat, and their sum with it.

            D' = D + sum of their pushes, each asked at D

        x: with a graph to `denoised`, or without. ask: as `ask_once`.
        """
        total, terms, answers = denoised.guided.detach() if self.terms else denoised.guided, [], []

        def answer_of(active: ActiveTerm) -> Answer:
            point = x, denoised.guided.clone(), self.sigma, self.alpha, self.sigma_data
            return active.answer(Place(*point, active.picture, self.pause))

        for k, term in enumerate(self.terms):
            again = any(later.through_denoiser for later in self.terms[k + 1 :])
            active, answer = ask(term, answer_of, again)
            if answer.shift is not None:
                push, no_difference = self._push(active, answer.shift, denoised)
                answer = answer._replace(no_difference=no_difference, weight=share_along(push, answer.shift))
                total = total + push.to(total)
            terms.append(active)
            answers.append(answer)
        return GuidedPrediction(total, tuple(terms), answers)

    def _push(self, active: ActiveTerm, shift: Tensor, denoised: Denoised) -> tuple[Tensor, Tensor | None]:
        """What is added to x0-hat for a shift, and whether there was nothing to measure it by."""
        term: Any = active.term
        if not active.strength.share:
            return torch.zeros_like(shift), None
        push = (active.strength.gamma * active.strength.share) * shift
        if term.normalise == "none":
            return push, None
        if term.normalise == "clip":
            return bound_push(push, "clip", term.limit * self.sigma_data), None
        delta = torch.zeros_like(shift)  # where somebody else answered for the denoiser, nobody knows u and c
        if denoised.cond is not None and denoised.uncond is not None:
            delta = (denoised.cond - denoised.uncond).detach()
        return bound_push(push, "rms_ratio", abs(term.weight) * term.limit * rms(delta)), ~delta.any()


def reads_difference(terms: Sequence[ActiveTerm]) -> bool:
    """Whether u and c are both needed, since their difference measures a push."""
    return any(isinstance(active.term, GradientTerm) and active.term.normalise == "rms_ratio" for active in terms)
