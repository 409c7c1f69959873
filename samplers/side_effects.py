"""What code changes outside of itself, put back after it: a dry run may leave no mark on the run that follows.

Followed is all that a sampler reaches: closures, defaults and options, the objects there, and what the code of its own
module names. Networks are left out, unless they are handed in themselves.
"""

from __future__ import annotations

import ctypes
import gc
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy
import torch
from torch import Tensor

from .response import Misfit

MOST_THINGS, MOST_BYTES = 20_000, 1 << 27
MOST_CHECKS = 1000  # turns of a loop, each of which looks for what was thrown
ATOMS = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, CodeType)
ABSENT = object()
EVERYWHERE: tuple[tuple[Callable, Callable], ...] = (  # what all code shares
    (random.getstate, random.setstate),
    (numpy.random.get_state, numpy.random.set_state),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
)
STATES: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {  # what is read of it, and written back
    type: (lambda kind: dict(vars(kind)), lambda kind, names: _reset(kind, names, vars(kind))),
    CellType: (gc.get_referents, lambda cell, held: held and setattr(cell, "cell_contents", held[0])),
    torch.Generator: (torch.Generator.get_state, torch.Generator.set_state),
    random.Random: (random.Random.getstate, random.Random.setstate),
    numpy.random.RandomState: (lambda one: one.get_state(), lambda one, state: one.set_state(state)),
    numpy.random.BitGenerator: (lambda one: one.state, lambda one, state: setattr(one, "state", state)),
    numpy.ndarray: (numpy.copy, lambda one, values: one.flags.writeable and numpy.copyto(one, values)),
    Tensor: (lambda one: one.detach().clone(), lambda one, values: _refill(one.detach(), values)),
    dict: (dict, lambda one, before: _refill_table(one, before)),
    list: (list, lambda one, values: one.__setitem__(slice(None), values)),
    set: (set, lambda one, values: (one.clear(), one.update(values))),
    deque: (list, lambda one, values: (one.clear(), one.extend(values))),
}


@contextmanager
def undo_changes(*owned: Any) -> Iterator[None]:
    """What happens in here to these, and to all that they reach, is undone.  Raises Misfit before anything happens."""
    undo = [partial(write, read()) for read, write in EVERYWHERE] + Snapshot(owned).undo
    try:
        yield
    finally:
        for step in undo:
            with suppress(Exception):  # one that fails keeps none of the others back
                step()


@contextmanager
def time_limit(seconds: float, fault: type[BaseException]) -> Iterator[None]:
    """Raise a fault in here after so long, wherever the code is: a loop need not call anything that could."""
    thread, lock, over = ctypes.c_ulong(threading.get_ident()), threading.Lock(), threading.Event()
    throw, thrown = ctypes.pythonapi.PyThreadState_SetAsyncExc, threading.Event()

    def end() -> None:
        with lock:
            if not over.is_set():
                thrown.set()
                throw(thread, ctypes.py_object(fault))

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over.set()
        timer.cancel()
        # What was thrown too late arrives here. To throw nothing in its place would take it back, but leaves the
        # interpreter looking for it for ever: all code is slower then, and under a debugger it stands still (3.11).
        with suppress(fault):
            for _ in range(MOST_CHECKS if thrown.is_set() else 0):
                pass


