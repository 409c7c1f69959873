"""What a study says of its progress, in a log and on a terminal."""

import io

import pytest

from guidance_geometry.sweeps.cells import Cell
from guidance_geometry.sweeps.progress import Progress

CELL = Cell("1", {"cfg": 2, "seed": 0}, {})


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_every_failure_and_the_end_are_told_and_each_server_is_counted(kind):
    out = kind()
    progress = Progress(100, out)
    for words, server in [("", "a")] * 60 + [("poisoned", "b")] + [("", "b")] * 39:
        progress.tell(CELL, words, server)
    said = out.getvalue().replace("\r", "\n")
    assert said.count("failed: cfg=2 seed=0: poisoned") == 1
    last = [line for line in said.splitlines() if line.strip()][-1]
    assert [words in last for words in ("100/100", "1 failed", "a: 60", "b: 40", "cells/s")] == [True] * 5, last


def test_a_log_gets_a_line_now_and_then():
    out = io.StringIO()
    progress = Progress(1000, out)
    for _ in range(999):
        progress.tell(CELL)
    assert out.getvalue().count("\r") <= 2
