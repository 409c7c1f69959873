"""What reading one file may cost, counted before it is spent.

Nothing that was charged is given back: so the sum bounds the memory at any moment, and all bytes that are copied.
"""

from __future__ import annotations

from .values import refusal

MOST_TIMES = 2  # bytes of memory for each byte of the file, beyond its tensors
LEAST = 2**22  # bytes that any file may take
LONGEST = 2**16  # bytes of a text that is taken out of the file; no name and no setting is as long
READING = 6 * LONGEST  # what decoding one takes for a moment
MOST_STEPS = 2_000_000  # 1000 tensors with their optimizer take about 100,000
ROOM, MOST_ROOM = (
    3 * 2**12,
    2**26,
)  # bytes for the objects around each storage, and of all: networks have many small ones

# bytes of what `sys.getsizeof` does not tell, each at its worst: while a table that has grown lies beside its copy
SLOT = 16  # a value on the stack, in a list or in a tuple
ENTRY = 136  # of a dictionary, a set or the memo, with the number of a memo's
OBJECT = 96  # a name, a record, a storage or a view
TENSOR = 1536  # what torch makes of a view, and its place in the header that is written


class Budget:
    """Bytes and steps that are left for a file, shared by every pickle and every table in it.

    size: of the file in bytes.
    """

    def __init__(self, size: int):
        self.most = max(MOST_TIMES * size, LEAST)
        self.left, self.room = self.most - READING, MOST_ROOM
        self.steps = MOST_STEPS

    def charge(self, count: int) -> None:
        """Bytes that will be taken.  Raises ValueError where they are not left."""
        self.left -= count
        if self.left < 0:
            raise refusal(f"takes more than {self.most:,} bytes of memory beside its tensors")

    def step(self, count: int = 1) -> None:
        """Instructions or entries that will be looked at.  Raises ValueError where they are too many."""
        self.steps -= count
        if self.steps < 0:
            raise refusal(f"takes more than {MOST_STEPS:,} pickle instructions and entries to read")

    def grow(self) -> None:
        """A further storage was found: what stands around its numbers counts as its tensor's."""
        self.left, self.room = self.left + min(ROOM, self.room), max(self.room - ROOM, 0)
