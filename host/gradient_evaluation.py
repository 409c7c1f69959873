"""One evaluation of the denoiser in which gradient terms are asked, with its graph or without.

An evaluation is given all it needs and returns what it found out; it changes nothing of the run. The denoiser is called
once in it, whatever has to be tried.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import comfy.model_management
import torch
from torch import Tensor

from ..guidance.gradients.estimators import bounded
from ..guidance.gradients.term import BACKPROP, NOISY, STAND_IN, GradientTerm, Place, Strength, Term
from ..guidance.run import Run
from ..guidance.vectors import gradient_mode, rms, share_along
from . import adapter
from .autograd import without_underflow
from .chain_evaluation import ChainEvaluation
from .memory_plan import MemoryPlan, surely_fits
from .network_calls import NetworkCalls, NoBackprop
from .pictures import OwnPixels
from .run_models import RunModels

NOTHING_TO_MEASURE_BY = (
    "rms_ratio scales by c - u, which is 0 if positive and negative are the same: nothing is added. Choose clip or none"
)
BLIND = (
    "something on the MODEL keeps no gradient (a wrapper under torch.no_grad, or a cache of whole predictions): where "
    f"it is at work, {STAND_IN}"
)


class Answer(NamedTuple):
    """What one term said in one evaluation.

    shift: of x0-hat at gamma 1, [B, ...]; None for a term that only measures. log_prob: [B]. broken: how many numbers
    of the shift were not finite; they are 0. notes: sentences about it. weight: of the shift in the push that acted,
    [B].
    """

    name: str
    shift: Tensor | None
    log_prob: Tensor
    broken: int = 0
    notes: tuple[str, ...] = ()
    weight: Tensor | None = None


class ActiveTerm(NamedTuple):
    """A term that is at work in one evaluation.

    evaluation: where it is asked, of EVALUATIONS. strength: of a gradient. kept: its answer of an earlier step, where
    no gradient is taken anew.
    """

    term: Term
    name: str
    evaluation: str
    picture: OwnPixels
    strength: Strength = Strength(0.0)
    kept: Answer | None = None

    @property
    def through_denoiser(self) -> bool:
        """Whether it takes a gradient through the denoiser in this evaluation."""
        return self.evaluation == BACKPROP and self.kept is None

    def answer(self, place: Place) -> Answer:
        """What the term says there."""
        if isinstance(self.term, GradientTerm):
            return self.kept or self._asked(self.term, place)
        with gradient_mode(recording=False), self.picture.ready():
            found = self.term.log_prob(replace(place, denoised=place.denoised.detach()))
        return Answer(self.name, None, found)

    def _asked(self, term: GradientTerm, place: Place) -> Answer:
        with self.picture.ready() if self.evaluation != NOISY else nullcontext():
            found = term.shift(place, self.evaluation, again=True, gamma=self.strength.gamma)
        shift = found.shift.detach()
        broken = int((~shift.isfinite()).sum())
        return Answer(self.name, shift.nan_to_num(0.0, 0.0, 0.0) if broken else shift, found.log_prob, broken)


class DenoiserCall(NamedTuple):
    """The host's call for a guided x0-hat.  x: [B, ...]. timestep: [B], the noise levels. options: of the MODEL."""

    evaluate: ChainEvaluation
    x: Tensor
    timestep: Tensor
    options: dict
    seed: int | None

    @property
    def run(self) -> Run:
        """The run, and where in it this stands."""
        return self.evaluate.run

    @property
    def sigma(self) -> float:
        """Noise level."""
        return self.evaluate.sigma

    @property
    def alpha(self) -> float:
        """Signal factor: x = alpha x0 + sigma eps."""
        return 1 - self.sigma if self.run.flow else 1.0

    def denoised(self, x: Tensor, timestep: Tensor) -> Tensor:
        """x0-hat without gradient terms, at a tensor of the caller's."""
        return self.evaluate(x, timestep, self.options, self.seed)


