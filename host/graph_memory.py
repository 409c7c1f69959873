"""How much memory a forward and a backward take, counted operation by operation while they are made."""

from __future__ import annotations

import math
import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


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
        self._known: Any = WeakIdKeyDictionary()  # weak: a tally must not keep alive what it counts

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        for storage in _storages(args, kwargs):  # what comes in was there before, or is counted already
            self._known[storage] = True
        made = operation(*args, **(kwargs or {}))
        for storage in _storages(made):
            self._count(storage)
        self.most = max(self.most, self.live)
        if self.live > self.limit:
            raise TooMuch(self.limit)
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known[storage] = True
        self.live += storage.nbytes()
        weakref.finalize(storage, self._forget, storage.nbytes()).atexit = False

    def _forget(self, size: int) -> None:
        self.live -= size


def _storages(*trees: Any) -> list[torch.UntypedStorage]:
    leaves = [leaf for tree in trees for leaf in tree_leaves(tree)]
    dense = (leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided)
    return [*(leaf.untyped_storage() for leaf in dense), *(s for s in leaves if isinstance(s, torch.UntypedStorage))]
