"""Lengths, angles and parts of vectors: one batch item is one vector, whatever its rank.

Axis 0 is the batch; all other axes together are the N elements of one vector. Numbers per item are float64 [B],
because a small difference of large predictions drowns in float32 sums; tensors come back in their own dtype. Where a
device has no float64 they are float32, of sums that keep its precision, so that nothing leaves the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import cache, lru_cache
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

HALF = (torch.float16, torch.bfloat16)
BLOCK = 16  # so many float32 numbers are added at once


@contextmanager
def gradient_mode(recording: bool = True) -> Iterator[None]:
    """Outside the host's inference mode, where what is made can be saved for a backward.

    recording: operations note their way back too. This is the only place that leaves inference mode.
    """
    with torch.inference_mode(False), torch.set_grad_enabled(recording):
        yield


def flat(v: Tensor) -> Tensor:  # [B, ...] -> [B, N]
    """One row per batch item."""
    return v.reshape(v.shape[0], v.shape[1:].numel())  # also of no items at all


def wide(v: Tensor) -> Tensor:
    """A tensor in float64; it moves to the CPU where its device has no float64."""
    return (v if has_float64(v.device) else v.cpu()).double()


def widen(v: Tensor) -> Tensor:
    """A tensor in float64, or in float32 where its device has no float64: it stays there."""
    return v.double() if has_float64(v.device) else v.float()


@cache
def has_float64(device: torch.device) -> bool:
    """Whether a device computes in float64: it is asked once, because a Mac's GPU is not the only one that cannot."""
    try:
        torch.ones(1, dtype=torch.float64, device=device).add_(1)
    except (RuntimeError, TypeError):
        return False
    return True


def where_float64_is(v: Any) -> Any:
    """A tensor, or table, tuple or dataclass of tensors, on the CPU where its device has no float64."""
    return on_cpu(v, lambda device: not has_float64(device))


def on_cpu(v: Any, leaves: Callable[[torch.device], bool] = lambda device: True) -> Any:
    """A tensor, or table, tuple or dataclass of tensors, on the CPU.

    Each copy waits for the device, so there is one of all floating tensors that a device holds, however many they are.
    leaves: whether what is on a device moves at all.
    """
    elsewhere = [t for t in _tensors_in(v) if t.device.type != "cpu" and leaves(t.device)]
    groups = groupby(sorted(elsewhere, key=_by_device), key=_by_device)
    moved = {id(t): copy for _, group in groups for t, copy in _copy_together([*group])}
    return _replace_tensors(v, moved) if moved else v


def _by_device(v: Tensor) -> tuple[str, str]:  # floating ones widen into each other without loss, others do not
    return str(v.device), "" if v.is_floating_point() else str(v.dtype)