class Snapshot:
    """All that some things reach, as it is now.  undo: makes it so again. Raises Misfit where that is impossible.

    modules: whose code is followed: those of functions that are held, not of what these call elsewhere.
    """

    def __init__(self, roots: tuple):
        self.roots, self.undo, self.bytes = roots, list[Callable[[], Any]](), 0
        self.modules = {type(thing).__module__ for thing in roots}
        seen, waiting = dict[int, Any](), [*reversed(roots)]
        while waiting:
            thing = waiting.pop()
            if isinstance(thing, ATOMS) or id(thing) in seen or self._is_left_out(thing):
                continue
            seen[id(thing)] = thing
            waiting += self._contents(thing)
            if len(seen) > MOST_THINGS or self.bytes > MOST_BYTES:
                raise Misfit("it reaches too much that a dry run might change")

    def _is_left_out(self, thing: Any) -> bool:
        """Whether a thing is not followed: modules, other classes than its own, and networks, alone or in a MODEL."""
        if isinstance(thing, type):
            return thing.__module__ not in self.modules
        network = isinstance(thing, torch.nn.Module) or hasattr(type(thing), "get_model_object")
        return isinstance(thing, ModuleType) or (network and not any(thing is one for one in self.roots))

    def _contents(self, thing: Any) -> Iterable[Any]:
        """What a thing holds, once the thing itself is noted."""
        for kind in STATES:
            if isinstance(thing, kind):
                self._note(thing, *STATES[kind])
        if isinstance(thing, MethodType):
            self.modules.add(type(thing.__self__).__module__)
        if isinstance(thing, FunctionType):
            self.modules.add(thing.__module__)
            named = self._named_data(thing.__globals__, names_in(thing.__code__), thing.__module__)
            return [thing.__closure__, thing.__defaults__, thing.__kwdefaults__, vars(thing), *named]
        if isinstance(thing, type | Tensor | numpy.ndarray):
            return vars(thing).values() if isinstance(thing, type) else ()
        if hasattr(type(thing), "__next__") and not hasattr(thing, "__dict__"):
            raise Misfit(f"it reads from an iterator ({type(thing).__name__}), which nobody can turn back")
        if slots := _slots_of(thing):
            self.undo.append(lambda: _reset(thing, slots, _slots_of(thing)))
        return [getattr(thing, "__dict__", None), *gc.get_referents(thing)]

    def _note(self, thing: Any, read: Callable, write: Callable) -> None:
        before = read(thing)
        self.bytes += getattr(before, "nbytes", 0)
        self.undo.append(partial(write, thing, before))

    def _named_data(self, names: dict[str, Any], used: frozenset[str], module: str) -> Iterator[Any]:
        """Data that code names, in modules beside its own too, and functions and classes of its own module."""
        held = {name: names[name] for name in used & names.keys()}
        self.undo.append(partial(_rebind, names, held))
        for value in held.values():
            if isinstance(value, ModuleType):
                beside = names.get("__name__") == module and value.__name__.split(".")[0] == module.split(".")[0]
                yield from self._named_data(vars(value), used, module) if beside else ()
            elif getattr(value, "__module__", None) == module or not callable(value):
                yield value


@lru_cache(1024)
def names_in(code: CodeType) -> frozenset[str]:
    """All names that code uses, that of the functions in it too."""
    inner = (names_in(one) for one in code.co_consts if isinstance(one, CodeType))
    return frozenset(code.co_names).union(*inner)


def _slots_of(thing: Any) -> dict[str, Any]:
    slots = (vars(kind).get("__slots__", ()) for kind in type(thing).__mro__)
    names = [name for group in slots for name in ((group,) if isinstance(group, str) else group)]
    return {name: getattr(thing, name, ABSENT) for name in names if name not in ("__dict__", "__weakref__")}


def _reset(owner: Any, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Give a class or an object the attributes that it had."""
    for name in [name for name in {**before, **now} if now.get(name, ABSENT) is not before.get(name, ABSENT)]:
        if before.get(name, ABSENT) is ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before[name])


def _rebind(names: dict[str, Any], held: Mapping[str, Any]) -> None:
    names.update({name: value for name, value in held.items() if names.get(name, ABSENT) is not value})


def _refill_table(table: dict, before: Mapping) -> None:
    if [*map(id, table.values())] != [*map(id, before.values())] or [*table] != [*before]:
        dict.clear(table)
        dict.update(table, before)


def _refill(tensor: Tensor, before: Tensor) -> None:
    if not torch.equal(tensor, before):
        tensor.copy_(before)
