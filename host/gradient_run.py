"""Gradient terms at work in one run of the host: where they are asked, and what they add to the guided prediction."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import torch
from torch import Tensor, nn

from ..guidance.gradients.estimators import bounded, gain, is_dead
from ..guidance.gradients.term import BACKPROP, CLEAN_X0, NOISY, GradientTerm, Place, Strength, WatchTerm
from ..guidance.run import Run
from ..guidance.vectors import rms
from . import adapter
from .autograd import (
    IN_PLACE,
    NO_FORMULA,
    graph,
    hosts_without_backward,
    pages_weights,
    ran_out_of_memory,
    with_backward,
    without_underflow,
)
from .chain_evaluation import ChainEvaluation
from .graph_memory import Tally
from .pictures import picture_of
from .run_models import RunModels

GENEROUS = 40  # a graph keeps a few dozen times what the host reckons for a forward, at most
SPARE = 0.8  # share of the free memory that a graph may take: an allocator needs more than its tensors have


class Asked(NamedTuple):
    """What one term said in one evaluation.  shift: at gamma 1, None for a term that only measures. log_prob: [B]."""

    name: str
    shift: Tensor | None
    log_prob: Tensor


class GradientRun:
    """The gradient terms of a chain in one run.

    latest: what they said in the latest evaluation. notes: sentences for the trace. strength(term, evaluation,
    sigma): how strongly a term acts there; a sampler whose gradients are no rates sets its own. models: of the run.
    """

    def __init__(self, terms: tuple, models: RunModels):
        self.terms, self.models, patcher = terms, models, models.guider.model_patcher
        self.sigma_data = adapter.data_deviation(patcher) or 1.0
        self.names = dict(zip(terms, names_of(terms), strict=True))
        self.pictures = {term: picture_of(patcher, term.decoder, term.shrink) for term in terms}
        self.recompute = any(isinstance(term, GradientTerm) and term.options.checkpoint for term in terms)
        self.in_place = self.own_attention = self.measured = self.silent = False
        self.lowered = goes_through_denoiser(terms) and any(map(pages_weights, models.patchers()))
        self.strength: Callable[[GradientTerm, str, float], Strength] = as_rate
        self.latest: list[Asked] = []
        self.held: dict[tuple[GradientTerm, str], Asked] = {}
        self.notes: dict[str, None] = {}
        self.dead: set[str] = set()  # terms whose gradient was said to be zero: the first time tells
        self.broken: Counter[str] = Counter()  # numbers that were not finite, by term
        for term in terms:
            if isinstance(term, GradientTerm) and term.unread:
                self._tell(f"{self.names[term]} does not read {', '.join(term.unread)} at {term.effective_evaluation}")
            if isinstance(term, GradientTerm) and term.effective_evaluation != NOISY:
                self.pictures[term].stay()
        if self.lowered:
            self._tell(
                "x0 without backprop, at the same scale of its own: the host pages weights in and out, which no "
                "gradient survives, and has no file to load them from again. Start ComfyUI with --disable-dynamic-vram"
            )

    def load_with(self, conds: dict) -> None:
        """Have the decoders loaded together with the run's model: loading one in a step could evict the other."""
        patchers = [picture.patcher for picture in self.pictures.values() if picture.patcher is not None]
        for entry in conds["positive"][:1]:
            entry["additional_models"] = [*entry.get("additional_models", []), *dict.fromkeys(patchers)]

    def added(self, evaluate: ChainEvaluation, x: Tensor, timestep: Tensor, options: dict, seed) -> Tensor:
        """The guided x0-hat of `evaluate` plus what the terms add to it; without an active term, `evaluate` itself."""
        self.latest = []
        call, terms = self.asked_at(evaluate, x, timestep, options, seed)
        if not terms:
            return evaluate(x, timestep, options, seed)
        if not call.waiting(terms):
            return call.plain(terms)
        with_graph = self._through(call, terms)
        return self.added(evaluate, x, timestep, options, seed) if with_graph is None else with_graph

    def asked_at(
        self, evaluate: ChainEvaluation, x: Tensor, timestep: Tensor, options: dict, seed
    ) -> tuple[Call, dict]:
        """One evaluation, and the evaluations of the terms that are at work in it."""
        sigma = float(timestep[0])
        run = evaluate.run
        alpha = 1 - sigma if run.flow else 1.0
        terms = {term: self.evaluation_of(term) for term in self.terms if term.active(run, sigma)}
        terms = {term: evaluation for term, evaluation in terms.items() if evaluation == CLEAN_X0 or gain(sigma, alpha)}
        return Call(self, evaluate, x, timestep, options, seed, alpha), terms

    def needed(self, evaluate: ChainEvaluation, x: Tensor, timestep: Tensor, options: dict, seed) -> int:
        """Bytes that an evaluation with a graph takes beyond what is in use."""
        call, terms = self.asked_at(evaluate, x, timestep, options, seed)
        return call.bytes_needed(terms)

    def evaluation_of(self, term) -> str:
        """The evaluation in force for a term: without backprop once memory has run out."""
        if isinstance(term, WatchTerm):
            return CLEAN_X0
        return CLEAN_X0 if self.lowered and term.effective_evaluation == BACKPROP else term.effective_evaluation

    def due(self, term: GradientTerm, evaluation: str, run: Run, sigma: float) -> bool:
        """Whether a gradient is taken anew: every k-th step, and where the evaluation has given none yet."""
        return term.fresh(run, sigma) or (term, evaluation) not in self.held

    def _through(self, call: Call, terms: dict) -> Tensor | None:
        """With the graph of the denoiser; None where that did not fit, and less is wanted from now on."""
        before = comfy.model_patcher.create_model_options_clone(call.options)
        try:
            self._estimate(call, terms)
            return None if self.lowered else call.with_graph(terms)
        except (RuntimeError, MemoryError) as error:
            words = self._remedy(error)
            if words is None:
                raise
        self._tell(words)  # after the except: its traceback holds the graph
        call.options.clear()
        call.options.update(before)  # what other packs remember of the failed attempt
        comfy.model_management.soft_empty_cache()
        return None

    def _remedy(self, error: BaseException) -> str | None:
        """What to do about a failed backward, as a sentence; None if nothing is known against it."""
        if IN_PLACE in str(error) and not self.in_place:
            self.in_place = True
            return "this model adds in place: layers that save what comes in are given copies"
        if NO_FORMULA in str(error) and not self.own_attention:
            self.own_attention = True
            return "a part of this model has no backward: attention is computed by PyTorch instead"
        if not ran_out_of_memory(error):
            return None
        return self._want_less("memory ran out")

    def _want_less(self, reason: str) -> str:
        if not self.recompute:
            self.recompute = True
            return f"{reason}: blocks are computed twice instead of kept, which takes longer"
        self.lowered = True
        return f"{reason}: from here on x0 without backprop, at the same scale of its own"

    def _estimate(self, call: Call, terms: dict) -> None:
        """Before the first backward: what the whole batch needs, against the memory that is free."""
        if self.measured or self.lowered:
            return
        free: Any = comfy.model_management.get_free_memory(call.x.device)
        while not (self.lowered or call.surely_fits(terms, free)):
            needed = call.bytes_needed(terms)
            if needed < SPARE * free:
                break
            self._tell(self._want_less(f"a step needs {needed / 2**30:.1f} GB and {free / 2**30:.1f} GB are free"))
        self.measured = True

    def rehearsing(self) -> GradientRun:
        """The same at the start of a run, for an evaluation that only counts memory: it says and keeps nothing."""
        other = copy.copy(self)
        other.latest, other.held, other.notes, other.silent = [], {}, {}, True
        other.dead, other.broken = set(), Counter()
        return other

    def lacking(self, attention: str) -> None:
        """Note an attention without a backward; the next evaluation does not try it again."""
        self.own_attention = True
        self._tell(f"{attention} has no backward, so gradients are taken through PyTorch's attention")

    def warn_of_attention(self) -> None:
        """Say that a model calls its attention where nothing can replace it, if the host's has no backward."""
        if name := hosts_without_backward():
            self._tell(
                f"{name} has no backward, and nothing can replace it in this model. If the model uses it, a part of "
                "the gradient is missing: start ComfyUI with --use-pytorch-cross-attention"
            )

    def told(self) -> list[str]:
        """Sentences for the trace, the counts of the whole run last."""
        bad = (f"{name} had {count} numbers that are not finite" for name, count in self.broken.items())
        return [*self.notes, *(f"Classifier guidance: {words} in the whole run." for words in bad)]

    def _tell(self, words: str) -> None:
        """Say it in the log, on the node and in the trace."""
        text = f"Classifier guidance: {words}."
        if self.silent or text in self.notes:
            return
        self.notes[text] = None
        adapter.tell(text)

    def wanted(self) -> Tensor | None:  # -> [B, ...]
        """What the terms asked for together in the latest evaluation, at their own gamma; None where none was asked."""
        terms = {name: term for term, name in self.names.items()}
        asked = [(terms[a.name], a.shift) for a in self.latest if a.shift is not None]
        pushes = [term.gamma(self.evaluation_of(term)) * shift for term, shift in asked]
        return torch.stack(pushes).sum(dim=0) if pushes else None

    def watch_out(self, asked: Asked, sigma: float) -> Asked:
        """The same without what is not finite, and an alarm for that and for a gradient that is exactly zero."""
        if asked.shift is None:
            return asked
        bad = int((~asked.shift.isfinite()).sum())
        if bad:
            self.broken[asked.name] += bad
            if self.broken[asked.name] == bad:
                self._tell(f"{asked.name} has {bad} numbers that are not finite at sigma {sigma:.3g}; they count as 0")
            asked = asked._replace(shift=asked.shift.nan_to_num(0.0, 0.0, 0.0))
        elif asked.name not in self.dead and (dead := int(is_dead(asked.shift).sum())):
            self.dead.add(asked.name)
            some = "" if dead == len(asked.shift) else f" in {dead} of {len(asked.shift)} samples"
            self._tell(
                f"{asked.name} is exactly zero{some} at sigma {sigma:.3g}. Does the energy clamp, round, detach or "
                "take an argmax, or is the classifier wholly satisfied?"
            )
        return asked


