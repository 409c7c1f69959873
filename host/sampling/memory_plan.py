"""How a gradient through the denoiser is taken with the memory there is: what a step needs, and what to do about it.

What the first step takes is counted while it is made, and it is stopped before it takes too much. All else is learnt
from the call that fails.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from comfy.model_base import BaseModel
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from ...guidance.gradients.term import STAND_IN
from .autograd import IN_PLACE, INFERENCE, NO_FORMULA, ran_out_of_memory

# The host reckons what a forward has in use at once; a graph keeps what every layer made, at most a few dozen times as
# much. Where even that is free, to count would only cost time.
GENEROUS = 40
# Share of the free memory that a graph may take: tensors do not fill the blocks that an allocator hands out, and
# kernels need room inside themselves, which no tally sees.
SPARE = 0.8

TWICE = "blocks are computed twice instead of kept, which takes longer"
WITHOUT_BACKPROP = f"from here on {STAND_IN}"
COPIES = "this model, or a patch on it, changes in place what a gradient needs, so that is copied first"
PYTORCH_ATTENTION = "part of this model has no backward pass: PyTorch computes its attention instead"
TOO_MUCH = "a step needs more than {share}, and {free} are free"
FORBIDDEN = "part of this model, or a patch on it, allows no gradient: "


@dataclass(frozen=True)
class MemoryPlan:
    """What is done to have a gradient through the denoiser.

    twice: blocks are computed twice instead of kept. copies: of what is saved for the way back, for models that change
    it in place.
    pytorch_attention: instead of one without a backward. backprop: else the gradient is taken at x0 without it.
    by_estimate: this is known to fit.
    """

    twice: bool = False
    copies: bool = False
    pytorch_attention: bool = False
    backprop: bool = True
    by_estimate: bool = False

    def after(self, error: BaseException) -> tuple[MemoryPlan, str] | None:
        """The plan after something that failed, and what changed in words; None if nothing helps against the error."""
        if not self.backprop:
            return None
        if IN_PLACE in str(error) and not self.copies:
            return replace(self, copies=True), COPIES
        if NO_FORMULA in str(error) and not self.pytorch_attention:
            return replace(self, pytorch_attention=True), PYTORCH_ATTENTION
        if any(words in str(error) for words in (IN_PLACE, NO_FORMULA, INFERENCE)):
            return replace(self, backprop=False), FORBIDDEN + WITHOUT_BACKPROP
        if isinstance(error, TooMuch):
            return self.less(TOO_MUCH.format(share=size_of(error.limit), free=size_of(error.limit / SPARE)))
        return self.less("memory ran out") if ran_out_of_memory(error) else None

    def less(self, reason: str) -> tuple[MemoryPlan, str]:
        """The next plan that takes less memory, and what changed in words."""
        if not self.twice:
            return replace(self, twice=True), f"{reason}: {TWICE}"
        return replace(self, backprop=False), f"{reason}: {WITHOUT_BACKPROP}"


def surely_fits(model: BaseModel, shape: list[int], others: Sequence[nn.Module], free: float) -> bool:
    """Whether a graph is small beside the free memory by the host's own estimate of a forward.

    model: the host's, whose estimate knows it. shape: of the batch. others: networks of the energies, for which it
    stands if they are no larger.
    """
    sizes = [sum(weight.numel() for weight in network.parameters()) for network in (model, *others)]
    return max(sizes) == sizes[0] and GENEROUS * model.memory_required(shape) < free


def size_of(count: float) -> str:
    """Bytes in words, also where they are few."""
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.3g} MB"


class TooMuch(MemoryError):
    """More memory is in use than should be.  limit: bytes"""

    def __init__(self, limit: float):
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class Tally(TorchDispatchMode):
    """Counts the memory of what operations make while the context lasts, backward included.

    limit: bytes above which it raises TooMuch. most: bytes in use at the fullest moment. What was there before, weights
    above all, counts as nothing. What an operation takes and gives back inside itself is not seen.
    """

    def __init__(self, limit: float = math.inf):
        super().__init__()
        self.limit, self.live, self.most = limit, 0, 0
        self._storages: Any = WeakIdKeyDictionary()  # weak: a tally must not keep alive what it counts

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        for storage in _storages(args, kwargs):  # what comes in was there before, or is counted already
            self._storages[storage] = True
        made = operation(*args, **(kwargs or {}))
        for storage in _storages(made):
            self._count(storage)
        self.most = max(self.most, self.live)
        if self.live > self.limit:
            raise TooMuch(self.limit)
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._storages:
            return
        self._storages[storage] = True
        self.live += storage.nbytes()
        weakref.finalize(storage, self._forget, storage.nbytes()).atexit = False

    def _forget(self, size: int) -> None:
        self.live -= size


def _storages(*trees: Any) -> list[torch.UntypedStorage]:
    leaves = [leaf for tree in trees for leaf in tree_leaves(tree)]
    dense = (leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided)
    return [*(leaf.untyped_storage() for leaf in dense), *(s for s in leaves if isinstance(s, torch.UntypedStorage))]
