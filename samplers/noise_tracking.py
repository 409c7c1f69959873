"""Noise that remembers it is noise: a tensor that carries the injected part of its value through a sampler.

A host sampler adds its draw to the state somewhere in the middle of an update, and may scale or repeat it. Handing
the sampler draws of this kind leaves every bit of its result as it was, and the part that came from chance can be read
off the next state.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SCALED = {"mul", "__mul__", "__rmul__", "mul_", "__imul__", "multiply"}
DIVIDED = {"div", "__truediv__", "div_", "__itruediv__", "true_divide"}
ADDED = {"add", "__add__", "__radd__", "add_", "__iadd__"}
SUBTRACTED = {"sub", "__sub__", "sub_", "__isub__"}
SUBTRACTED_FROM = {"rsub", "__rsub__"}
KEPT = {"clone", "contiguous", "detach", "to", "float"}

Parts = dict[int, Tensor]


class Tracked(torch.Tensor):
    """A tensor of injected noise, or a state that contains some.

    value: the value the sampler computes with, bit for bit. parts: number of the draw -> additive part that is its.
    """

    value: Tensor
    parts: Parts

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        value = func(*_untrack_all(args), **{k: untrack(v) for k, v in kwargs.items()})
        if not isinstance(value, Tensor) or kwargs.get("alpha") is not None:
            return value
        parts = _carry(func.__name__, args)
        return track(value, parts) if parts else value


def track(value: Tensor, parts: Parts) -> Tracked:
    """Mark an ordinary tensor with the additive parts of it that are noise."""
    made = torch.Tensor._make_subclass(Tracked, value)
    made.value, made.parts = value, parts
    return made


def redraw(draw: Tensor, value: Tensor) -> Tensor:
    """Another value in the place of a draw: as much noise as the draw was, and counted as the same draw."""
    return track(value, dict.fromkeys(parts_of(draw), value)) if isinstance(draw, Tracked) else value


def untrack(value: Any) -> Any:
    """The ordinary tensor behind a tracked one; anything else as it is."""
    return value.value if isinstance(value, Tracked) else value


def parts_of(value: Any) -> Parts:
    """Noise parts by number of the draw; empty for an ordinary value."""
    return value.parts if isinstance(value, Tracked) else {}


def _untrack_all(args: tuple) -> list:
    return [[untrack(v) for v in a] if isinstance(a, (list, tuple)) else untrack(a) for a in args]


def _carry(name: str, args: tuple) -> Parts:
    """How the noise parts pass through one operation; anything that is not linear in the state drops them."""
    first, second = (*args, None)[:2]
    if name in SCALED:
        return _scale(first, second)
    if name in DIVIDED and isinstance(first, Tracked) and isinstance(second, Tensor | float | int):
        if isinstance(second, Tracked):
            return {}
        return {i: p / second for i, p in first.parts.items()}
    if name in ADDED:
        return _sum(parts_of(first), parts_of(second))
    if name in SUBTRACTED:
        return _sum(parts_of(first), _negate(parts_of(second)))
    if name in SUBTRACTED_FROM:
        return _sum(parts_of(second), _negate(parts_of(first)))
    if name in ("neg", "__neg__"):
        return _negate(parts_of(first))
    return parts_of(first) if name in KEPT else {}


def _scale(first: Any, second: Any) -> Parts:
    if isinstance(first, Tracked) and isinstance(second, Tracked):
        return {}
    noise, factor = (first, second) if isinstance(first, Tracked) else (second, first)
    return {i: p * factor for i, p in noise.parts.items()}


def _negate(parts: Parts) -> Parts:
    return {i: -p for i, p in parts.items()}


def _sum(first: Parts, second: Parts) -> Parts:
    both = first.keys() & second.keys()
    return {**first, **second, **{i: first[i] + second[i] for i in both}}
