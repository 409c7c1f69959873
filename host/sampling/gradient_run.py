"""Gradient terms in one run of the host: with the memory there is, through models under inference mode.

An evaluation in which terms are asked changes nothing of the run until it has succeeded, and the host is called once in
it, whatever has to be tried.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import comfy.model_management
import comfy.model_patcher
import torch
from torch import Tensor

from ...guidance.gradients.evaluation import (
    ActiveTerm,
    Answer,
    AnswerOf,
    Denoised,
    GradientEvaluation,
    GuidedPrediction,
    reads_difference,
)
from ...guidance.gradients.run import GradientRun, goes_through_denoiser
from ...guidance.gradients.term import NOISY, STAND_IN, Term
from ..models import adapter
from .autograd import IN_PLACE, normal, pages_weights, without_underflow
from .chain_evaluation import ChainEvaluation
from .memory_plan import MemoryPlan, surely_fits
from .network_calls import NetworkCalls, NoBackprop
from .pictures import picture_of
from .run_models import RunModels

PAGED = (
    f"{STAND_IN}: the host pages the weights, which breaks gradients, and there is no file to reload them from. Start "
    "ComfyUI with --disable-dynamic-vram"
)


BLIND = (
    "something on the MODEL keeps no gradient (a wrapper under torch.no_grad, or a cache of whole predictions): where "
    f"it is at work, {STAND_IN}"
)

SPOILT = f"in the step where this was found, {STAND_IN}"


class DenoiserCall(NamedTuple):
    """The host's call for a guided x0-hat.  x: [B, ...]. timestep: [B], the noise levels. options: of the MODEL."""

    evaluate: ChainEvaluation
    x: Tensor
    timestep: Tensor
    options: dict
    seed: int | None

    def denoise(self, x: Tensor, timestep: Tensor) -> Tensor:
        """x0-hat without gradient terms, at a tensor of the caller's."""
        return self.evaluate(x, timestep, self.options, self.seed)

    def predict(self, x: Tensor, both: bool) -> Denoised:
        """x0-hat without gradient terms, with u and c.  both: they are needed, also where the chain needs c alone."""
        pair: dict[str, Tensor] = {}

        def note(args: dict) -> Tensor:
            pair.update(uncond=args["uncond_denoised"], cond=args["cond_denoised"])
            return args["denoised"]

        changes: dict[str, Any] = {"disable_cfg1_optimization": True} if both else {}
        changes["sampler_post_cfg_function"] = [*self.options.get("sampler_post_cfg_function", []), note]
        timestep = self.timestep.clone()
        with adapter.override(self.options, changes):
            if x.requires_grad and self.evaluate.models.computes_in_half:
                guided = without_underflow(lambda x: self.denoise(x, timestep), x)  # takes items for independent
            else:
                guided = self.denoise(x, timestep)
            return Denoised(guided, **pair)


