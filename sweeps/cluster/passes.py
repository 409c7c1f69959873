"""The passes of a study over its cells, on Ray: what is tried again, what is set aside, and what has no result."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...files.writing import NotWritten
from ..cells import Cell
from ..comfyui.cell import AGAIN
from ..comfyui.executor import ATTEMPTS
from ..progress import Progress
from ..results import Folder
from . import worker
from .worker import DONE, FAILED, LOST, UNWRITTEN, WAITING, Seats, SeatsOnRay

NOT_SEEN = "{} does not hold what the actors wrote. Give --output a folder that all machines see, or an address."
GONE = "{} is gone ({}). What it was at runs again on another."
MOST_BARREN = 2  # passes in a row in which nobody has a ComfyUI; none of them is the first


def rows_for_ray(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """Cells as Ray carries them."""
    return [{"id": c.id, "place": json.dumps(dict(c.place)), "prompt": json.dumps(c.prompt)} for c in cells]


class Tally:
    """What came of the cells of a study so far.

    errors: errors by cell. deaths: how many servers died at a cell. idle: processes that had no ComfyUI in this pass.
    """

    def __init__(self):
        self.errors: dict[str, list[str]] = {}
        self.deaths: Counter[str] = Counter()
        self.attempts: set[str] = set()  # in this pass, and not done
        self.waiting: set[str] = set()  # given back in this pass by an actor without a ComfyUI
        self.idle: set[int] = set()
        self.why: Counter[str] = Counter()  # of what did not run
        self.run_count = 0  # cells that a ComfyUI ran in this pass
        self.barren = MOST_BARREN  # passes without any since the last with one

    def add(self, row: Mapping[str, Any]) -> None:
        """Count how a cell ended.  Raises NotWritten where its result could not be kept: no cell fares better."""
        end, cell = row["end"], row["id"]
        if end == UNWRITTEN:
            raise NotWritten(row["words"])
        if end == FAILED:
            self.errors.setdefault(cell, []).append(row["words"])
        elif end == LOST:
            self.deaths[cell] += 1
        elif end == WAITING:
            self.why[row["words"]] += 1
            self.idle.add(row["process"])
        self.attempts |= {cell} if end in (FAILED, LOST) else set()
        self.waiting |= {cell} if end == WAITING else set()
        self.run_count += end in (DONE, FAILED)

    def again(self, missing: Sequence[Cell]) -> list[Cell]:
        """The cells that are worth another pass; begins it.

        One that was given back is worth it while anybody runs cells, and once more when nobody did.
        """
        self.barren = 0 if self.run_count else self.barren + 1
        given_back = self.waiting if self.barren < MOST_BARREN else set()
        tried = self.attempts | given_back
        self.attempts, self.waiting, self.run_count = set(), set(), 0
        return [
            c for c in missing if c.id in tried and max(len(self.errors.get(c.id, ())), self.deaths[c.id]) < ATTEMPTS
        ]

    def poison(self, missing: Sequence[Cell]) -> list[tuple[Cell, str]]:
        """The cells that failed every time on a server that was there, with their errors."""
        failed = ((cell, self.errors.get(cell.id, [])) for cell in missing)
        return [(cell, errors[-1]) for cell, errors in failed if len(errors) >= ATTEMPTS]


def passes(folder: Folder, cells: Sequence[Cell], one_pass: Callable[[Sequence[Cell], Tally], None]) -> Tally:
    """Run what is missing, and what failed or lost its server again; then set aside what failed every time."""
    tally, todo, number = Tally(), folder.missing(cells), 1
    while todo:
        print(f"pass {number}: {len(todo)} cells", flush=True)
        one_pass(todo, tally)
        todo, number = tally.again(folder.missing(todo)), number + 1
    for cell, error in tally.poison(folder.missing(cells)):
        folder.reject(cell, error)
    return tally


def quiet() -> None:
    """Keep what Ray Data tells of its work out of the table; its own log has it, and errors are still shown."""
    for handler in logging.getLogger("ray.data").handlers:
        if handler.level == logging.INFO:  # that of the console; the file's takes everything
            handler.setLevel(logging.ERROR)


class OnRay:
    """Passes over cells on a cluster.

    servers: addresses, of which those that are silent at the end are left out. batch: cells that an actor takes, and
    gives back, at once. kind: of the actors. gpus: that each actor needs.
    """

    def __init__(self, ray: Any, runner: Mapping[str, Any], servers: Sequence[str], actors: int, batch: int = 1):
        self.ray, self.runner, self.servers, self.actors, self.batch = ray, runner, list(servers), actors, batch
        self.kind = worker.CellRunner
        on_gpu = not servers and not runner.get("cpu") and ray.cluster_resources().get("GPU")
        self.gpus = 1 if on_gpu else 0
        ray.cloudpickle.register_pickle_by_value(worker)
        self.seats = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Seats).remote(self.servers)

    def __call__(self, cells: Sequence[Cell], tally: Tally) -> None:
        """Hand every cell to an actor once.  Rows come back one by one: nothing piles up."""
        by_id, progress = {cell.id: cell for cell in cells}, Progress(len(cells))
        self.ray.get(self.seats.begin.remote())
        spare, tally.idle = len(tally.idle), set()  # actors that may have no ComfyUI again
        for row in self._rows(cells, spare):
            tally.add(row)
            if row["end"] == LOST:
                progress.wipe()
                print(GONE.format(row["server"], row["words"]), file=sys.stderr, flush=True)
            if row["end"] in (DONE, FAILED):
                progress.tell(by_id[row["id"]], row["words"], row["server"])
        self.servers = self.ray.get(self.seats.left.remote())

    def _rows(self, cells: Sequence[Cell], spare: int) -> Iterator[dict[str, Any]]:
        data = self.ray.data
        data.DataContext.get_current().enable_progress_bars = False  # our table tells more
        quiet()
        batches = math.ceil(len(cells) / self.batch)
        done = data.from_items(rows_for_ray(cells), override_num_blocks=batches).map(
            self.kind,
            fn_constructor_kwargs={**self.runner, "seats": SeatsOnRay(self.seats)},
            compute=data.ActorPoolStrategy(size=min(self.actors, batches + spare)),
            num_cpus=0,
            num_gpus=self.gpus,
        )
        yield from done.iter_rows()


def left_over(folder: Folder, cells: Sequence[Cell], tally: Tally, gone: Sequence[str]) -> str:
    """Which cells are neither done nor set aside, why, and what to do; "" where there is none."""
    missing = folder.missing(cells)
    count = len(missing) - len(tally.poison(missing))
    if not count:
        return ""
    reasons = [f"Gone: {', '.join(gone)}."] if gone else []
    reasons += [words for words, _ in tally.why.most_common(1)]
    if not reasons and not any(tally.deaths[cell.id] for cell in missing):
        reasons = [NOT_SEEN.format(folder.path)]
    return " ".join([f"{count} of {len(cells)} cells have no result.", *reasons, AGAIN])
