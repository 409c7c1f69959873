"""The line between a run and what only watches it: a fault on this side is told, and never stops the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb

from ..guidance.printing import words_of

PACK = str(Path(__file__).resolve().parents[1])
LONGEST = 160  # characters of a fault's own words


class NothingToShow(ValueError):
    """A run does not hold what a picture of it takes; the words say what is missing, and what to do."""


@contextmanager
def keep_out(tell: Callable[[str], None], passing: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Run a block whose faults end it and no more.

    tell: is given the fault in a line; the log gets all of it. passing: exceptions that are no faults and go on.
    """
    try:
        yield
    except passing:
        raise
    except Exception as fault:  # noqa: BLE001  any fault: it is told
        tell(log_fault(fault))


def log_fault(fault: Exception) -> str:
    """The fault in a line; the log gets all of it.  It is asked where the fault is caught."""
    logging.warning("Guidance Geometry: the record of a run is incomplete", exc_info=True)
    return line_of(fault)


def line_of(fault: BaseException) -> str:
    """Type, place and words of an exception; the place is the innermost line of this pack, if it came through one."""
    lines = extract_tb(fault.__traceback__)
    ours = [line for line in lines if line.filename.startswith(PACK)] or lines
    place = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    words = " ".join(words_of(fault).split())[:LONGEST]
    return f"{type(fault).__name__}{place}" + (f" ({words})" if words else "")
