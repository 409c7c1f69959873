"""Writing files so that a crash leaves the old one, and saying why where it cannot be done."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from uuid import uuid4

import safetensors
import safetensors.torch
from torch import Tensor

from ..guidance.printing import words_of
from .places import TRACE_FORMAT

FULL = "The disk is full: free some space, then queue again."
FOLDER = "A file stands where a folder is needed: choose another name, or move that file."
REMEDIES = {
    errno.ENAMETOOLONG: "The name is too long: choose a shorter one.",
    errno.EACCES: "The folder is not writable: change its permissions, or choose another.",
    errno.EPERM: "The folder is not writable: change its permissions, or choose another.",
    errno.EROFS: "The disk is read-only: choose another folder.",
    errno.ENOTDIR: FOLDER,
    errno.EEXIST: FOLDER,
    errno.EISDIR: "A folder has that name: choose another name, or move the folder.",
    errno.ENOTSUP: "Something other than a file has that name, such as a device: choose another name.",
}


STATES = rb'.{8}\{.{0,999}"gg\.format":\s*"'  # a file of tensors, what it is
KINDS = {  # of files, by their first bytes; what is in brackets is a part of the kind
    "a trace": STATES + re.escape(TRACE_FORMAT.encode()) + rb'"',
    "a file of tensors of the format": STATES + rb'([^"]*)"',
    "a file of tensors": rb".{6}\0\0\{",
    "a web page": rb"\s*<(?:!doctype +)?html",
    "a picture": rb"\x89PNG|RIFF|\xff\xd8|\s*<(?:\?xml|svg)",
    "JSON of the format": rb'\s*\{\s*"format"\s*:\s*"([^"]*)"',
    "JSON that begins with": rb'\s*\{\s*"([^"]*)"',
}
START = 4096  # bytes that tell a kind
OTHER_KIND = "{} is {}, and {} would take its place: choose another name, or move it away."


class NotWritten(OSError):
    """A file could not be written; the text says which one, why, and what to do."""


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary name in the folder of `path`, which becomes `path` at the end of the block: all or nothing.

    Folders that are missing are made. Raises NotWritten; then the old file is as it was, and nothing else is left.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid4().hex[:12]}.part")  # shorter than any name that is given
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_no_file(path)
        yield temporary
        temporary.replace(path)
    except (OSError, safetensors.SafetensorError) as error:
        _remove(temporary)
        raise NotWritten(unwritten(path, error)) from error
    except BaseException:
        _remove(temporary)
        raise


def write_atomically(path: str | os.PathLike, parts: Iterable[bytes], lasting: bool = True, ours: bool = False) -> None:
    """Write bytes under a temporary name in the same folder, then rename: a failure leaves the old file alone.

    lasting: wait until the disk has them, as a file needs that is to outlive a power cut. ours: whether nobody but the
    pack writes there; anywhere else a file gives way to one of its own kind alone. Raises NotWritten.
    """
    remaining = iter(parts)
    first = next(remaining, b"")
    if not ours:
        refuse_other_kind(Path(path), first)
    parts = chain([first], remaining)
    with replacing(path) as temporary, temporary.open("xb") as file:
        file.writelines(parts)
        if lasting:
            file.flush()
            os.fsync(file.fileno())


def refuse_other_kind(path: Path, start: bytes) -> None:
    """Raise NotWritten where a file of another kind than the one that starts so is there.  An empty one is of any."""
    try:
        with path.open("rb") as file:
            there = file.read(START)
    except OSError:  # no file, or what writing says more of
        return
    if there and kind_of(there) != kind_of(start):
        raise NotWritten(OTHER_KIND.format(path, kind_of(there), kind_of(start)))


def kind_of(start: bytes) -> str:
    """What a file is that starts so, in words."""
    for kind, pattern in KINDS.items():
        if match := re.match(pattern, start[:START], re.DOTALL | re.IGNORECASE):
            return " ".join([kind, *(repr(group.decode(errors="replace")[:80]) for group in match.groups())])
    return "something else"


def write_for_mapping(path: str | os.PathLike, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors mapped from a new file, which is deleted at once where an open file may be.  Raises NotWritten."""
    with replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary)
    again = safetensors.torch.load_file(path)
    with suppress(PermissionError):
        Path(path).unlink()
    return again


def check_place(path: str | os.PathLike, size: int = 1) -> None:
    """Raise NotWritten if a file of this name and of `size` bytes could not be written now; leaves nothing behind.

    The probe is a new file under a name of the same length: no file that is there is touched.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_no_file(path)
        probe = _unused_name(path)
        with probe.open("xb"):
            pass
        probe.unlink()
        free = shutil.disk_usage(path.parent).free
        if free < size:
            raise OSError(errno.ENOSPC, f"{size:,} bytes are needed, {free:,} are free")
    except OSError as error:
        raise NotWritten(unwritten(path, error)) from error


def _refuse_no_file(path: Path) -> None:
    """Raise OSError for a folder, a device, a pipe or a socket, or a link to one, in whose place a file would come."""
    if path.exists() and not path.is_file():
        code = errno.EISDIR if path.is_dir() else errno.ENOTSUP
        raise OSError(code, os.strerror(code))


def _unused_name(path: Path) -> Path:
    """A name of the same length in bytes, and not too short to be one of a kind."""
    size = max(len(os.fsencode(path.name)), 16)
    return path.with_name(f".{uuid4().hex * (size // 32 + 1)}"[:size])


def unwritten(path: str | os.PathLike, error: Exception) -> str:
    """Why a file could not be written and what to do, in a sentence."""
    path, code = Path(path), getattr(error, "errno", None) or 0
    full = code in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in words_of(error).lower()
    remedy = FULL if full else REMEDIES.get(code, "Check the folder and the disk.")
    reason = getattr(error, "strerror", None) or " ".join(words_of(error).split()) or type(error).__name__
    return f"{path.name} could not be written to {path.parent} ({reason}). {remedy}"


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
