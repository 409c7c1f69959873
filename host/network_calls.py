"""Calls of networks whose graphs are needed: one for everybody outside, and inside as many as it takes.

Inside the innermost of the host's wrappers a network is called with its graph, and called again by another plan where
that fails, forwards or on the way back. Caches, rules and wrappers see one call and one answer, the same as without a
graph; and what a failed or second call changes in the network's attributes and options is undone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import comfy.model_management
import torch
from comfy.patcher_extension import WrapperExecutor, WrappersMP
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from . import adapter, server
from .autograd import OVERRIDE, DifferentiableAttention, State, gone_back, graph, hosts_without_backward, redirect_calls
from .memory_plan import SPARE, MemoryPlan, Tally
from .run_models import RunModels

Made = TypeVar("Made")
KEY = f"{server.KEY}_graph"
NOT_REPLACEABLE = (
    "{name} has no backward pass and cannot be replaced in this model. If the model uses it, part of the gradient is "
    "missing: start ComfyUI with --use-pytorch-cross-attention"
)
REPLACED = "{name} has no backward pass, so gradients go through PyTorch's attention"


def _runs_no_wrappers(network: nn.Module) -> bool:
    """Whether a network's forward never comes to the host's wrappers, so that it has to be taken at its forward."""
    forward = inspect.unwrap(type(network).forward)
    return WrapperExecutor.__name__ not in getattr(getattr(forward, "__code__", None), "co_names", ())


class NoBackprop(RuntimeError):
    """The plan is to do without, from the middle of a backward on."""


class NetworkCalls:
    """The networks' calls in one evaluation.

    plan: how their graphs are kept; words: what changed in it. blind: whether a call was made without a gradient by
    somebody outside. again: whether the graphs are needed once more after the next backward. free: bytes of memory;
    None where nothing has to be counted.
    """

    def __init__(self, models: RunModels, plan: MemoryPlan, free: float | None):
        self.networks = nn.ModuleList(models.networks())
        self.direct = [*models.control_networks(), *filter(_runs_no_wrappers, models.denoisers())]
        self.plan, self.words, self.blind, self.again = plan, [], False, False
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

    def answer(self, network: Callable, *args, **named) -> Any:
        """A network's answer, which carries a gradient on to what it was asked."""
        leaves, form = tree_flatten((args, named), is_leaf=_is_options)
        sources = [*filter(_is_tracked, leaves)]
        if not torch.is_grad_enabled() or not sources:
            self.blind = self.blind or self.plan.backprop
            return network(*args, **named)
        call = NetworkCall(self, network, leaves, form)
        self.calls.append(call)
        answer, form = tree_flatten(self.until_it_works(call.forwards))
        ends = [*filter(_is_tracked, answer)]
        if not ends:
            self.blind = self.blind or self.plan.backprop
            return tree_unflatten(answer, form)
        call.graph = call.sources, ends
        handed = iter(_Answer.apply(call, *sources))
        return tree_unflatten([next(handed) if _is_tracked(leaf) else leaf for leaf in answer], form)

    def until_it_works(self, attempt: Callable[[], Made]) -> Made:
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

    @contextmanager
    def computing(self) -> Iterator[None]:
        """A network is called, or gone back through, by the plan."""
        if not self.plan.backprop:
            with torch.no_grad():
                yield
            return
        with self.count_memory(), graph(self.networks, self.plan.twice, self.plan.copies):
            yield

    def attention(self, chosen: Callable | None) -> DifferentiableAttention:
        """What stands for a network's attention.  chosen: another pack's"""
        self.attentions.append(DifferentiableAttention(chosen, self.plan.pytorch_attention))
        return self.attentions[-1]

    @property
    def lacking(self) -> list[str]:
        """Names of attentions without a backward that were replaced."""
        return list(dict.fromkeys(name for attention in self.attentions for name in attention.lacking))

    @property
    def learnt(self) -> MemoryPlan:
        """The plan for the next evaluation."""
        attention = self.plan.pytorch_attention or bool(self.lacking)
        return replace(self.plan, pytorch_attention=attention, by_estimate=self.plan.by_estimate or bool(self.calls))

    def notes(self) -> list[str]:
        """Sentences about the models, once their calls are over."""
        notes = [*self.words, *(REPLACED.format(name=name) for name in self.lacking)]
        reached = any(attention.in_use for attention in self.attentions)
        if self.calls and self.plan.backprop and not reached and (name := hosts_without_backward()):
            notes.append(NOT_REPLACEABLE.format(name=name))
        return notes


class NetworkCall:
    """One call: what it was asked, in which state of everything around it, and its graph while there is one.

    sources: the tensors [*] of the question that a gradient goes on to, cut off what they came from. graph: these, and
    the ends of the answer.
    """

    def __init__(self, calls: NetworkCalls, network: Callable, leaves: list, form: Any):
        self.calls, self.network, self.leaves, self.form = calls, network, leaves, form
        self.before = State(calls.networks, leaves)
        self.sources: list[Tensor] = []
        self.graph: tuple[list[Tensor], list[Tensor]] | None = None

    def forwards(self) -> Any:
        """The answer; where that fails, nothing has happened."""
        try:
            return self._answer()
        except BaseException:
            self.before.restore()
            raise

    def _answer(self) -> Any:
        cut = [leaf.detach().requires_grad_() if _is_tracked(leaf) else leaf for leaf in self.leaves]
        self.sources = [*filter(_is_tracked, cut)]
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            given = [leaf.clone() if _is_tracked(leaf) else leaf for leaf in cut]  # nobody may change a source in place
            args, named = tree_unflatten(given, self.form)
            for options in filter(_is_options, given):
                attention = self.calls.attention(options.get(OVERRIDE))
                stack.enter_context(adapter.override(options, {OVERRIDE: attention}))
            stack.enter_context(self.calls.computing())
            return self.network(*args, **named)

    def backwards(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        """Gradients of the question from those of the answer."""

        def attempt() -> tuple[Tensor | None, ...]:
            if not self.calls.plan.backprop:
                raise NoBackprop
            sources, ends = self.graph = self.graph or self._make_again()
            with self.calls.computing():
                return torch.autograd.grad(ends, sources, gradients, retain_graph=self.calls.again, allow_unused=True)

        shifts = self.calls.until_it_works(attempt)
        if not self.calls.again:
            self.graph = None
        return shifts

    def _make_again(self) -> tuple[list[Tensor], list[Tensor]]:
        with gone_back(self.before, self.calls.networks):
            answer = tree_leaves(self._answer())
        return self.sources, [*filter(_is_tracked, answer)]


class _Answer(torch.autograd.Function):
    """A network's answer on the graph of its surroundings."""

    @staticmethod
    def forward(ctx, call: NetworkCall, *sources: Tensor) -> tuple[Tensor, ...]:
        ctx.call = call
        assert call.graph
        return tuple(end.detach() for end in call.graph[1])

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        return None, *ctx.call.backwards(gradients)


def _is_tracked(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.requires_grad


def _is_options(leaf: Any) -> bool:
    return isinstance(leaf, dict) and "wrappers" in leaf
