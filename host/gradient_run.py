"""Gradient terms at work in one run of the host: when they are asked, how strongly they act, what they said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

import comfy.model_management
import comfy.model_patcher
import torch
from torch import Tensor

from ..guidance.gradients.estimators import LEAST_ALPHA, gain, is_dead
from ..guidance.gradients.term import BACKPROP, CLEAN_X0, NOISY, STAND_IN, GradientTerm, Strength, Term, WatchTerm
from ..guidance.run import Run
from . import adapter
from .autograd import normal, pages_weights
from .gradient_evaluation import ActiveTerm, Answer, DenoiserCall, GradientEvaluation, GuidedPrediction
from .memory_plan import MemoryPlan
from .pictures import picture_of
from .run_models import RunModels

StrengthLaw = Callable[[GradientTerm, str, float], Strength]  # term, evaluation, sigma
PAGED = (
    f"{STAND_IN}: the host pages the weights, which breaks gradients, and there is no file to reload them from. Start "
    "ComfyUI with --disable-dynamic-vram"
)
UNPUSHED = (
    "Classifier guidance: {name} pushed nothing in {count} of {steps} steps: above sigma "
    f"{1 - LEAST_ALPHA:g} the gradient of a flow model would amplify the network's error. Evaluation x0 acts there too."
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
    unasked: how many lie in the window of a gradient that no evaluation has reached.
    """

    unpushed: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    unasked: dict[Term, int] = field(default_factory=dict)