class GuidedPrediction(NamedTuple):
    """What an evaluation found out.

    denoised: guided x0-hat with what the terms add to it. terms: as they were asked in the end. answers: theirs, in
    their order. plan: for the next evaluation. notes: sentences about the model.
    """

    denoised: Tensor
    terms: tuple[ActiveTerm, ...]
    answers: list[Answer]
    plan: MemoryPlan
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GradientEvaluation:
    """One evaluation in which terms are asked, ready to be made.

    models: what the call goes through. plan: how a graph through them is kept. sigma_data: of clean data.
    without_backprop(term): the same term where no gradient through the denoiser can be had.
    """

    call: DenoiserCall
    terms: tuple[ActiveTerm, ...]
    models: RunModels
    plan: MemoryPlan
    sigma_data: float
    without_backprop: Callable[[Term], ActiveTerm]

    @property
    def through_denoiser(self) -> list[ActiveTerm]:
        """The terms that take a gradient through the denoiser."""
        return [one for one in self.terms if one.through_denoiser]

    def plain(self) -> GuidedPrediction:
        """Without a graph through the denoiser."""
        seen: dict[str, Tensor] = {}
        x, timestep = self.call.x, self.call.timestep
        with adapter.changed(self.call.options, self._noting(seen)):
            denoised = self.call.denoised(x, timestep)
        total, answers = denoised, []
        for one in self.terms:
            answer = one.answer(self._place(one, x, denoised))
            total, answer = self._added(total, one, answer, seen)
            answers.append(answer)
        return GuidedPrediction(total, self.terms, answers, self.plan)

    def with_graph(self) -> GuidedPrediction:
        """One forward with its graph, one backward for each term that goes through the denoiser."""
        call, seen = self.call, {}
        calls = NetworkCalls(self.models, self.plan, self._free())
        with adapter.changed(call.options, self._noting(seen)), calls.taken(call.options), torch.enable_grad():
            leaf, timestep = call.x.detach().clone().requires_grad_(), call.timestep.clone()
            denoised = without_underflow(lambda x: call.denoised(x, timestep), leaf)
            comfy.model_management.throw_exception_if_processing_interrupted()
            total, terms, answers = denoised.detach(), [], []
            for k, asked in enumerate(self.terms):
                calls.again = any(one.through_denoiser for one in self.terms[k + 1 :])
                one, answer = self._asked(asked, leaf, denoised, calls)
                total, answer = self._added(total, one, answer, seen)
                terms.append(one)
                answers.append(answer)
            _let_go(seen)
        forget_graphs(call.options)
        notes = [*calls.notes(), *([BLIND] if calls.blind else [])]
        return GuidedPrediction(total.detach(), tuple(terms), answers, calls.learnt, tuple(notes))

    def _asked(self, asked: ActiveTerm, x: Tensor, denoised: Tensor, calls: NetworkCalls) -> tuple[ActiveTerm, Answer]:
        """A term's answer, and the term as it was asked.  x, denoised: with a graph between them, or without."""

        def attempt() -> tuple[ActiveTerm, Answer]:
            able = calls.plan.backprop and denoised.requires_grad and not calls.blind
            one = asked if able or not asked.through_denoiser else self.without_backprop(asked.term)
            with calls.counted():
                return one, one.answer(self._place(one, x, denoised))

        try:
            return calls.until_it_works(attempt)
        except NoBackprop:
            return attempt()

    def _place(self, one: ActiveTerm, x: Tensor, denoised: Tensor) -> Place:
        return Place(x, denoised.clone(), self.call.sigma, self.call.alpha, self.sigma_data, one.picture)

    def _free(self) -> float | None:
        """Bytes of memory that the step may take a share of; None where it need not be counted."""
        free: Any = comfy.model_management.get_free_memory(self.call.x.device)
        return None if self.plan.estimated or self.surely_fits(free) else free

    def _noting(self, seen: dict[str, Tensor]) -> dict[str, Any]:
        """Changed options: u and c are noted, and both are asked for where their difference measures a push."""

        def note(args: dict) -> Tensor:
            seen.update(uncond=args["uncond_denoised"], cond=args["cond_denoised"])
            return args["denoised"]

        changes = {"sampler_post_cfg_function": [*self.call.options.get("sampler_post_cfg_function", []), note]}
        terms = (one.term for one in self.terms)
        measured = any(isinstance(term, GradientTerm) and term.normalise == "rms_ratio" for term in terms)
        return changes | ({"disable_cfg1_optimization": True} if measured else {})

    def _added(self, total: Tensor, one: ActiveTerm, answer: Answer, seen: dict[str, Tensor]) -> tuple[Tensor, Answer]:
        """x0-hat with what a term adds, and its answer with sentences about that."""
        if answer.shift is None:
            return total, answer
        push, notes = self._push(one, answer.shift, seen)
        return total + push.to(total), answer._replace(notes=notes, weight=share_along(push, answer.shift))

    def _push(self, one: ActiveTerm, shift: Tensor, seen: dict[str, Tensor]) -> tuple[Tensor, tuple[str, ...]]:
        """What is added to x0-hat for a shift, and sentences about it."""
        term: Any = one.term
        if not one.strength.carried:
            return torch.zeros_like(shift), ()
        push = (one.strength.gamma * one.strength.carried) * shift
        if term.normalise == "none":
            return push, ()
        if term.normalise == "clip":
            return bounded(push, "clip", term.limit * self.sigma_data), ()
        delta = (seen["cond"] - seen["uncond"]).detach()
        notes = () if delta.any() else (NOTHING_TO_MEASURE_BY,)
        return bounded(push, "rms_ratio", abs(term.weight) * term.limit * rms(delta)), notes

    def surely_fits(self, free: float) -> bool:
        """Whether nothing has to be rehearsed.  free: bytes. No estimate of the host's knows a decoder."""
        if any(one.term.decoder is not None for one in self.terms):
            return False
        networks = (getattr(asked, "network", None) for one in self.terms for asked in one.term.energy.classifiers)
        shape = [2 * len(self.call.x), *self.call.x.shape[1:]]
        return surely_fits(self.models.guider.inner_model, shape, [n for n in networks if n is not None], free)


def _let_go(seen: dict[str, Tensor]) -> None:
    """Cut u and c off the graph in place: samplers keep them from step to step, and with them the graph."""
    for kept in seen.values():
        if kept.requires_grad and not kept._is_view():  # PyTorch detaches no view in place
            kept.detach_()


def forget_graphs(options: dict) -> None:
    """Cut what other packs remember off this step's graph, which would be kept as long."""
    for name, value in options.items():
        if isinstance(value, Tensor):
            options[name] = value.detach() if value.requires_grad else value
        elif isinstance(value, dict):
            forget_graphs(value)
        elif hasattr(value, "__dict__") and not callable(value):
            forget_graphs(vars(value))
