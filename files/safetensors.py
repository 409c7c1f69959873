"""Reading safetensors with every claim checked first, and writing them.

A safetensors file is 8 bytes (length of the header, little endian), the header (JSON: name -> dtype, shape, offsets),
and the tensors without a gap. Nothing here unpickles, and nothing is allocated before the header agrees with the file.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..guidance.printing import shortened
from .writing import write_atomically

T = TypeVar("T")
MAX_HEADER = 16 * 2**20  # the largest model files in use carry about 1 MB
MOST_TENSORS, MOST_AXES, LONGEST_NAME = 100_000, 8, 500
LARGEST_SIZE = 2**48  # of an axis or an offset, far above any file
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
BYTES = {name: dtype.itemsize for name, dtype in DTYPES.items()}
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


@dataclass(frozen=True)
class Entry:
    """What the header claims about one tensor: begin and end are offsets into the tensor part of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_safetensors(
    path: str | os.PathLike,
    *,
    dtypes: Collection[str] | None = None,
    finite: bool = False,
    max_header: int = MAX_HEADER,
    max_bytes: int | None = None,
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors (on the CPU) and the metadata of a safetensors file, after checking what it claims.

    dtypes: names such as "F32" that are welcome; None is every known one. finite: refuse nan and inf.
    max_header, max_bytes: the largest header and file to accept.
    Raises FileNotFoundError, or ValueError for a file that is not safetensors, cut off, inconsistent or unwelcome.
    """
    entries, metadata = read_header(path, max_header=max_header, max_bytes=max_bytes)
    for name, entry in entries.items():
        if dtypes is not None and entry.dtype not in dtypes:
            raise ValueError(
                f"{Path(path).name}: tensor {name!r} is {entry.dtype}; {', '.join(dtypes)} are expected here. "
                "Convert the file, or choose another."
            )
    try:
        tensors = safetensors.torch.load_file(path, device="cpu")
    except (safetensors.SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(f"{Path(path).name} cannot be read ({error}). The file is damaged: fetch it again.") from error
    for name, tensor in tensors.items():
        if finite and tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise ValueError(
                f"{Path(path).name}: tensor {name!r} holds nan or inf. Such a file cannot be used: make it again."
            )
    return tensors, metadata


def read_header(
    path: str | os.PathLike, *, max_header: int = MAX_HEADER, max_bytes: int | None = None
) -> tuple[dict[str, Entry], dict[str, str]]:
    """What a safetensors file says it holds, checked against its size; no tensor is read.

    Raises FileNotFoundError, or ValueError as `read_safetensors`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file. Check the name and the folder.")
    size = path.stat().st_size
    if max_bytes is not None and size > max_bytes:
        raise ValueError(f"{path.name} has {size:,} bytes; at most {max_bytes:,} are read here. Choose a smaller file.")
    with path.open("rb") as file:
        start = file.read(64)
        length = _header_length(path.name, start, size, max_header)
        file.seek(8)
        header = _parsed(path.name, file.read(length))
    metadata = _metadata(path.name, header.pop("__metadata__", {}))
    if len(header) > MOST_TENSORS or any(len(name) > LONGEST_NAME for name in header):
        raise ValueError(
            f"{path.name} names {len(header):,} tensors, the longest with {max(map(len, header)):,} characters; at "
            f"most {MOST_TENSORS:,} of {LONGEST_NAME} are read. Choose another file."
        )
    entries = {name: _entry(path.name, name, claim) for name, claim in header.items()}
    _check_layout(path.name, entries, size - 8 - length)
    return entries, metadata


def unwrapped(tensors: Mapping[str, T]) -> dict[str, T]:
    """The same tensors, or what is known of them, without the prefix that a trainer put before every name."""
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
    """The same file as bytes, to know its size or to send it."""
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


def _header_length(name: str, start: bytes, size: int, limit: int) -> int:
    length = int.from_bytes(start[:8], "little")
    if size < 8 or start[8:9] != b"{" or length > limit:
        kind = next((text for magic, text in FOREIGN.items() if start.startswith(magic)), None)
        if kind:
            raise ValueError(f"{name} is {kind}; only safetensors files are read here. Convert it, or choose another.")
    if size < 8:
        raise ValueError(f"{name} has {size} bytes; a safetensors file has at least 10. Fetch the file again.")
    if length > limit:
        raise ValueError(
            f"{name} announces a header of {length:,} bytes; at most {limit:,} are read. "
            "It is damaged or not a safetensors file: fetch it again."
        )
    if 8 + length > size:
        raise ValueError(_cut_off(name, size, 8 + length))
    return length


def _cut_off(name: str, size: int, needed: int) -> str:
    return f"{name} ends after {size:,} of {needed:,} bytes. The download was cut off: fetch the file again."


def _parsed(name: str, text: bytes) -> dict:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{name}: the header is not valid JSON ({error}). The file is damaged: fetch it again."
        ) from error
    if not isinstance(header, dict):
        raise ValueError(f"{name}: the header is not a JSON object. The file is damaged: fetch it again.")
    return header


def _without_repeats(pairs: list[tuple[str, object]]) -> dict:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def _metadata(name: str, claim: object) -> dict[str, str]:
    if not isinstance(claim, dict) or not all(isinstance(value, str) for value in claim.values()):
        raise ValueError(f"{name}: the metadata are not all text. The file is damaged: fetch it again.")
    return claim


def _entry(file: str, name: str, claim: object) -> Entry:
    dtype, shape, offsets = (
        claim.get(key) if isinstance(claim, dict) else None for key in ("dtype", "shape", "data_offsets")
    )
    if not (isinstance(dtype, str) and _sizes(shape) and _sizes(offsets) and len(offsets) == 2):
        raise ValueError(
            f"{file}: tensor {name!r} lacks a dtype, a shape or two offsets (at most {MOST_AXES} sizes below 2^48). "
            "The file is damaged."
        )
    if dtype not in BYTES:
        found = f"{file}: tensor {name!r} has dtype {shortened(dtype, 20)}"
        raise ValueError(f"{found}; known are {', '.join(BYTES)}. Convert the file.")
    needed, held = math.prod(shape) * BYTES[dtype], offsets[1] - offsets[0]
    if needed != held:
        raise ValueError(
            f"{file}: tensor {name!r} of shape {shape} and dtype {dtype} needs {needed:,} bytes "
            f"but the header gives it {held:,}. The file is damaged: fetch it again."
        )
    return Entry(dtype, tuple(shape), *offsets)


def _sizes(values: object) -> TypeGuard[list[int]]:
    """Whether these are few numbers of a size that a file can have: their product is taken, and printed."""
    return (
        isinstance(values, list)
        and len(values) <= MOST_AXES
        and all(type(value) is int and 0 <= value <= LARGEST_SIZE for value in values)
    )


def _check_layout(name: str, entries: Mapping[str, Entry], available: int) -> None:
    position = 0
    for entry in sorted(entries.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != position:
            raise ValueError(
                f"{name}: a tensor starts at byte {entry.begin:,} but the one before ends at {position:,}. "
                "Tensors must follow each other: the file is damaged, fetch it again."
            )
        position = entry.end
    if position > available:
        raise ValueError(_cut_off(name, available, position))
    if position < available:
        raise ValueError(
            f"{name} has {available - position:,} bytes after its last tensor. It is damaged: fetch it again."
        )
