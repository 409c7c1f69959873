"""Calls of networks whose graphs are needed: one for everybody outside, and inside as many as it takes.

Inside the innermost of the host's wrappers a network is called with its graph, and called again by another plan where
that fails, forwards or on the way back. Caches, rules and wrappers see one call and one answer, the same as without a
graph; and what a failed or second call changes in the network's attributes and options is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import comfy.model_management
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor
from torch.utils._pytree import tree_leaves

from .. import server
from ..models import adapter
from .autograd import (
    OVERRIDE,
    Call,
    DifferentiableAttention,
    copies_of_saved,
    distinct,
    graph,
    hosts_without_backward,
    is_options,
    is_tracked,
    redirect_calls,
)
from .memory_plan import SPARE, MemoryPlan, Tally
from .run_models import RunModels

Result = TypeVar("Result")
KEY = f"{server.KEY}_graph"
NOT_REPLACEABLE = (
    "{name} has no backward pass and cannot be replaced in this model. If the model uses it, part of the gradient is "
    "missing: start ComfyUI with --use-pytorch-cross-attention"
)
REPLACED = "{name} has no backward pass, so gradients go through PyTorch's attention"


class NoBackprop(RuntimeError):
    """The plan is to do without, from the middle of a backward on."""


class NetworkCalls:
    """The networks' calls in one evaluation.

    networks: models and ControlNets.
    patchers: that keep the models' weights at the moment.
    direct: networks that are taken at their forward, since it comes to none of the host's wrappers.
    plan: how the graphs of the calls are kept.
    words: what changed in the plan.
    blind: whether a call was made without a gradient by somebody outside.
    spoilt: whether what the graph between the calls needs was changed in place.
    again: whether the graphs are needed once more after the next backward.
    tally: of the memory that the step takes; None where nothing has to be counted.
    calls: so far.
    attentions: that stand for those of the networks.
    """

    def __init__(self, models: RunModels, plan: MemoryPlan, free: float | None):  # free: bytes of memory
        self.networks, self.direct = models.networks, models.direct
        patchers = (getattr(model, "current_patcher", None) for model in models.models())
        self.patchers = [patcher for patcher in patchers if patcher is not None]
        self.plan, self.words, self.blind, self.spoilt, self.again = plan, [], False, False, False
        self.tally = None if free is None else Tally(SPARE * free)
        self.calls: list[NetworkCall] = []
        self.attentions: list[DifferentiableAttention] = []

    @contextmanager
    def take_over(self, options: dict) -> Iterator[None]:
        """Every call goes through here while it lasts.  options: of the MODEL"""
        wrappers = options.setdefault("transformer_options", {}).setdefault("wrappers", {})
        places = wrappers.setdefault(WrappersMP.DIFFUSION_MODEL, {})
        around = {network: partial(self.answer, network.forward) for network in self.direct}
        with adapter.override(places, {KEY: [self.answer]}), redirect_calls(around):
            yield

    def answer(self, network: Callable, *args: Any, **named: Any) -> Any:
        """A network's answer, which carries a gradient on to what it was asked."""
        call = NetworkCall(self, network, args, named) if torch.is_grad_enabled() else None
        if call is None or not call.tracked:
            self.blind = self.blind or self.plan.backprop
            return network(*args, **named)
        self.calls.append(call)
        answer = self.until_it_works(call.forwards)
        ends = _ends_of(answer)
        if not ends:
            self.blind = self.blind or self.plan.backprop
            return answer
        call.graph = call.sources, ends
        return call.hand_on(answer, ends)

    def until_it_works(self, attempt: Callable[[], Result]) -> Result:
        """What an attempt makes, after as many as it takes; each is by a plan that has learnt from the one before."""
        while True:
            try:
                return attempt()
            except NoBackprop:
                raise
            except (RuntimeError, MemoryError) as error:
                change = self.plan.after(error)
                if change is None:
                    raise
            # Only here, after the except, is the memory free again: the traceback of the error held every frame of the
            # forward, and with them the graph.
            self.plan, words = change
            self.words.append(words)
            self.let_go()
            comfy.model_management.soft_empty_cache()

    def let_go(self) -> None:
        """Drop the networks' graphs; a backward that still comes makes them anew."""
        for call in self.calls:
            call.graph = None

    @contextmanager
    def count_memory(self) -> Iterator[None]:
        """What is made in here counts as memory of the step."""
        with ExitStack() as stack:
            if self.tally and self.plan.backprop:
                stack.enter_context(self.tally)
            yield

    def copies(self) -> AbstractContextManager:
        """What is saved in here for a backward stays as it is, by the plan."""
        return copies_of_saved(self.networks) if self.plan.copies else nullcontext()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """A network is called, or gone back through, by the plan."""
        if not self.plan.backprop:
            with torch.no_grad():
                yield
            return
        with self.count_memory(), self.copies(), graph(self.networks, self.plan.twice):
            yield

    @property
    def replaced_attentions(self) -> list[str]:
        """Names of attentions without a backward that were replaced."""
        return list(dict.fromkeys(name for attention in self.attentions for name in attention.lacking))

    @property
    def next_plan(self) -> MemoryPlan:
        """The plan for the next evaluation."""
        attention = self.plan.pytorch_attention or bool(self.replaced_attentions)
        return replace(self.plan, pytorch_attention=attention, by_estimate=self.plan.by_estimate or bool(self.calls))

    def notes(self) -> list[str]:
        """Sentences about the models, once their calls are over."""
        notes = [*self.words, *(REPLACED.format(name=name) for name in self.replaced_attentions)]
        reached = any(attention.in_use for attention in self.attentions)
        if self.calls and self.plan.backprop and not reached and (name := hosts_without_backward()):
            notes.append(NOT_REPLACEABLE.format(name=name))
        return notes