def _copy_together(tensors: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    tensors = [*{id(t): t for t in tensors}.values()]
    row = tensors[0].cpu().reshape(-1) if len(tensors) == 1 else torch.cat([t.reshape(-1) for t in tensors]).cpu()
    pieces = row.split([t.numel() for t in tensors])
    yield from ((t, piece.reshape(t.shape).to(t.dtype)) for t, piece in zip(tensors, pieces, strict=True))


def _parts_of(v: Any) -> dict[Any, Any]:
    if isinstance(v, Mapping):
        return dict(v)
    if isinstance(v, tuple | list):
        return dict(enumerate(v))
    if is_dataclass(v) and not isinstance(v, type):
        return {field.name: getattr(v, field.name) for field in fields(v)}
    return {}


def _tensors_in(v: Any) -> Iterator[Tensor]:
    if isinstance(v, Tensor):
        yield v
    for part in _parts_of(v).values():
        yield from _tensors_in(part)


def _replace_tensors(v: Any, moved: Mapping[int, Tensor]) -> Any:
    if isinstance(v, Tensor):
        return moved.get(id(v), v)
    parts = {name: _replace_tensors(part, moved) for name, part in _parts_of(v).items()}
    if not parts or isinstance(v, Mapping):
        return parts if parts else v
    if isinstance(v, tuple | list):
        return type(v)(*parts.values()) if hasattr(v, "_fields") else type(v)(parts.values())
    return replace(v, **parts)


def promote(v: Tensor) -> Tensor:
    """Half precision becomes float32, before anything is subtracted; the rest stays as it is."""
    return v.float() if v.dtype in HALF else v


def narrow(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor in another dtype; a finite number beyond its range becomes its largest, never infinite."""
    if torch.finfo(dtype).max >= torch.finfo(x.dtype).max:
        return x.to(dtype)
    return torch.where(x.isfinite(), x.clamp(torch.finfo(dtype).min, torch.finfo(dtype).max), x).to(dtype)


def total(rows: Tensor) -> Tensor:  # [B, N] -> [B]
    """Sum of each row; in float32 by blocks of sums, so that rounding grows with log N in whatever order a device adds.

    Its error is at most (BLOCK - 1) log_BLOCK(N) roundings of the sum of the absolute values.
    """
    while rows.dtype == torch.float32 and rows.shape[1] > BLOCK:
        rows = pad(rows, (0, -rows.shape[1] % BLOCK)).unflatten(1, (-1, BLOCK)).sum(dim=2)
    return rows.sum(dim=1)


def dot(a: Tensor, b: Tensor) -> Tensor:  # [B, ...], [B, ...] -> [B] float64
    """Inner product of each item: <a, b>, products and sums in float64."""
    return total(widen(flat(a)) * widen(flat(b)))


def square(v: Tensor) -> Tensor:  # [B, ...] -> [B] float64
    """Squared length of each item: <v, v>."""
    return total(widen(flat(v)).square())


def norm(v: Tensor) -> Tensor:  # [B, ...] -> [B] float64
    """Length of each item: |v| = sqrt(<v, v>)."""
    if not has_float64(v.device):
        return square(v).sqrt()
    return torch.linalg.vector_norm(flat(v), dim=1, dtype=torch.float64)


def rms(v: Tensor) -> Tensor:  # [B, ...] -> [B] float64
    """Root mean square of each item: |v| / sqrt(N)."""
    return norm(v) / flat(v).shape[1] ** 0.5


def cosine(a: Tensor, b: Tensor) -> Tensor:  # [B, ...], [B, ...] -> [B] float64 in [-1, 1]
    """Cosine of the angle between two vectors, nan where one of them is zero: <a, b> / (|a| |b|)."""
    return (dot(a, b) / (norm(a) * norm(b))).clamp(-1, 1)


def angle(a: Tensor, b: Tensor) -> Tensor:  # [B, ...], [B, ...] -> [B] float64 in radians, 0 .. pi
    """Angle between two vectors, exact when it is tiny; nan where a vector is zero.

        2 * atan2(|a' - b'|, |a' + b'|),  a' = a / |a|,  b' = b / |b|

    Source: Kahan, "How Futile are Mindless Assessments of Roundoff", 2006, section 12.
    """
    a, b = (widen(flat(v)) / norm(v)[:, None] for v in (a, b))
    return 2 * torch.atan2(norm(a - b), norm(a + b))


def share_along(v: Tensor, onto: Tensor) -> Tensor:  # [B, ...], [B, ...] -> [B] float64
    """How many times `onto` lies in v, zero where `onto` is zero: <v, onto> / <onto, onto>."""
    length = square(onto)
    return torch.where(length == 0, 0.0, dot(v, onto) / length)


def project(v: Tensor, onto: Tensor) -> Tensor:  # [B, ...], [B, ...] -> [B, ...] in v's dtype
    """The part of v along `onto`, zero where `onto` is zero: onto * <v, onto> / <onto, onto>."""
    share = share_along(v, onto)
    wider = promote(onto)
    return (per_item(share, wider) * wider).to(v.dtype)


def reject(v: Tensor, onto: Tensor) -> Tensor:  # [B, ...], [B, ...] -> [B, ...] in v's dtype
    """The part of v across `onto`: v - project(v, onto)."""
    return (promote(v) - project(promote(v), onto)).to(v.dtype)


def back_to(like: Tensor, v: Tensor) -> Tensor:
    """A tensor in the dtype of `like` and on its device; in two moves, whose way back widens a gradient last."""
    known = v if v.device == like.device else where_float64_is(v)
    return known.to(like.dtype).to(like.device)


def numbers(values: Tensor | float, like: Tensor) -> Tensor:
    """Numbers in the dtype and on the device of `like`; one of Python's is written there: a copy to it would wait."""
    return back_to(like, values) if isinstance(values, Tensor) else like.new_full((), values)


@lru_cache(256)
def constants(values: tuple, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers that stay the same from step to step, written to a device once: a copy to it may wait."""
    with gradient_mode(recording=False):
        return torch.tensor(values, dtype=dtype).to(device)


def per_item(values: Tensor | float, like: Tensor) -> Tensor:  # [B], [1] or scalar -> broadcastable to [B, ...]
    """One number per item, shaped, placed and typed so that it multiplies `like`."""
    return numbers(values, like).reshape(-1, *(1,) * (like.ndim - 1))


def put_beside(v: Tensor, like: Tensor) -> Tensor:
    """A tensor in the dtype of `like` and on its device; CUDA is not waited for."""
    return v.to(like, non_blocking=like.is_cuda)


def mean(v: Tensor) -> Tensor:  # [B, ...] -> [B] float64
    """Mean of the elements of each item."""
    rows = flat(v)
    return rows.mean(dim=1, dtype=torch.float64) if has_float64(v.device) else total(rows.float()) / rows.shape[1]


def std(v: Tensor) -> Tensor:  # [B, ...] -> [B] float64
    """Standard deviation of the elements of each item: the root mean square about their mean."""
    rows = flat(promote(v))
    return rms(rows - mean(rows)[:, None].to(rows.dtype))


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 1 where b is zero: there is nothing to scale."""
    return torch.where(b == 0, torch.ones_like(b), a / b)
