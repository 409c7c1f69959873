"""Tensors as a pickle claims them, each claim held against the bytes that are really there."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..files.safetensors import DTYPES as WRITABLE
from ..files.safetensors import LARGEST_SIZE, MOST_AXES
from ..guidance.printing import quote
from .budget import Budget
from .values import Name, refusal

DTYPES = {str(dtype): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}
LEGACY = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
}
STORAGES = {f"torch.{kind}Storage": dtype for kind, dtype in LEGACY.items()}
STORAGES |= {"torch.storage.UntypedStorage": torch.uint8}


@dataclass(eq=False, slots=True)
class Storage:
    """Numbers in a row.  count: of elements. data: their bytes; None until they are found"""

    dtype: torch.dtype
    count: int
    data: memoryview | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * self.dtype.itemsize

    def fill(self, data: memoryview) -> None:
        """Take these bytes.  Raises ValueError unless they are as many as were announced"""
        if len(data) != self.size:
            raise ValueError(f"a storage announces {self.size:,} bytes and has {len(data):,}: fetch the file again.")
        self.data = data


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """A tensor of a pickle: what it shows of its storage, in elements of its dtype."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes, when it is written."""
        return math.prod(self.shape) * self.dtype.itemsize

    def tensor(self) -> Tensor:
        """The tensor itself, on the bytes of the file: nothing is copied."""
        data = self.storage.data
        if data is None:
            raise ValueError("the file ends before the numbers of its tensors: fetch it again.")
        if not self.size:
            return torch.empty(self.shape, dtype=self.dtype)
        with warnings.catch_warnings():  # the bytes cannot be written to, and nobody does
            warnings.simplefilter("ignore", UserWarning)
            row = torch.frombuffer(data, dtype=self.dtype, count=len(data) // self.dtype.itemsize)
            return row.as_strided(self.shape, self.strides, self.offset)


def storage_of(kind: Any, count: Any) -> Storage:
    """A storage without its bytes, as a pickle announces it."""
    if not isinstance(kind, Name) or kind.text not in STORAGES or not whole(count):
        raise refusal(f"announces a storage of {quote(count)} {quote(getattr(kind, 'text', kind))}")
    return Storage(STORAGES[kind.text], count)


def whole(value: Any) -> bool:
    """Whether this can be a length, an offset or a stride: true and false are none, nor is anything below 0."""
    return type(value) is int and 0 <= value <= LARGEST_SIZE


def view(_: Budget, storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> View:
    """A tensor that shows part of a storage, if all of it lies inside and no number is shown twice."""
    return check_view(storage, getattr(storage, "dtype", None), offset, shape, strides)


def view_of_bytes(_: Budget, storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> View:
    """The same of a storage of bytes, which does not know its dtype.  more: what nobody reads, and the dtype third"""
    kind = more[2] if len(more) > 2 else None
    return check_view(storage, DTYPES.get(getattr(kind, "text", "")), offset, shape, strides)


def parameter(_: Budget, inner: Any, *more: Any) -> View:
    """A parameter is its tensor."""
    if not isinstance(inner, View):
        raise refusal(f"makes a parameter of {quote(inner)}")
    return inner


def check_view(storage: Any, dtype: torch.dtype | None, offset: Any, shape: Any, strides: Any) -> View:
    """Hold what a pickle says of a tensor against its storage."""
    axes = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= MOST_AXES
    if not isinstance(storage, Storage) or not axes or not all(map(whole, (offset, *shape, *strides))):
        raise refusal(f"makes a tensor of {quote(storage)} with shape {brief(shape)} and strides {brief(strides)}")
    if dtype is None or dtype not in WRITABLE.values():
        raise refusal(f"holds a tensor of {dtype}, which is not one of {', '.join(WRITABLE)}")
    count, there = math.prod(shape), storage.size // dtype.itemsize
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    spanned = math.prod(length or 1 for length in shape)  # torch multiplies the strides of an empty tensor too
    if spanned > LARGEST_SIZE or (count and (last >= there or count > there)):
        raise refusal(
            f"makes a tensor of shape {brief(shape)} and strides {brief(strides)}, from {offset}, of a storage of "
            f"{there:,} numbers"
        )
    return View(storage, dtype, offset, shape, strides)


def brief(values: Any) -> str:
    """A shape for a message."""
    return f"({', '.join(map(quote, values[:MOST_AXES]))})" if isinstance(values, tuple) else quote(values)
