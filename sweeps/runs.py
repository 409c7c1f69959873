"""The runs of a study for its page: the record of every cell, of the sample that its picture shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..trace.record import run_record
from ..trace.trace import Trace

BYTES = 3_600_000  # of all records as JSON; packed they take less than half
MOST_BYTES = 60_000  # of one record; steps beyond that are left out evenly
MOST_CELLS = 400  # beyond that too few steps of each would fit


def records_of(cells: Sequence[str], trace_of: Callable[[str], Trace]) -> dict[str, dict[str, Any]]:
    """The record of each cell's first sample; none at all for more cells than a page has room for."""
    if len(cells) > MOST_CELLS:
        return {}
    limit = min(MOST_BYTES, BYTES // max(len(cells), 1))
    return {cell: run_record(trace_of(cell).of_samples(slice(1)), limit) for cell in cells}