def goes_through_denoiser(terms: tuple) -> bool:
    """Whether a gradient is taken through the denoiser, whose weights must stay in place then."""
    return any(isinstance(term, GradientTerm) and term.effective_evaluation == BACKPROP for term in terms)


def as_rate(term: GradientTerm, evaluation: str, sigma: float) -> Strength:
    """A term's own gamma, whatever the steps."""
    return Strength(term.gamma(evaluation))


def names_of(terms: tuple) -> list[str]:
    """Names of the terms in the trace: gradient, gradient 2, ..., watch, watch 2, ..."""
    kinds = ["watch" if isinstance(term, WatchTerm) else "gradient" for term in terms]
    counts = [kinds[: i + 1].count(kind) for i, kind in enumerate(kinds)]
    return [kind if count == 1 else f"{kind} {count}" for kind, count in zip(kinds, counts, strict=True)]


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


class Call(NamedTuple):
    """One evaluation in which terms are at work."""

    run: GradientRun
    evaluate: ChainEvaluation
    x: Tensor
    timestep: Tensor
    options: dict
    seed: int | None
    alpha: float

    @property
    def sigma(self) -> float:
        """Noise level."""
        return float(self.timestep[0])

    def waiting(self, terms: dict) -> list:
        """The terms that take a gradient through the denoiser in this evaluation."""
        return [
            term
            for term, evaluation in terms.items()
            if evaluation == BACKPROP and self.run.due(term, evaluation, self.evaluate.run, self.sigma)
        ]

    def plain(self, terms: dict) -> Tensor:
        """Without a graph through the denoiser."""
        seen: dict[str, Tensor] = {}
        with adapter.changed(self.options, self._noting(terms, seen)):
            denoised = self.evaluate(self.x, self.timestep, self.options, self.seed)
        return self._with(terms, self.x, denoised, seen)

    def with_graph(self, terms: dict) -> Tensor:
        """One forward with its graph, one backward for each term that goes through the denoiser."""
        run, seen = self.run, {}
        replaceable: list[bool] = []
        reached = partial(replaceable.append, True)
        transformer = self.options.setdefault("transformer_options", {})
        with (
            adapter.changed(self.options, self._noting(terms, seen)),
            adapter.changed(transformer, with_backward(transformer, reached, run.lacking, run.own_attention)),
            graph(nn.ModuleList(run.models.networks()), run.recompute, run.in_place),
        ):
            leaf = self.x.detach().clone().requires_grad_()
            timestep = self.timestep.clone()
            denoised = without_underflow(lambda x: self.evaluate(x, timestep, self.options, self.seed), leaf)
            comfy.model_management.throw_exception_if_processing_interrupted()
            if not replaceable:
                run.warn_of_attention()
            found = self._with(terms, leaf, denoised, seen).detach()
            for kept in seen.values():  # samplers keep these
                if kept.requires_grad and not kept._is_view():
                    kept.detach_()
        forget_graphs(self.options)
        return found

    def _noting(self, terms: dict, seen: dict[str, Tensor]) -> dict[str, Any]:
        """Changed options: u and c are noted, and both are asked for where their difference measures a push."""

        def note(args: dict) -> Tensor:
            seen.update(uncond=args["uncond_denoised"], cond=args["cond_denoised"])
            return args["denoised"]

        changes = {"sampler_post_cfg_function": [*self.options.get("sampler_post_cfg_function", []), note]}
        measured = any(isinstance(term, GradientTerm) and term.normalise == "rms_ratio" for term in terms)
        return changes | ({"disable_cfg1_optimization": True} if measured else {})

    def _with(self, terms: dict, x: Tensor, denoised: Tensor, seen: dict[str, Tensor]) -> Tensor:
        run, total, waiting = self.run, denoised.detach(), self.waiting(terms)
        for term, evaluation in terms.items():
            place = Place(x, denoised, self.sigma, self.alpha, run.sigma_data, run.pictures[term])
            if isinstance(term, WatchTerm):
                run.latest.append(Asked(run.names[term], None, self._watched(term, place)))
                continue
            asked = self._asked(term, evaluation, place, again=term in waiting and term is not waiting[-1])
            if asked.shift is not None:
                total = total + self._push(term, evaluation, asked.shift, seen).to(total)
            run.latest.append(asked)
        return total

    def _watched(self, term: WatchTerm, place: Place) -> Tensor:  # -> [B]
        with torch.inference_mode(False), torch.no_grad(), self.run.pictures[term].ready():
            return term.log_prob(replace(place, denoised=place.denoised.detach().clone()))

    def _asked(self, term: GradientTerm, evaluation: str, place: Place, again: bool) -> Asked:
        """A term's answer, or its latest one where it is not asked in every step."""
        run = self.run
        if not run.due(term, evaluation, self.evaluate.run, self.sigma):
            return run.held[term, evaluation]
        with run.pictures[term].ready() if evaluation != NOISY else nullcontext():
            found = term.shift(place, evaluation, again, run.strength(term, evaluation, self.sigma).gamma)
        asked = run.watch_out(Asked(run.names[term], found.shift.detach(), found.log_prob), self.sigma)
        if term.every > 1:
            run.held[term, evaluation] = asked
        return asked

    def _push(self, term: GradientTerm, evaluation: str, shift: Tensor, seen: dict[str, Tensor]) -> Tensor:
        gamma, carried = self.run.strength(term, evaluation, self.sigma)
        if not carried:
            return torch.zeros_like(shift)
        push = (gamma * carried) * shift
        if term.normalise == "none":
            return push
        if term.normalise == "clip":
            return bounded(push, "clip", term.limit * self.run.sigma_data)
        delta = (seen["cond"] - seen["uncond"]).detach()
        if not delta.any():
            self.run._tell(
                "rms_ratio measures by c - u, which is 0 where positive and negative are the same: nothing is pushed. "
                "Choose clip or none"
            )
        return bounded(push, "rms_ratio", abs(term.weight) * term.limit * rms(delta))

    def surely_fits(self, terms: dict, free: float) -> bool:
        """Whether the graph is small beside the free memory by the host's own estimate of a forward.

        That knows the model, and stands for classifiers no larger than it; it knows no decoder.
        """
        model, shape = self.run.models.guider.inner_model, [2 * len(self.x), *self.x.shape[1:]]
        networks = [getattr(one, "network", None) for term in terms for one in term.energy.classifiers]
        sizes = [sum(w.numel() for w in network.parameters()) for network in (model, *networks) if network is not None]
        small = max(sizes) == sizes[0] and all(term.decoder is None for term in terms)
        return small and GENEROUS * model.memory_required(shape) < free

    def bytes_needed(self, terms: dict) -> int:
        """Most bytes that the evaluation takes beyond what is in use, from rehearsals with one sample and with two.

        one + (count - 1) (two - one)          what does not grow with the batch counts once
        """
        one = self._rehearsed(terms, 1)
        return one if len(self.x) == 1 else one + (len(self.x) - 1) * (self._rehearsed(terms, 2) - one)

    def _rehearsed(self, terms: dict, count: int) -> int:
        x, level, options = self.x[:count], self.timestep[:count], without_recorder(self.options)
        run, evaluate = self.run.rehearsing(), self.evaluate.rehearsal(self.sigma)
        few = self._replace(run=run, evaluate=evaluate, x=x, timestep=level, options=options)
        try:
            with Tally() as tally:
                few.with_graph(terms)
        finally:
            for control in self.run.models.controls():
                control.cond_hint = None  # it keeps what it has cut to the size of the latest batch
        return tally.most
