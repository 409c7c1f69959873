"""The cells of a study, one after the other on one ComfyUI; what it does wrong is said in words."""

from __future__ import annotations

from collections.abc import Sequence

from ...files.writing import NotWritten
from ..cells import Cell
from ..progress import Progress
from ..results import Folder
from .answers import ServerFault
from .cell import AGAIN, Connection, is_there
from .client import JobError

ATTEMPTS = 2  # of a cell that fails, before it is set aside


def run_missing(server: Connection, folder: Folder, cells: Sequence[Cell], names: Sequence[str], reports: bool) -> None:
    """Run cells one after the other; one that fails again is set aside with its error.  Raises what a server does."""
    progress = Progress(len(cells))
    for cell in cells:
        error = ""
        for _ in range(ATTEMPTS):
            error = error_of(server, folder, cell, names, reports)
            if not error:
                break
        if error:
            folder.reject(cell, error)
        progress.tell(cell, error)


def error_of(server: Connection, folder: Folder, cell: Cell, names: Sequence[str], reports: bool) -> str:
    """Run a cell and keep what it made; returns its error, "" where it has none.  Raises one of FAULTS of a server."""
    try:
        folder.write(cell, *server.run(cell, reports), names)
    except (JobError, ValueError) as failure:
        if not is_there(server.address):  # no fault of the cell
            raise ConnectionError(str(failure)) from failure
        return str(failure)
    return ""


def describe_failure(error: Exception, server: str) -> str:
    """What a person reads of a failure."""
    if isinstance(error, (ValueError, NotWritten)):
        return str(error)
    if isinstance(error, ServerFault):
        return f"{error} {AGAIN}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} cannot be read: {error.strerror}. Give another file."
    return f"{server} does not answer: {error}. Start it. {AGAIN}"
