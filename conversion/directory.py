"""The directory of an archive, read entry by entry.

`zipfile` makes a kilobyte of objects of each of its entries, which may be of 47 bytes.
Source: the specification of .ZIP files (APPNOTE), 4.3.12 to 4.3.16 and 4.5.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..guidance.printing import shorten
from .tape import read_text
from .values import refusal

LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a member: its mark, the lengths of its name and of what comes after it
ENTRY = struct.Struct("<4s4xHH8xLLHHH8xL")  # flags, method, three sizes of numbers, three lengths, an offset
END = struct.Struct("<4s8xLLH")  # the size of the directory, its offset, the length of a comment
LARGE_PLACE = struct.Struct("<4s4xQ4x")  # before the end of a large archive: where the large end is
LARGE_END = struct.Struct("<4s36xQQ")
LONGEST_COMMENT = 2**16
LARGE = 2**32 - 1  # what stands for a number that follows as one of eight bytes
LARGE_NUMBERS = 1  # the kind of field that these are in
STORED, ENCRYPTED, IN_UTF8 = 0, 1, 2**11  # a method, and bits of the flags


class Member(NamedTuple):
    """An entry.  packed_size, size: bytes in the archive, and of the content. at: where its header begins"""

    name: str
    flags: int
    method: int
    packed_size: int
    size: int
    at: int


def members_in(content: memoryview) -> Iterator[Member]:
    """The entries of an archive's directory.  Raises ValueError where it is damaged"""
    try:
        at, end = directory_in(content)
        while at < end:
            mark, flags, method, packed, size, *lengths, header = ENTRY.unpack_from(content, at)
            if mark != b"PK\x01\x02":
                raise damage_error("an entry of its directory has no mark")
            name, extra, _ = spans(at + ENTRY.size, *lengths)
            numbers = large_numbers(content[slice(*extra)], (size, packed, header))
            yield Member(name_in(content[slice(*name)], flags), flags, method, numbers[1], numbers[0], numbers[2])
            at += ENTRY.size + sum(lengths)
    except (struct.error, OverflowError):  # the latter of a place that no memory has
        raise damage_error("its directory is not whole") from None


def directory_in(content: memoryview) -> tuple[int, int]:
    """Where the directory begins and ends."""
    tail = max(len(content) - END.size - LONGEST_COMMENT, 0)
    place = bytes(content[tail:]).rfind(b"PK\x05\x06")
    if place < 0:
        raise damage_error("it has no directory at its end")
    end = tail + place
    _, size, at, _ = END.unpack_from(content, end)
    before = end - LARGE_PLACE.size
    if before >= 0 and content[before : before + 4] == b"PK\x06\x07":
        (_, end) = LARGE_PLACE.unpack_from(content, before)
        mark, size, at = LARGE_END.unpack_from(content, end)
        if mark != b"PK\x06\x06":
            raise damage_error("its large directory has no mark")
    if at + size != end:
        raise damage_error("its directory is not where its end says")
    return at, end


def spans(start: int, *lengths: int) -> Iterator[tuple[int, int]]:
    """Where several things begin and end that follow one another."""
    for length in lengths:
        yield start, start + length
        start += length


def name_in(held: memoryview, flags: int) -> str:
    """The name of a member."""
    return read_text(held) if flags & IN_UTF8 else str(held, "cp437")


def large_numbers(extra: memoryview, numbers: tuple[int, ...]) -> list[int]:
    """The same numbers, those of eight bytes from where they follow."""
    whole, missing = list(numbers), [place for place, number in enumerate(numbers) if number == LARGE]
    while missing and len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == LARGE_NUMBERS:
            for place, (start, _) in zip(missing, spans(4, *[8] * len(missing)), strict=False):
                (whole[place],) = struct.unpack_from("<Q", extra, start)
            return whole
        extra = extra[4 + length :]
    return whole


def span_of(content: memoryview, member: Member) -> tuple[int, int]:
    """Where the bytes of a member begin and end."""
    what = f"the archive member {shorten(member.name, 60)!r}"
    if member.method != STORED or member.packed_size != member.size:
        raise refusal(f"has {what} compressed, as torch.save never does")
    if member.flags & ENCRYPTED:
        raise refusal(f"has {what} encrypted")
    header = bytes(content[member.at : member.at + LOCAL_HEADER.size])
    mark, name, extra = LOCAL_HEADER.unpack(header.ljust(LOCAL_HEADER.size))
    start = member.at + LOCAL_HEADER.size + name + extra
    if mark != b"PK\x03\x04" or start + member.size > len(content):
        raise ValueError(f"{what} is not whole. Fetch the file again.")
    return start, start + member.size


def damage_error(why: str) -> ValueError:
    """The error for what is no archive, or not a whole one."""
    return ValueError(f"its archive is damaged ({why}). Fetch the file again.")