class GradientRun:
    """The gradient terms of a chain in one run, and all that is remembered of them from step to step.

    names: of the terms, in wire order. latest: their answers in the latest evaluation. plan: how gradients go through
    the denoiser. held: answers that are used again, by term and evaluation. notes: sentences for the trace.
    """

    def __init__(self, terms: tuple, models: RunModels):
        self.models, patcher = models, models.guider.model_patcher
        self.sigma_data = adapter.data_deviation(patcher) or 1.0
        self.names = dict(zip(terms, names_of(terms), strict=True))
        self.pictures = {term: picture_of(patcher, term.decoder, term.shrink) for term in terms}
        paged = goes_through_denoiser(terms) and any(map(pages_weights, models.patchers()))
        twice = any(term.options.checkpoint for term in self.gradient_terms)
        self.plan, self.strength = MemoryPlan(twice=twice, backprop=not paged), as_rate
        self.latest: list[Answer] = []
        self.held: dict[tuple[Term, str], Answer] = {}
        self.notes: dict[str, None] = {}
        self.dead: set[str] = set()  # terms whose gradient was said to be zero: the first time tells
        self.broken: Counter[str] = Counter()  # numbers that were not finite, by term
        self.idle = IdleSteps()
        for term in self.gradient_terms:
            if term.unread:
                self.tell(f"{self.names[term]} does not read {', '.join(term.unread)} at {term.effective_evaluation}")
            if term.effective_evaluation != NOISY:
                self.pictures[term].stay()
        if paged:
            self.tell(PAGED)

    @property
    def gradient_terms(self) -> list[GradientTerm]:
        """The terms that guide; the others only measure."""
        return [term for term in self.names if isinstance(term, GradientTerm)]

    def use(self, strength: StrengthLaw) -> None:
        """Have terms act as strongly as a sampler wants, whose gradients are no rates."""
        self.strength = strength

    @property
    def decoders(self) -> list:
        """The host's keepers of the decoders' weights."""
        return [*dict.fromkeys(picture.patcher for picture in self.pictures.values() if picture.patcher is not None)]

    def added(self, call: DenoiserCall) -> Tensor:
        """The guided x0-hat of a call plus what the terms add to it; without an active term, the call itself."""
        before = comfy.model_patcher.create_model_options_clone(call.options) if self.normal else {}
        try:
            return self._added(call)
        except (RuntimeError, MemoryError) as error:
            found = self.plan.after(error) if self.normal else None
            if found is None:
                raise
        self._follow(*found)
        call.options.clear()
        call.options.update(before)  # what other packs remember of the failed attempt
        comfy.model_management.soft_empty_cache()
        return self.added(call)

    @property
    def normal(self) -> bool:
        """Whether the run's predictions are made outside inference mode.

        All of them, since what caches and patches keep from one that needs no graph is used in the next that does.
        """
        return self.plan.backprop and goes_through_denoiser(tuple(self.names))

    def _added(self, call: DenoiserCall) -> Tensor:
        self.latest = []
        with normal(self.models.networks()) if self.normal else nullcontext():
            call = call._replace(x=call.x.clone(), timestep=call.timestep.clone()) if self.normal else call
            asked = self.asked(call)
            if not asked.terms:
                return call.denoised(call.x, call.timestep)
            return self._applied(asked, asked.with_graph() if asked.through_denoiser else asked.plain())

    def asked(self, call: DenoiserCall) -> GradientEvaluation:
        """An evaluation with the terms that are at work in it, ready to be made."""
        terms = [(term, self.evaluation_of(term)) for term in self.names if term.active(call.run, call.sigma)]
        self._count_unasked(call.run, {term for term, _ in terms})
        able = [(term, at) for term, at in terms if at == CLEAN_X0 or gain(call.sigma, call.alpha)]
        for term, _ in (one for one in terms if one not in able):
            self.idle.unpushed.setdefault((self.names[term], call.run.steps), set()).add(call.run.step(call.sigma))
        active = tuple(self._active(call, term, at) for term, at in able)
        instead = partial(self._active, call, at=CLEAN_X0)
        return GradientEvaluation(call, active, self.models, self.plan, self.sigma_data, instead)

    def evaluation_of(self, term: Term) -> str:
        """The evaluation in force for a term: without backprop once memory has run out."""
        at = term.effective_evaluation
        return CLEAN_X0 if at == BACKPROP and not self.plan.backprop else at

    def _active(self, call: DenoiserCall, term: Term, at: str) -> ActiveTerm:
        active = ActiveTerm(term, self.names[term], at, self.pictures[term])
        if not isinstance(term, GradientTerm):
            return active
        kept = None if term.fresh(call.run, call.sigma) else self.held.get((term, at))
        return active._replace(strength=self.strength(term, at, call.sigma), kept=kept)

    def _follow(self, plan: MemoryPlan, words: str) -> None:
        self.plan = plan
        if words:
            self.tell(words)

    def _applied(self, asked: GradientEvaluation, found: GuidedPrediction) -> Tensor:
        """Remember what an evaluation found out, and hand on its x0-hat."""
        self.plan, self.latest = found.plan, found.answers
        for words in found.notes:
            self.tell(words)
        for one, answer in zip(found.terms, found.answers, strict=True):
            if isinstance(one.term, GradientTerm) and one.kept is None:
                self._watch_out(answer, asked.call.sigma)
                if one.term.every > 1:
                    self.held[one.term, one.evaluation] = answer
            for words in answer.notes:
                self.tell(words)
        return found.denoised

    def _watch_out(self, answer: Answer, sigma: float) -> None:
        """Say once a run that a gradient is not finite, or exactly zero."""
        name, broken = answer.name, answer.broken
        if broken:
            if not self.broken[name]:
                self.tell(f"{name} has {broken} values that are not finite at sigma {sigma:.3g}; they are set to 0")
            self.broken[name] += broken
        elif answer.shift is not None and name not in self.dead and (dead := int(is_dead(answer.shift).sum())):
            self.dead.add(name)
            some = "" if dead == len(answer.shift) else f" in {dead} of {len(answer.shift)} samples"
            energy = next(term.energy for term, own in self.names.items() if own == name)
            self.tell(DEAD.format(name=name, some=some, sigma=sigma, why=getattr(energy, "why_zero", "") or GUESS))

    def tell(self, words: str) -> None:
        """Say it in the log, on the node and in the trace, once a run."""
        text = f"Classifier guidance: {words}."
        if text not in self.notes:
            self.note(text)
            adapter.tell(text)

    def note(self, text: str) -> None:
        """Add a sentence to the trace alone."""
        self.notes[text] = None

    def told(self) -> list[str]:
        """Sentences for the trace, the counts of the whole run last."""
        bad = (f"{name} had {count} values that are not finite" for name, count in self.broken.items())
        idle = [UNPUSHED.format(name=name, count=len(at), steps=n) for (name, n), at in self.idle.unpushed.items()]
        unasked = ((self.names[term], count) for term, count in self.idle.unasked.items() if count)
        idle += [UNASKED.format(name=name, count=count) for name, count in unasked]
        return [*self.notes, *(f"Classifier guidance: {words} in the whole run." for words in bad), *idle]

    def _count_unasked(self, run: Run, reached: set[Term]) -> None:
        """Strike off the terms that an evaluation has reached; a cache may answer for the model in all their steps."""
        for term in self.gradient_terms if not self.idle.unasked else ():
            self.idle.unasked[term] = sum(term.active(run, sigma) for sigma in run.sigmas[:-1])
        self.idle.unasked |= dict.fromkeys(reached & self.idle.unasked.keys(), 0)

    def wanted(self) -> Tensor | None:  # -> [B, ...]
        """What the terms asked for together in the latest evaluation, at their own gamma; None where none was asked."""
        shifts = {answer.name: answer.shift for answer in self.latest if answer.shift is not None}
        asked = [(term, shifts[self.names[term]]) for term in self.gradient_terms if self.names[term] in shifts]
        pushes = [term.gamma(self.evaluation_of(term)) * shift for term, shift in asked]
        return torch.stack(pushes).sum(dim=0) if pushes else None


def goes_through_denoiser(terms: tuple) -> bool:
    """Whether a gradient is taken through the denoiser, whose weights must stay in place then."""
    return any(term.effective_evaluation == BACKPROP for term in terms)


def as_rate(term: GradientTerm, evaluation: str, sigma: float) -> Strength:
    """A term's own gamma, whatever the steps."""
    return Strength(term.gamma(evaluation))


def names_of(terms: tuple) -> list[str]:
    """Names of the terms in the trace: gradient, gradient 2, ..., watch, watch 2, ..."""
    return numbered(["watch" if isinstance(term, WatchTerm) else "gradient" for term in terms])


def numbered(names: list[str]) -> list[str]:
    """The same, each by itself: a name that was there before has its count behind it."""
    counts = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if count == 1 or not name else f"{name} {count}" for name, count in zip(names, counts, strict=True)]
