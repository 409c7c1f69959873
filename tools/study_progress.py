"""How far a study is: a small table that stays in its place on a terminal, and a line now and then in a log."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TextIO

from ..sweeps.axes import duration
from ..sweeps.cells import Cell

RECENT, FEWEST = 60.0, 20  # the rate is that of the last cells: of so many s, and of no fewer cells
FIRST_LINE, MOST_BETWEEN, GROWS = 5.0, 60.0, 1.5  # s between two lines of a log
MOST_SERVERS = 10  # with a line of their own
UP, CLEAR = "\033[{}A", "\033[0J"  # of a terminal: to the first line of the table, and nothing below


class Progress:
    """Cells per second, failures and time left; by server too where there are several.

    missing: cells to run. out: where it is told. now: the clock, in seconds.
    """

    def __init__(self, missing: int, out: TextIO | None = None, now: Callable[[], float] = time.monotonic):
        self.missing, self.out, self.now = missing, out or sys.stdout, now
        self.in_place = self.out.isatty()
        self.ended: Counter[tuple[str, bool]] = Counter()  # by server, and whether it failed
        self.began = now()
        self.times: deque[float] = deque()
        self.due, self.pause, self.drawn = self.began + FIRST_LINE, FIRST_LINE, 0

    def tell(self, cell: Cell, words: str = "", server: str = "") -> None:
        """Count a cell that has ended.  words: its error, "" for none. server: what ran it."""
        now = self.now()
        self.ended[server, bool(words)] += 1
        self.times.append(now)
        while len(self.times) > FEWEST and now - self.times[0] >= RECENT:
            self.times.popleft()
        place = " ".join(f"{name}={value}" for name, value in cell.place.items())
        if words:
            self._say(f"failed: {place}: {words}")
        if self.in_place:
            self._draw([*self.lines(), f"  last  {place}"])
        elif now >= self.due or self._count() == self.missing:
            self._say(self.line())
            self.pause = min(GROWS * self.pause, MOST_BETWEEN)
            self.due = now + self.pause

    def _count(self, failed: bool | None = None) -> int:
        return sum(count for (_, bad), count in self.ended.items() if failed in (None, bad))

    def rate(self) -> float:
        """Cells per second of late."""
        whole = len(self.times) == self._count()
        since = self.began if whole else self.times[0]
        return (len(self.times) - (not whole)) / max(self.now() - since, 1e-9)

    def line(self) -> str:
        """All in one line."""
        left = duration((self.missing - self._count()) / max(self.rate(), 1e-9))
        done = f"{self._count(False):,} of {self.missing:,} done"
        return f"{done}, {self._count(True):,} failed, {self.rate():.2f} cells/s, {left} left"

    def lines(self) -> list[str]:
        """The table: all cells, then each server where there are several."""
        servers = Counter(server for server, _ in self.ended.elements())
        if len(servers) < 2:
            return [self.line()]
        shown, spent = servers.most_common(MOST_SERVERS), max(self.now() - self.began, 1e-9)
        own = [f"  {server}  {self._counted(server)}, {n / spent:.2f} cells/s" for server, n in shown]
        more = [f"  and {len(servers) - len(shown)} more"] if len(servers) > len(shown) else []
        return [self.line(), *own, *more]

    def _counted(self, server: str) -> str:
        return f"{self.ended[server, False]:,} done, {self.ended[server, True]:,} failed"

    def _say(self, words: str) -> None:
        """A line that stays, above the table."""
        self.wipe()
        print(words, file=self.out, flush=True)

    def _draw(self, lines: list[str]) -> None:
        self.wipe()
        width = shutil.get_terminal_size().columns - 1  # a line that breaks would be two
        print(*(line[:width] for line in lines), sep="\n", file=self.out, flush=True)
        self.drawn = len(lines)

    def wipe(self) -> None:
        """Take the table away, before something else is printed."""
        if self.drawn:
            print(UP.format(self.drawn), CLEAR, sep="", end="", file=self.out)
        self.drawn = 0
