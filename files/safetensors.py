"""Reading safetensors, whose claims the library checks before it takes memory, and writing them.

What else a user may take for such a file is named, and what no file of a model has is refused. Nothing here unpickles.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..guidance.printing import shorten
from . import limits
from .limits import LARGEST_SIZE, LONGEST_NAME, MOST_AXES, MOST_TENSORS
from .writing import write_atomically

T = TypeVar("T")
MAX_HEADER = 16 * 2**20  # the largest model files in use carry about 1 MB
DTYPES = {name: getattr(torch, known) for name, (_, known, _) in limits.DTYPES.items()}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "ema.")  # what trainers put before every tensor's name
FOREIGN = {
    b"PK\x03\x04": "a zip archive, the form of PyTorch checkpoints (.pt, .ckpt), which can run code when loaded",
    b"\x80\x02": "a Python pickle, which can run code when loaded",
    b"\x80\x03": "a Python pickle, which can run code when loaded",
    b"\x80\x04": "a Python pickle, which can run code when loaded",
    b"\x80\x05": "a Python pickle, which can run code when loaded",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a PNG picture",
    b"GGUF": "a GGUF model",
    b"version https://git-lfs": "a Git LFS pointer, not the file it points to",
    b"<": "a web page; the download needs a login or another address",
    b"{": "JSON text",
}


class Entry(NamedTuple):
    """What the header claims about one tensor."""

    dtype: str
    shape: tuple[int, ...]


def read_safetensors(
    path: str | os.PathLike,
    *,
    dtypes: Collection[str] = tuple(DTYPES),
    finite: bool = False,
    max_bytes: float = math.inf,
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors (on the CPU) and the metadata of a safetensors file, after checking what it claims.

    dtypes: names such as "F32" that are welcome. finite: refuse nan and inf. max_bytes: of the largest file to accept.
    Raises FileNotFoundError, or ValueError for a file that is not safetensors, cut off, inconsistent or unwelcome.
    """
    entries, metadata = read_header(path, max_bytes=max_bytes)
    for name, entry in entries.items():
        if entry.dtype not in dtypes:
            raise ValueError(
                f"{Path(path).name}: tensor {name!r} is {entry.dtype}; {', '.join(dtypes)} are expected here. "
                "Convert the file, or choose another."
            )
    with _readable(Path(path).name):
        tensors = safetensors.torch.load_file(path, device="cpu")
    for name, tensor in tensors.items():
        if finite and tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise ValueError(
                f"{Path(path).name}: tensor {name!r} holds nan or inf. Such a file cannot be used: make it again."
            )
    return tensors, metadata


def read_header(path: str | os.PathLike, *, max_bytes: float = math.inf) -> tuple[dict[str, Entry], dict[str, str]]:
    """What a safetensors file says it holds, checked against its size; no tensor is read.

    Raises FileNotFoundError, or ValueError as `read_safetensors`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file. Check the name and the folder.")
    size = path.stat().st_size
    if size > max_bytes:
        raise ValueError(f"{path.name} has {size:,} bytes; at most {max_bytes:,} are read here. Choose a smaller file.")
    _check_start(path, size)
    with _readable(path.name), safetensors.safe_open(path, "pt") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        entries = {name: Entry(part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
        metadata = file.metadata() or {}
    if len(entries) > MOST_TENSORS or any(len(name) > LONGEST_NAME for name in entries):
        raise ValueError(
            f"{path.name} names {len(entries):,} tensors, the longest with {max(map(len, entries)):,} characters; at "
            f"most {MOST_TENSORS:,} of {LONGEST_NAME} are read. Choose another file."
        )
    for name, (_, shape) in entries.items():
        if len(shape) > MOST_AXES or max(shape, default=0) > LARGEST_SIZE:
            raise ValueError(f"{path.name}: tensor {name!r} has more than {MOST_AXES} sizes, or one above 2^48.")
    return entries, metadata


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Say of what the library refuses which file it is, and what to do."""
    try:
        yield
    except (safetensors.SafetensorError, OverflowError, RuntimeError, ValueError) as error:
        reason = shorten(str(error), 200)
        raise ValueError(
            f"{name} cannot be read ({reason}). The download was cut off, or the file is damaged: fetch it again."
        ) from error


def _check_start(path: Path, size: int) -> None:
    """Name a file of another kind, and refuse a longer header than any model has."""
    with path.open("rb") as file:
        start = file.read(64)
    length = int.from_bytes(start[:8], "little")
    if size < 8 or start[8:9] != b"{" or length > MAX_HEADER:
        kind = next((text for magic, text in FOREIGN.items() if start.startswith(magic)), None)
        if kind:
            raise ValueError(
                f"{path.name} is {kind}; only safetensors files are read here. Convert it, or choose another."
            )
    if size >= 8 and length > MAX_HEADER:
        raise ValueError(
            f"{path.name} announces a header of {length:,} bytes; at most {MAX_HEADER:,} are read. "
            "It is damaged or not a safetensors file: fetch it again."
        )


def strip_prefix(tensors: Mapping[str, T]) -> dict[str, T]:
    """Tensors, or what is known of them, without the prefix that a trainer put before every name."""
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return dict(tensors)


def positive(text: str) -> float | None:
    """The finite number above 0 that a text of the metadata states; None where it states none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def write_safetensors(path: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and text to one safetensors file, all or nothing.

    tensors: any device; one at a time is copied. metadata: text only.
    """
    write_atomically(path, safetensors_parts(tensors, metadata))


def safetensors_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file as bytes, to know its size or to send it."""
    return b"".join(safetensors_parts(tensors, metadata))


def safetensors_parts(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[bytes]:
    """The header, then tensor after tensor, the widest first so that all are aligned; the same bytes every time.

    The library itself writes metadata in an order of chance. Raises ValueError for a dtype that is in no such file.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, dict] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name in order:
        begin, end = end, end + tensors[name].nbytes
        dtype = _dtype_name(name, tensors[name].dtype)
        header[name] = {"dtype": dtype, "shape": [*tensors[name].shape], "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        flat = tensors[name].detach().cpu().flatten().contiguous()
        yield (ctypes.c_char * flat.nbytes).from_address(flat.data_ptr()).raw if flat.numel() else b""  # without NumPy


def _dtype_name(name: str, dtype: torch.dtype) -> str:
    if dtype not in NAMES:
        raise ValueError(f"Tensor {name!r} is {dtype}, which is not written. Convert it to one of {', '.join(DTYPES)}.")
    return NAMES[dtype]
