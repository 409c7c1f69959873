"""Bytes that are read in turn, where they lie: long values of a pickle are never copied out of its file."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from ..guidance.printing import shorten
from .budget import LONGEST, Budget
from .values import refusal

LINE = 1000  # bytes of a name or a number that stands in a line
CHUNK = 2**20  # bytes that are decoded at once


@dataclass(frozen=True, eq=False)
class Text:
    """A long text that stays in the file.  data: in UTF-8"""

    data: memoryview

    def __len__(self) -> int:
        return len(self.data)

    def encode_within(self, encoding: str, budget: Budget) -> bytes:
        """The same text in another encoding.  Raises UnicodeError where it has not all of its letters."""
        budget.charge(2 * sum(map(len, self._pieces(encoding))))  # the pieces, and what they become
        return b"".join(self._pieces(encoding))

    def _pieces(self, encoding: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(self.data), CHUNK):
            last = start + CHUNK >= len(self.data)
            yield decoder.decode(bytes(self.data[start : start + CHUNK]), last).encode(encoding)


class Tape:
    """A place in some bytes.  budget: of the file they are in"""

    def __init__(self, content: memoryview, budget: Budget):
        self.content, self.budget, self.at = content, budget, 0

    def take(self, size: int) -> memoryview:
        """The next bytes.  Raises ValueError where there are not as many."""
        content = self.content[self.at : self.at + size]
        if len(content) < size:
            raise damage_error(f"it ends {size - len(content):,} bytes too early")
        self.at += size
        return content

    def number(self, size: int, signed: bool = False) -> int:
        """The next bytes as a whole number, lowest first."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self) -> str:
        """The letters up to the next line break, which is read too."""
        letters, end, _ = bytes(self.content[self.at : self.at + LINE]).partition(b"\n")
        if not end:
            raise damage_error(f"a line does not end within {LINE:,} bytes")
        self.at += len(letters) + 1
        return read_text(memoryview(letters))

    def text(self, size: int) -> str | Text:
        """The next bytes as UTF-8."""
        held = self.take(size)
        return Text(held) if size > LONGEST else read_text(held)

    def bytes(self, size: int) -> bytes | memoryview:
        """The next bytes themselves."""
        held = self.take(size)
        return held if size > LONGEST else bytes(held)


def read_text(held: memoryview) -> str:
    """UTF-8 as text.  Raises ValueError for what is none: half letters, say, which take seconds for each million."""
    try:
        return str(held, "utf-8")
    except UnicodeDecodeError:
        raise refusal("holds a text that is not UTF-8") from None


def damage_error(why: str) -> ValueError:
    """The error for what is no pickle, or not a whole one."""
    return ValueError(f"its pickle is damaged ({shorten(why, 200)}). Fetch the file again.")
