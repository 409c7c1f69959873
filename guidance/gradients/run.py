"""Gradient terms at work in one run: when they are asked, how strongly they act, what they said.

What goes wrong in a gradient is counted on the device and read when the run is over, so that no step waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..run import Run
from .estimators import LEAST_ALPHA, gain, is_dead
from .evaluation import ActiveTerm, Answer, GuidedPrediction, OwnPixels
from .term import BACKPROP, CLEAN_X0, GradientTerm, Strength, Term, WatchTerm

StrengthLaw = Callable[[GradientTerm, str, float], Strength]  # term, evaluation, sigma
UNPUSHED = (
    "Classifier guidance: {name} pushed nothing in {count} of {steps} steps: above sigma "
    f"{1 - LEAST_ALPHA:g} the gradient of a flow model would amplify the network's error. Evaluation x0 acts there too."
)
NOTHING_TO_MEASURE_BY = (
    "rms_ratio scales by c - u, which is 0 if positive and negative are the same: nothing is added. Choose clip or none"
)
UNASKED = (
    "Classifier guidance: {name} was asked in none of the {count} steps of its window. Something on the MODEL, such as "
    "a cache of whole predictions, answered there in the model's place."
)
DEAD = "{name} is exactly zero{some} at sigma {sigma:.3g}: {why}"
GUESS = "does the energy clamp, round, detach or take an argmax, or is the classifier already certain?"


@dataclass
class IdleSteps:
    """Steps in which gradients pushed nothing.

    unpushed: those whose push would be an error of the network, by the gradient's name and the steps of the run.
    out_of_reach: how many lie in the window of a gradient that no evaluation has reached.
    """

    unpushed: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    out_of_reach: dict[Term, int] = field(default_factory=dict)


class Counts(NamedTuple):
    """Of an answer.  batch: samples. numbers: [3] int64 on its device, in the order of `counts_of`"""

    name: str
    sigma: float
    batch: int
    numbers: Tensor


def counts_of(answer: Answer, sigma: float, fresh: bool) -> Counts:
    """Numbers that are not finite, samples whose shift is zero, and whether there was nothing to measure the push by.

    fresh: it is no answer of an earlier step, whose shift was counted there.
    """
    shift: Any = answer.shift
    none = torch.zeros((), dtype=torch.int64, device=shift.device)
    counts = (answer.non_finite, is_dead(shift).sum()) if fresh else (none, none)
    numbers = [none if count is None else count.long() for count in (*counts, answer.no_difference)]
    return Counts(answer.name, sigma, len(shift), torch.stack(numbers))


class GradientRun:
    """The gradient terms of a chain in one run, and all that is remembered of them from step to step.

    pictures: what each term is shown of x0-hat.
    sigma_data: deviation of clean data.
    strength: law by which gradients act.
    names: of the terms, in wire order.
    latest: answers of the terms in the latest evaluation.
    answers: answers that are used again, by term and evaluation.
    notes: sentences for the trace.
    dead: names of terms whose gradient was said to be zero.
    non_finite: numbers of each gradient that were not finite, by the name of the term.
    counts: taken on the device and not read yet, since that waits: `read_counts` does once for all steps of a run.
    idle: steps in which gradients pushed nothing.

    tell(sentence), of the run: says it beside the trace too.
    """

    def __init__(self, pictures: Mapping[Term, OwnPixels], sigma_data: float, tell: Callable[[str], object]):
        self.pictures, self.sigma_data, self.strength, self._tell = pictures, sigma_data, rate_law, tell
        self.names = dict(zip(pictures, names_of(pictures), strict=True))
        self.latest: list[Answer] = []
        self.answers: dict[tuple[Term, str], Answer] = {}
        self.notes: dict[str, None] = {}
        self.dead: set[str] = set()
        self.non_finite: Counter[str] = Counter()
        self.counts: list[Counts] = []
        self.idle = IdleSteps()
        for term in self.gradient_terms:
            if term.unread_options:
                self.tell(
                    f"{self.names[term]} does not read {', '.join(term.unread_options)} at {term.effective_evaluation}"
                )

    @property
    def gradient_terms(self) -> list[GradientTerm]:
        """The terms that guide; the others only measure."""
        return [term for term in self.names if isinstance(term, GradientTerm)]

    @property
    def backprop(self) -> bool:
        """Whether gradients through the denoiser can be had."""
        return True

    def use(self, strength: StrengthLaw) -> None:
        """Have terms act as strongly as a sampler wants, whose gradients are no rates."""
        self.strength = strength

    def active_terms(self, run: Run, sigma: float) -> tuple[ActiveTerm, ...]:
        """The terms that are asked in an evaluation; what keeps one of them from that is counted."""
        if not self.idle.out_of_reach:
            self._count_steps(run)
        active = []
        for term in self.names:
            if not term.active(run, sigma):
                continue
            if isinstance(term, GradientTerm):
                self.idle.out_of_reach[term] = 0
            at = self.evaluation_of(term)
            if at == CLEAN_X0 or gain(sigma, run.alpha(sigma)):
                active.append(self.active_term(run, sigma, term, at))
            else:
                self.idle.unpushed.setdefault((self.names[term], run.steps), set()).add(run.step(sigma))
        return tuple(active)

    def _count_steps(self, run: Run) -> None:
        """Count the steps in the window of each gradient; a cache may answer for the model in all of them."""
        for term in self.gradient_terms:
            self.idle.out_of_reach[term] = sum(term.active(run, sigma) for sigma in run.sigmas[:-1])

    def active_term(self, run: Run, sigma: float, term: Term, at: str = CLEAN_X0) -> ActiveTerm:
        """A term as it is asked by an evaluation of EVALUATIONS."""
        active = ActiveTerm(term, self.names[term], at, self.pictures[term])
        if not isinstance(term, GradientTerm):
            return active
        earlier = None if term.fresh(run, sigma) else self.answers.get((term, at))
        return active._replace(strength=self.strength(term, at, sigma), earlier_answer=earlier)

    def evaluation_of(self, term: Term) -> str:
        """The evaluation in force for a term."""
        at = term.effective_evaluation
        return CLEAN_X0 if at == BACKPROP and not self.backprop else at

    def remember(self, prediction: GuidedPrediction, sigma: float) -> Tensor:  # -> [B, ...]
        """Keep what an evaluation made, and return its x0-hat."""
        self.latest = prediction.answers
        for words in prediction.notes:
            self.tell(words)
        for active, answer in zip(prediction.terms, prediction.answers, strict=True):
            if isinstance(active.term, GradientTerm):
                self.counts.append(counts_of(answer, sigma, active.earlier_answer is None))
                if active.earlier_answer is None and active.term.every > 1:
                    self.answers[active.term, active.evaluation] = answer
        return prediction.guided

    def read_counts(self) -> None:
        """Say once a run that a gradient is not finite, exactly zero, or has nothing to be measured by.  Waits once."""
        counts, self.counts = self.counts, []
        numbers = torch.stack([count.numbers for count in counts]).tolist() if counts else []
        for count, (broken, dead, no_difference) in zip(counts, numbers, strict=True):
            self._check(count, broken, dead)
            if no_difference:
                self.tell(NOTHING_TO_MEASURE_BY)

    def _check(self, count: Counts, broken: int, dead: int) -> None:
        name, sigma = count.name, count.sigma
        if broken:
            if not self.non_finite[name]:
                self.tell(f"{name} has {broken} values that are not finite at sigma {sigma:.3g}; they are set to 0")
            self.non_finite[name] += broken
        elif dead and name not in self.dead:
            self.dead.add(name)
            some = "" if dead == count.batch else f" in {dead} of {count.batch} samples"
            energy = next(term.energy for term, term_name in self.names.items() if term_name == name)
            self.tell(DEAD.format(name=name, some=some, sigma=sigma, why=getattr(energy, "why_zero", "") or GUESS))

    def tell(self, words: str) -> None:
        """Say it at once and in the trace, once a run."""
        text = f"Classifier guidance: {words}."
        if text not in self.notes:
            self.note(text)
            self._tell(text)

    def note(self, text: str) -> None:
        """Add a sentence to the trace alone."""
        self.notes[text] = None

    def sentences(self) -> list[str]:
        """For the trace, the counts of the whole run last.  Waits where something was counted."""
        self.read_counts()
        bad = (f"{name} had {count} values that are not finite" for name, count in self.non_finite.items())
        unpushed = self.idle.unpushed.items()
        idle = [UNPUSHED.format(name=name, count=len(steps), steps=n) for (name, n), steps in unpushed]
        unasked = ((self.names[term], count) for term, count in self.idle.out_of_reach.items() if count)
        idle += [UNASKED.format(name=name, count=count) for name, count in unasked]
        return [*self.notes, *(f"Classifier guidance: {words} in the whole run." for words in bad), *idle]

    def total_shift(self) -> Tensor | None:  # -> [B, ...]
        """What the terms asked for together in the latest evaluation, at their own gamma; None where none was asked."""
        shifts = {answer.name: answer.shift for answer in self.latest if answer.shift is not None}
        pairs = [(term, shifts[self.names[term]]) for term in self.gradient_terms if self.names[term] in shifts]
        pushes = [term.gamma(self.evaluation_of(term)) * shift for term, shift in pairs]
        return torch.stack(pushes).sum(dim=0) if pushes else None


def goes_through_denoiser(terms: Sequence[Term]) -> bool:
    """Whether a gradient is taken through the denoiser, whose weights must stay in place then."""
    return any(term.effective_evaluation == BACKPROP for term in terms)


def rate_law(term: GradientTerm, evaluation: str, sigma: float) -> Strength:
    """A term's own gamma, whatever the steps."""
    return Strength(term.gamma(evaluation))


def names_of(terms: Iterable[Term]) -> list[str]:
    """Names of the terms in the trace: gradient, gradient 2, ..., watch, watch 2, ..."""
    return number_names(["watch" if isinstance(term, WatchTerm) else "gradient" for term in terms])


def number_names(names: list[str]) -> list[str]:
    """Names that differ from each other: one that was there before has its count behind it."""
    counts = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if count == 1 or not name else f"{name} {count}" for name, count in zip(names, counts, strict=True)]
