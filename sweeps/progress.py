"""How far a study is: a bar with its rate, what failed, and what each server ran."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TextIO

from tqdm import tqdm

from .cells import Cell

EACH = (0.1, 20.0)  # s between two states on a terminal, and two lines of a log
MOST_SERVERS = 10  # that are counted apart


class Progress:
    """Cells that are done and failed, cells per second and time left; by server too where there are several.

    missing: cells to run. out: where it is told.
    """

    def __init__(self, missing: int, out: TextIO | None = None):
        to: TextIO = sys.stdout if out is None else out
        self.bar = tqdm(total=missing, unit="cells", file=to, mininterval=EACH[not to.isatty()], dynamic_ncols=True)
        self.failures, self.servers = 0, Counter[str]()

    def tell(self, cell: Cell, words: str = "", server: str = "") -> None:
        """Count a cell that has ended.  words: its error, "" for none. server: what ran it."""
        place = " ".join(f"{name}={value}" for name, value in cell.place.items())
        self.failures += bool(words)
        self.servers[server] += 1
        if words:
            self.bar.write(f"failed: {place}: {words}", file=self.bar.fp)
        several = self.servers.most_common(MOST_SERVERS) if len(self.servers) > 1 else []
        shown = [f"{self.failures} failed", *(f"{name}: {count}" for name, count in several), place]
        self.bar.set_postfix_str(", ".join(shown), refresh=False)
        self.bar.update()
        if self.bar.n == self.bar.total:
            self.bar.close()

    def wipe(self) -> None:
        """Take the bar away, before something else is printed."""
        self.bar.clear()