class NetworkCall(Call):
    """One call of a network, and its graph while there is one.

    sources: the tensors of the question that its answer goes back to. graph: these, and the ends of the answer. hooks:
    by keeper of weights, the host's hooks whose weights it had put in place.
    """

    def __init__(self, calls: NetworkCalls, network: Callable, args: tuple, named: dict):
        super().__init__(calls.networks, network, args, named)
        self.calls, self.sources = calls, []
        self.hooks = [(patcher, patcher.current_hooks) for patcher in calls.patchers]
        self.graph: tuple[list[Tensor], list[Tensor]] | None = None

    def forwards(self) -> Any:
        """The answer; where that fails, nothing has happened."""
        try:
            answer, self.sources = self.ask()
        except BaseException:
            self.before.restore()
            raise
        return answer

    def ask(self) -> tuple[Any, list[Tensor]]:
        """The answer by the plan, and the tensors that it goes back to."""
        with ExitStack() as stack:
            tables: list[Any] = [*filter(is_options, self.leaves)]
            for options in tables:
                attention = DifferentiableAttention(options.get(OVERRIDE), self.calls.plan.pytorch_attention)
                self.calls.attentions.append(attention)
                stack.enter_context(adapter.override(options, {OVERRIDE: attention}))
            stack.enter_context(self.calls.computing())
            return super().ask()

    def backwards(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        """Gradients of the question by the plan, with the weights that its forward had.

        The host changes them in place, unseen by autograd.
        """

        def attempt() -> tuple[Tensor | None, ...]:
            comfy.model_management.throw_exception_if_processing_interrupted()
            if not self.calls.plan.backprop:
                raise NoBackprop
            for patcher, hooks in self.hooks:
                patcher.apply_hooks(hooks)
            if self.graph is None:
                answer, sources = self.ask_again()
                self.graph = sources, _ends_of(answer)
            sources, ends = self.graph
            with self.calls.computing():
                return torch.autograd.grad(ends, sources, gradients, retain_graph=self.calls.again, allow_unused=True)

        shifts = self.calls.until_it_works(attempt)
        if not self.calls.again:
            self.graph = None
        return shifts


def _ends_of(answer: Any) -> list[Tensor]:
    return distinct(filter(is_tracked, tree_leaves(answer)))