class HostGradientRun(GradientRun):
    """The gradient terms of a chain in one run of the host.

    models: what its predictions go through. plan: how gradients go through the denoiser. goes_through_denoiser: whether
    any does.
    """

    def __init__(self, terms: tuple[Term, ...], models: RunModels):
        self.models, patcher = models, models.guider.model_patcher
        pictures = {term: picture_of(patcher, term.decoder, term.shrink) for term in terms}
        super().__init__(pictures, adapter.data_deviation(patcher) or 1.0, adapter.tell)
        self.goes_through_denoiser = goes_through_denoiser(terms)
        paged = self.goes_through_denoiser and any(map(pages_weights, models.patchers()))
        twice = any(term.options.checkpoint for term in self.gradient_terms)
        self.plan = MemoryPlan(twice=twice, backprop=not paged)
        for term in self.gradient_terms:
            if term.effective_evaluation != NOISY:
                pictures[term].stay()
        decoders = dict.fromkeys(picture.patcher for picture in pictures.values())
        self.decoders = [decoder for decoder in decoders if decoder is not None]
        clean = (picture for term, picture in pictures.items() if term.effective_evaluation != NOISY)
        for words in (*dict.fromkeys(picture.warning for picture in clean), PAGED if paged else ""):
            if words:
                self.tell(words)

    @property
    def backprop(self) -> bool:
        """Whether gradients through the denoiser can be had: until memory has run out."""
        return self.plan.backprop

    @property
    def normal(self) -> bool:
        """Whether the run's predictions are made outside inference mode.

        All of them, since what caches and patches keep from one that needs no graph is used in the next that does.
        """
        return self.plan.backprop and self.goes_through_denoiser

    def add_to(self, call: DenoiserCall) -> Tensor:
        """The guided x0-hat of a call plus what the terms add to it; without an active term, the call itself."""
        before = comfy.model_patcher.create_model_options_clone(call.options) if self.normal else {}
        try:
            return self._attempt(call)
        except (RuntimeError, MemoryError) as error:
            change = self.plan.after(error) if self.normal else None
            if change is None:
                raise
        self.plan, words = change
        if words:
            self.tell(words)
        call.options.clear()
        call.options.update(before)  # what other packs remember of the failed attempt
        comfy.model_management.soft_empty_cache()
        return self.add_to(call)

    def _attempt(self, call: DenoiserCall) -> Tensor:
        self.latest = []
        run, sigma = call.evaluate.runner.run, call.evaluate.runner.sigma
        with normal(self.models.networks) if self.normal else nullcontext():
            call = call._replace(x=call.x.clone(), timestep=call.timestep.clone()) if self.normal else call
            terms, stand_in = self.active_terms(run, sigma), partial(self.active_term, run, sigma)
            if not terms:
                return call.denoise(call.x, call.timestep)
            predict = partial(call.predict, both=reads_difference(terms))
            facts = sigma, run.alpha(sigma), terms, self.sigma_data, stand_in
            pause = comfy.model_management.throw_exception_if_processing_interrupted
            evaluation = GradientEvaluation(predict, call.x, *facts, pause)
            prediction = self._with_graph(evaluation, call) if evaluation.through_denoiser else evaluation.plain()
            return self.remember(prediction, sigma)

    def _with_graph(self, evaluation: GradientEvaluation, call: DenoiserCall) -> GuidedPrediction:
        """One forward with its graph, one backward for each term that goes through the denoiser."""
        calls = NetworkCalls(self.models, self.plan, self._free(evaluation))
        with calls.take_over(call.options), torch.enable_grad(), calls.copies():
            leaf = call.x.detach().clone().requires_grad_()
            denoised = evaluation.denoise(leaf)
            comfy.model_management.throw_exception_if_processing_interrupted()
            ask = partial(self._ask, evaluation, calls, denoised.guided.requires_grad)
            guided = evaluation.add_terms(leaf, denoised, ask)
            for prediction in (denoised.uncond, denoised.cond):
                cut_off(prediction)
        forget_graphs(call.options)
        self.plan = calls.next_plan
        notes = (*calls.notes(), *((BLIND,) if calls.blind else ()), *((SPOILT,) if calls.spoilt else ()))
        return guided._replace(notes=notes)

    def _ask(
        self,
        evaluation: GradientEvaluation,
        calls: NetworkCalls,
        tracked: bool,
        active: ActiveTerm,
        answer_of: AnswerOf,
        again: bool,
    ) -> tuple[ActiveTerm, Answer]:
        """A term as it was asked in the end, and its answer.

        tracked: there is a graph through the denoiser. again: it is needed once more.
        """
        calls.again = again

        def attempt() -> tuple[ActiveTerm, Answer]:
            able = calls.plan.backprop and tracked and not calls.blind and not calls.spoilt
            candidate = active if able else evaluation.ask_without_graph(active)
            try:
                with calls.count_memory(), calls.copies():
                    return candidate, answer_of(candidate)
            except RuntimeError as error:
                if IN_PLACE not in str(error) or self.plan.copies or not calls.plan.copies:
                    raise
            calls.spoilt = True  # the host's part of the graph was made before there were copies, and only once
            return attempt()

        try:
            return calls.until_it_works(attempt)
        except NoBackprop:
            return attempt()

    def _free(self, evaluation: GradientEvaluation) -> float | None:
        """Bytes of memory that the step may take a share of; None where it need not be counted."""
        if self.plan.by_estimate:
            return None
        x, terms = evaluation.x, [active.term for active in evaluation.terms]
        free: Any = comfy.model_management.get_free_memory(x.device)
        if any(term.decoder is not None for term in terms):  # no estimate of the host's knows one
            return free
        networks = (getattr(classifier, "network", None) for term in terms for classifier in term.energy.classifiers)
        others = [network for network in networks if network is not None]
        return None if surely_fits(self.models.guider.inner_model, [2 * len(x), *x.shape[1:]], others, free) else free


def cut_off(prediction: Tensor | None) -> None:
    """Cut u or c off the graph in place: samplers keep them from step to step, and with them the graph."""
    if prediction is not None and prediction.requires_grad and not prediction._is_view():  # views cannot be detached
        prediction.detach_()


def forget_graphs(options: dict) -> None:
    """Cut what other packs remember off this step's graph, which would be kept as long."""
    for name, value in options.items():
        if isinstance(value, Tensor):
            options[name] = value.detach() if value.requires_grad else value
        elif isinstance(value, dict):
            forget_graphs(value)
        elif hasattr(value, "__dict__") and not callable(value):
            forget_graphs(vars(value))
