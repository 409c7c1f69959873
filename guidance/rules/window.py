"""The part of a run in which a rule acts."""

from __future__ import annotations

from typing import NamedTuple

from ..knobs import knob
from ..run import Run


class Window(NamedTuple):
    """A part of a run, as shares of its outer steps.

    start <= i / steps < end          i = outer step, counted from 0; of a run in stages, of all of them: `Run.share`
    """

    start: float = 0.0
    end: float = 1.0

    @property
    def empty(self) -> bool:
        """Whether it starts where it ends, or behind that."""
        return not self.start < self.end

    def covers(self, run: Run, sigma: float) -> bool:
        """Whether the outer step that a noise level belongs to lies in it."""
        return self.start <= run.share(run.step(sigma)) < self.end

    def first(self, count: int, run: Run) -> int:
        """How many of the first outer steps lie in it without a gap, from the very first on, of `count`."""
        inside = self.start <= run.share(0)
        return sum(self.end >= 1 or run.share(i) < self.end for i in range(count if inside else 0))

    def intersect(self, other: Window) -> Window:
        """What two windows have in common; empty where that is nothing."""
        return Window(max(self.start, other.start), min(self.end, other.end))

    def narrow(self, other: Window, text: str) -> Window:
        """What it shares with another one.  text: whose it is.  Raises ValueError where that is nothing."""
        window = self.intersect(other)
        if window.empty:
            raise ValueError(
                f"{text!r} acts from {self.start:g} to {self.end:g} of the run by its own start_percent and "
                f"end_percent, and the window {other.start:g} .. {other.end:g} never overlaps that. Make them overlap."
            )
        return window


WHOLE = Window()


def share_knob(default: float, meaning: str, name: str) -> float:
    """An end of a part of a run, as a share of its steps.  name: of the node's input."""
    return knob(default, meaning, limits=(0.0, 1.0, 0.01), name=name)


def part_of_run(start: float, end: float) -> Window:
    """The window.  Raises ValueError for one that is empty, upside down or no part of the run."""
    if not 0 <= start < end <= 1:
        raise ValueError(
            f"window {start:g} .. {end:g} is not part of the run: give start_percent and end_percent from 0 (the first "
            "step) to 1 (the end), start_percent the smaller one."
        )
    return Window(start, end)
