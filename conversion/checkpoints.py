"""The forms of published weights: torch.save's archive, its older row of pickles, and one pickle alone.

Everything is read where it lies in the file: no member of an archive is unpacked, and none may be compressed.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..guidance.printing import quote, shorten
from .budget import ENTRY, OBJECT, Budget
from .directory import members_in, span_of
from .machine import Machine
from .tape import Tape, damage_error
from .tensors import Storage, storage_of
from .values import refusal

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what a row of pickles begins with
COUNT = 8  # bytes of how many numbers follow
LONGEST_ORDER = 20  # bytes


def read_checkpoint(path: Path) -> tuple[Any, Budget]:
    """What a file of weights holds: plain values, records, and a `View` for each tensor, whose bytes stay in the file.

    With it, what may still be spent on the file. Raises FileNotFoundError, or ValueError that says what the file is or
    holds instead, or that reading it would cost too much.
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
    view, budget = memoryview(content), Budget(len(content))
    try:
        return (archive(view, budget) if start == ZIP else row(Tape(view, budget), inner=True)), budget
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def archive(content: memoryview, budget: Budget) -> Any:
    """What an archive of torch.save holds."""
    members = members_of(content, budget)
    roots = [name.removesuffix("data.pkl") for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ValueError(f"the archive has {len(roots)} members data.pkl, and torch.save writes one. Give its file.")
    if (order := bytes(members.get(f"{roots[0]}byteorder", b"little")[:LONGEST_ORDER])) != b"little":
        raise ValueError(f"its numbers are {quote(order.decode('latin-1'))} endian. Save it again on a usual machine.")
    storages: dict[tuple[str, str], Storage] = {}

    def outside(named: Any) -> Storage:
        storage = announce_storage(named, storages, budget)
        if storage.data is None:
            storage.fill(members.get(f"{roots[0]}data/{named[2]}", memoryview(b"")))
        return storage

    return Machine(budget, outside, embedded_reader(budget)).run(Tape(members[f"{roots[0]}data.pkl"], budget))


def members_of(content: memoryview, budget: Budget) -> dict[str, memoryview]:
    """The members of an archive by name, as they lie in the file.

    Raises ValueError for one that is compressed, encrypted, named twice or as if it lay elsewhere, or not whole.
    """
    places: dict[str, tuple[int, int]] = {}
    for member in members_in(content):
        budget.step()
        budget.charge(ENTRY + 3 * OBJECT + sys.getsizeof(member.name))
        if member.name in places:
            raise refusal("has two archive members of one name")
        places[checked_name(member.name)] = span_of(content, member)
    if any(start < end for (_, end), (start, _) in pairwise(sorted(places.values()))):
        raise refusal("has two archive members in one place")
    return {name: content[start:end] for name, (start, end) in places.items()}


def checked_name(name: str) -> str:
    """The same name, if it lies inside the archive."""
    if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
        raise refusal(f"has the archive member {shorten(name, 60)!r}, which lies outside")
    return name


def row(tape: Tape, inner: bool) -> Any:
    """What a row of pickles holds, or one pickle alone.  inner: whether a file within it may be read"""
    budget = tape.budget
    first = Machine(budget, inner_storage=embedded_reader(budget) if inner else None).run(tape)
    if type(first) is not int or first != MAGIC:
        return first
    protocol, system = Machine(budget).run(tape), Machine(budget).run(tape)
    if protocol != PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("it was written by another version of torch.save. Save it again with a newer one.")
    storages: dict[tuple[str, str], Storage] = {}
    value = Machine(budget, lambda named: announce_storage(named, storages, budget)).run(tape)
    fill(tape, storages, Machine(budget).run(tape))
    return value


def fill(tape: Tape, storages: dict[tuple[str, str], Storage], keys: Any) -> None:
    """Give the storages their bytes, which follow in the order of the keys, each after its number of elements."""
    by_key = {key: storage for (key, _), storage in storages.items()}
    if (
        not isinstance(keys, list)
        or len(by_key) < len(storages)
        or not all(isinstance(k, str) and k in by_key for k in keys)
    ):
        raise damage_error("its list of storages is another one than its tensors use")
    for storage in map(by_key.__getitem__, keys):
        if (count := tape.number(COUNT)) != storage.count:
            raise damage_error(f"a storage has {count:,} numbers instead of {storage.count:,}")
        storage.fill(tape.take(storage.size))


def announce_storage(named: Any, storages: dict[tuple[str, str], Storage], budget: Budget) -> Storage:
    """The storage that an object outside of a pickle is, the same one under the same name.

    named: "storage", its kind, its key, a device, its number of elements and None.
    """
    if not isinstance(named, tuple) or not named:
        raise refusal(f"refers to {quote(named)} outside itself")
    if named[0] != "storage" or len(named) not in (5, 6) or not isinstance(named[2], str):
        raise refusal(f"refers to {quote(named[0])} outside itself, in {len(named)} parts")
    if named[5:] not in ((), (None,)):
        raise refusal("holds part of a storage, as very old versions of torch.save wrote (save it again)")
    budget.charge(OBJECT)
    fresh = storage_of(named[1], named[4])
    storage = storages.setdefault((named[2], named[1].text), fresh)
    if storage is fresh:
        budget.grow()
        budget.charge(OBJECT + ENTRY)
    if storage.count != fresh.count:
        raise refusal("announces one storage with two sizes")
    return storage


def embedded_reader(budget: Budget) -> Callable[[bytes | memoryview], Storage]:
    """What reads the storage in a file within a pickle, as tensors are pickled without torch.save; each file once."""
    storages: dict[int, tuple[bytes | memoryview, Storage]] = {}

    def storage(content: bytes | memoryview) -> Storage:
        if id(content) not in storages:
            inner = row(Tape(memoryview(content), budget), inner=False)
            if not isinstance(inner, Storage):
                raise refusal("holds a file that is no tensor storage")
            budget.charge(ENTRY + OBJECT)
            storages[id(content)] = content, inner
        return storages[id(content)][1]

    return storage
