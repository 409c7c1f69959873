"""One evaluation of the denoiser in which gradient terms are asked, with its graph or without.

An evaluation is given all it needs and returns what it found out. It changes nothing of the run, so that one that
fails, or is only a rehearsal, leaves no trace.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import torch
from torch import Tensor, nn

from ..guidance.gradients.estimators import bounded
from ..guidance.gradients.term import BACKPROP, NOISY, GradientTerm, Place, Strength, Term
from ..guidance.run import Run
from ..guidance.vectors import gradient_mode, rms, share_along
from . import adapter
from .autograd import OVERRIDE, DifferentiableAttention, graph, hosts_without_backward, without_underflow
from .chain_evaluation import ChainEvaluation
from .memory_plan import MemoryPlan, bytes_taken, of_batch, surely_fits
from .pictures import OwnPixels
from .run_models import RunModels

NOTHING_TO_MEASURE_BY = (
    "rms_ratio scales by c - u, which is 0 if positive and negative are the same: nothing is added. Choose clip or none"
)
NOT_REPLACEABLE = (
    "{name} has no backward pass and cannot be replaced in this model. If the model uses it, part of the gradient is "
    "missing: start ComfyUI with --use-pytorch-cross-attention"
)
REPLACED = "{name} has no backward pass, so gradients go through PyTorch's attention"


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

    def answer(self, place: Place, again: bool) -> Answer:
        """What the term says there.  again: the graph of the denoiser is needed once more."""
        if isinstance(self.term, GradientTerm):
            return self.kept or self._asked(self.term, place, again)
        with gradient_mode(recording=False), self.picture.ready():
            found = self.term.log_prob(replace(place, denoised=place.denoised.detach().clone()))
        return Answer(self.name, None, found)

    def _asked(self, term: GradientTerm, place: Place, again: bool) -> Answer:
        with self.picture.ready() if self.evaluation != NOISY else nullcontext():
            found = term.shift(place, self.evaluation, again, self.strength.gamma)
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

    def rehearsal(self, count: int) -> DenoiserCall:
        """The same with the first samples only, which nobody remembers or records."""
        evaluate, options = self.evaluate.rehearsal(self.sigma), without_recorder(self.options)
        return DenoiserCall(evaluate, self.x[:count], self.timestep[:count], options, self.seed)


class GuidedPrediction(NamedTuple):
    """What an evaluation found out.

    denoised: guided x0-hat with what the terms add to it. answers: of the active terms, in their order. plan: for the
    next evaluation. notes: sentences about the model.
    """

    denoised: Tensor
    answers: list[Answer]
    plan: MemoryPlan
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GradientEvaluation:
    """One evaluation in which terms are asked, ready to be made.

    models: what the call goes through. plan: how a graph through them is kept. sigma_data: of clean data.
    """

    call: DenoiserCall
    terms: tuple[ActiveTerm, ...]
    models: RunModels
    plan: MemoryPlan
    sigma_data: float

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
        return GuidedPrediction(*self._with_terms(x, denoised, seen), self.plan)

    def with_graph(self) -> GuidedPrediction:
        """One forward with its graph, one backward for each term that goes through the denoiser."""
        call, plan, seen = self.call, self.plan, {}
        transformer = call.options.setdefault("transformer_options", {})
        attention = DifferentiableAttention(transformer.get(OVERRIDE), plan.pytorch_attention)
        with (
            adapter.changed(call.options, self._noting(seen)),
            adapter.changed(transformer, {OVERRIDE: attention}),
            graph(nn.ModuleList(self.models.networks()), plan.twice, plan.copies),
        ):
            # The host's tensors are inference tensors, which autograd refuses to save; copies made here are not.
            leaf, timestep = call.x.detach().clone().requires_grad_(), call.timestep.clone()
            denoised = without_underflow(lambda x: call.denoised(x, timestep), leaf)
            comfy.model_management.throw_exception_if_processing_interrupted()
            notes = _about(attention)
            total, answers = self._with_terms(leaf, denoised, seen)
            _let_go(seen)
        forget_graphs(call.options)
        plan = replace(plan, pytorch_attention=plan.pytorch_attention or bool(attention.lacking))
        return GuidedPrediction(total.detach(), answers, plan, notes)

    def _noting(self, seen: dict[str, Tensor]) -> dict[str, Any]:
        """Changed options: u and c are noted, and both are asked for where their difference measures a push."""

        def note(args: dict) -> Tensor:
            seen.update(uncond=args["uncond_denoised"], cond=args["cond_denoised"])
            return args["denoised"]

        changes = {"sampler_post_cfg_function": [*self.call.options.get("sampler_post_cfg_function", []), note]}
        terms = (one.term for one in self.terms)
        measured = any(isinstance(term, GradientTerm) and term.normalise == "rms_ratio" for term in terms)
        return changes | ({"disable_cfg1_optimization": True} if measured else {})

    def _with_terms(self, x: Tensor, denoised: Tensor, seen: dict[str, Tensor]) -> tuple[Tensor, list[Answer]]:
        """x0-hat with what the terms add, and their answers.  x, denoised: with a graph between them, or without."""
        total, waiting, answers = denoised.detach(), self.through_denoiser, []
        for one in self.terms:
            place = Place(x, denoised, self.call.sigma, self.call.alpha, self.sigma_data, one.picture)
            answer = one.answer(place, again=one.through_denoiser and one is not waiting[-1])
            if answer.shift is not None:
                push, notes = self._push(one, answer.shift, seen)
                total = total + push.to(total)
                answer = answer._replace(notes=notes, weight=share_along(push, answer.shift))
            answers.append(answer)
        return total, answers

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

    def bytes_needed(self) -> int:
        """Most bytes that this takes beyond what is in use, from rehearsals with one sample and with two."""
        return of_batch(len(self.call.x), self._rehearsed)

    def _rehearsed(self, count: int) -> int:
        terms = tuple(one._replace(kept=None) for one in self.terms)
        few = replace(self, call=self.call.rehearsal(count), terms=terms)
        return bytes_taken(few.with_graph, self.models.controls())


def _about(attention: DifferentiableAttention) -> tuple[str, ...]:
    """Sentences about the attention of a model that has been called."""
    notes = [REPLACED.format(name=name) for name in attention.lacking]
    if not attention.reached and (name := hosts_without_backward()):
        notes.append(NOT_REPLACEABLE.format(name=name))
    return tuple(notes)


def _let_go(seen: dict[str, Tensor]) -> None:
    """Cut u and c off the graph in place: samplers keep them from step to step, and with them the graph."""
    for kept in seen.values():
        if kept.requires_grad and not kept._is_view():  # PyTorch detaches no view in place
            kept.detach_()


def forget_graphs(options: dict) -> None:
    """Cut what other packs remember off this step's graph, which would be kept as long."""
    for name, value in options.items():
        if isinstance(value, dict):
            forget_graphs(value)
        elif isinstance(value, Tensor) and value.requires_grad:
            options[name] = value.detach()


def without_recorder(options: dict) -> dict:
    """Options of a call that nobody records."""
    clone = comfy.model_patcher.create_model_options_clone(options)
    kind = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH
    clone.get("transformer_options", {}).get("wrappers", {}).get(kind, {}).pop(adapter.KEY, None)
    return clone
