"""The forms of published weights: torch.save's archive, its older row of pickles, and one pickle alone.

Everything is read where it lies in the file: no member of an archive is unpacked, and none may be compressed.
"""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...guidance.printing import shortened, told
from .machine import Machine, damaged
from .tensors import Storage, storage_of
from .values import refusal

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what a row of pickles begins with
LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a member: its mark, the lengths of its name and of what comes after it
COUNT = struct.Struct("<q")  # of the numbers that follow
ENCRYPTED = 1


def read_checkpoint(path: Path) -> Any:
    """What a file of weights holds: plain values, records, and a `View` for each tensor, whose bytes stay in the file.

    Raises FileNotFoundError, or ValueError that says what the file is or holds instead.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file. Check the name and the folder.")
    with path.open("rb") as file:
        start = file.read(len(ZIP))
        if start != ZIP and not start.startswith(PICKLE):
            raise ValueError(
                f"{path.name} is neither an archive of torch.save nor a pickle of protocol 2 to 5. "
                "Give a .pt, .pth, .ckpt, .bin or .pkl as it was published."
            )
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return archive(content) if start == ZIP else row(content, memoryview(content), embedded)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def archive(content: mmap.mmap) -> Any:
    """What an archive of torch.save holds."""
    members = members_of(content)
    roots = [name.removesuffix("data.pkl") for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ValueError(f"the archive has {len(roots)} members data.pkl, and torch.save writes one. Give its file.")
    if (order := bytes(members.get(f"{roots[0]}byteorder", b"little"))) != b"little":
        raise ValueError(f"its numbers are {told(order.decode('latin-1'))} endian. Save it again on a usual machine.")
    storages: dict[tuple[str, str], Storage] = {}

    def outside(named: Any) -> Storage:
        storage = announced(named, storages)
        if storage.data is None:
            storage.fill(members.get(f"{roots[0]}data/{named[2]}", memoryview(b"")))
        return storage

    return Machine(outside, embedded).run(io.BytesIO(members[f"{roots[0]}data.pkl"]))


def members_of(content: mmap.mmap) -> dict[str, memoryview]:
    """The members of an archive by name, as they lie in the file.

    Raises ValueError for one that is compressed, encrypted, named twice or as if it lay elsewhere, or not whole.
    """
    try:
        with zipfile.ZipFile(content) as directory:
            found = directory.infolist()
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError) as error:
        raise ValueError(f"its archive is damaged ({error}). Fetch the file again.") from error
    names, spans = [checked_name(member.filename) for member in found], [span_of(content, member) for member in found]
    overlap = any(start < end for (_, end), (start, _) in pairwise(sorted(spans)))
    if overlap or len({*names}) < len(names):
        raise refusal("has two archive members of one name, or in one place")
    view = memoryview(content)
    return {name: view[start:end] for name, (start, end) in zip(names, spans, strict=True)}


def checked_name(name: str) -> str:
    """The same name, if it lies inside the archive."""
    if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
        raise refusal(f"has the archive member {shortened(name, 60)!r}, which lies outside")
    return name


def span_of(content: mmap.mmap, member: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the bytes of a member begin and end."""
    what = f"the archive member {shortened(member.filename, 60)!r}"
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise refusal(f"has {what} compressed, as torch.save never does")
    if member.flag_bits & ENCRYPTED:
        raise refusal(f"has {what} encrypted")
    header = content[member.header_offset : member.header_offset + LOCAL_HEADER.size]
    mark, name, extra = LOCAL_HEADER.unpack(header.ljust(LOCAL_HEADER.size))
    start = member.header_offset + LOCAL_HEADER.size + name + extra
    if mark != ZIP or start + member.file_size > len(content):
        raise ValueError(f"{what} is not whole. Fetch the file again.")
    return start, start + member.file_size


def row(stream: Any, view: memoryview, inner: Callable[[bytes], Any] | None) -> Any:
    """What a row of pickles holds, or one pickle alone.

    view: the bytes that the stream reads. inner: reads a file within a pickle.
    """
    first = Machine(embedded=inner).run(stream)
    if type(first) is not int or first != MAGIC:
        return first
    protocol, system = Machine().run(stream), Machine().run(stream)
    if protocol != PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("it was written by another version of torch.save. Save it again with a newer one.")
    storages: dict[tuple[str, str], Storage] = {}
    found = Machine(lambda named: announced(named, storages)).run(stream)
    fill(stream, view, storages, Machine().run(stream))
    return found


def fill(stream: Any, view: memoryview, storages: dict[tuple[str, str], Storage], keys: Any) -> None:
    """Give the storages their bytes, which follow in the order of the keys, each after its number of elements."""
    known = {key: storage for (key, _), storage in storages.items()}
    if (
        not isinstance(keys, list)
        or len(known) < len(storages)
        or not all(isinstance(k, str) and k in known for k in keys)
    ):
        raise damaged("its list of storages is another one than its tensors use")
    for key in keys:
        (count,) = COUNT.unpack(stream.read(COUNT.size).ljust(COUNT.size))
        start = stream.tell()
        if count != known[key].count:
            raise damaged(f"a storage has {count:,} numbers instead of {known[key].count:,}")
        known[key].fill(view[start : start + known[key].size])
        stream.seek(start + known[key].size)


def announced(named: Any, storages: dict[tuple[str, str], Storage]) -> Storage:
    """The storage that an object outside of a pickle is, the same one under the same name.

    named: "storage", its kind, its key, a device, its number of elements and None.
    """
    if not isinstance(named, tuple) or not named:
        raise refusal(f"refers to {told(named)} outside itself")
    if named[0] != "storage" or len(named) not in (5, 6) or not isinstance(named[2], str):
        raise refusal(f"refers to {told(named[0])} outside itself, in {len(named)} parts")
    if named[5:] not in ((), (None,)):
        raise refusal("holds part of a storage, as very old versions of torch.save wrote (save it again)")
    fresh = storage_of(named[1], named[4])
    storage = storages.setdefault((named[2], named[1].text), fresh)
    if storage.count != fresh.count:
        raise refusal("announces one storage with two sizes")
    return storage


def embedded(content: bytes) -> Storage:
    """The storage in a file within a pickle, as tensors are pickled without torch.save."""
    found = row(io.BytesIO(content), memoryview(content), None)
    if not isinstance(found, Storage):
        raise refusal("holds a file that is no tensor storage")
    return found
