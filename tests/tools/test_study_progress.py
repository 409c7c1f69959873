"""What a study says of its progress, in a log and on a terminal."""

import io

from guidance_geometry.sweeps.cells import Cell
from guidance_geometry.tools.study_progress import Progress

CELL = Cell("1", {"cfg": 2, "seed": 0}, {})


class Terminal(io.StringIO):
    """A terminal that keeps what it shows: lines, and a cursor that goes up and clears what is below."""

    def isatty(self):
        return True

    def shown(self):
        lines = []
        for part in self.getvalue().split("\033["):
            up, _, _ = part.partition("A")
            if up.isdigit():
                lines = lines[: -int(up)]
                continue
            lines += part.removeprefix("0J").splitlines()
        return lines


def told(out, ends, missing=100, seconds=1.0):
    """Cells that end one after the other.  ends: the error and the server of each."""
    now = [0.0]
    progress = Progress(missing, out, lambda: now[0])
    for words, server in ends:
        now[0] += seconds
        progress.tell(CELL, words, server)
    return out


def test_a_log_gets_a_line_now_and_then_and_every_failure():
    out = told(io.StringIO(), [("", "a")] * 60 + [("poisoned", "a")] + [("", "a")] * 39)
    lines = out.getvalue().splitlines()
    assert lines[0] == "5 of 100 done, 0 failed, 1.00 cells/s, 2 min left"
    assert "failed: cfg=2 seed=0: poisoned" in lines
    assert lines[-1] == "99 of 100 done, 1 failed, 1.00 cells/s, 0 s left"
    assert len(lines) <= 9


def test_a_terminal_keeps_one_table_and_every_failure():
    out = told(Terminal(), [("", "http://a")] * 6 + [("poisoned", "http://b")] + [("", "http://b")] * 3)
    assert out.shown() == [
        "failed: cfg=2 seed=0: poisoned",
        "9 of 100 done, 1 failed, 1.00 cells/s, 2 min left",
        "  http://a  6 done, 0 failed, 0.60 cells/s",
        "  http://b  3 done, 1 failed, 0.40 cells/s",
        "  last  cfg=2 seed=0",
    ]


def test_the_rate_is_that_of_late_and_many_servers_are_counted():
    out = Terminal()
    now = [0.0]
    progress = Progress(1000, out, lambda: now[0])
    for number in range(200):
        now[0] += 10.0 if number < 20 else 0.5
        progress.tell(CELL, "", f"http://{number % 14}")
    assert 1.9 < progress.rate() < 2.1
    now[0] += 90.0  # one that hangs
    progress.tell(CELL, "", "http://1")
    assert 0.1 < progress.rate() < 0.3, "no rate of a single cell"
    assert out.shown()[-2] == "  and 4 more"
