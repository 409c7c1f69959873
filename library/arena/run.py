"""An arena from words to its result: which rules, which worlds, what is missing, and what all cells say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ...files.writing import write_atomically
from ...guidance.rule_file import line_of
from ...sweeps.axes import suggest
from ..traces import require
from .arena import Arena, Contest
from .cells import Cells
from .entrants import Entrant
from .result import result_of
from .table import document
from .worlds import World, release, worlds

VERSION = 1  # of the result
RESULT, TABLE, CELLS = "arena.json", "arena.md", "cells"


class Size(NamedTuple):
    """seeds: start noises of each label; exact worlds have `many` times as many. trials: of every rule when tuned."""

    seeds: int = 6
    trials: int = 12


USUAL, QUICK = Size(), Size(4, 0)


def choose_worlds(names: Sequence[str], offered: Mapping[str, World] | None = None) -> list[World]:
    """Worlds by their names, all for none.  Raises ValueError for an unknown one."""
    there = worlds() if offered is None else offered
    if unknown := next((name for name in names if name not in there), ""):
        raise ValueError(f"There is no world {unknown!r}. {suggest(unknown, there)}")
    return [there[name] for name in names or there]


def refuse_missing_packages(size: Size) -> None:
    """Raise ImportError, before any work, where a package is missing."""
    for package in ("scipy", "optuna") if size.trials else ("scipy",):
        require(package, "arena")


def run_arena(
    entrants: Sequence[Entrant],
    places: Sequence[World],
    folder: Path,
    size: Size = USUAL,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Hold rules in worlds; what is in the folder is not run again. Writes arena.json and arena.md there.

    A rule that fails in a world has no row there; the result says why. Raises OSError where nothing can be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = [hold(world, entrants, Cells(folder / CELLS), size, report) for world in places]
    result = {"v": VERSION, "release": release(), **size._asdict(), "torch": torch.__version__, "worlds": found}
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    write_atomically(folder / RESULT, [text.encode()])
    write_atomically(folder / TABLE, [document(result).encode()])
    return result


def hold(
    world: World, entrants: Sequence[Entrant], cells: Cells, size: Size, report: Callable[[str], None]
) -> dict[str, Any]:
    """All rules in one world."""
    arena = Arena(world, cells, size.seeds * world.many, size.trials)
    contests: list[Contest] = []
    failed = dict[str, str]()
    for entrant in entrants:
        began = time.perf_counter()
        try:
            contests += [*arena.contests(entrant)]
        except Exception as error:  # noqa: BLE001  anybody's rule may raise anything
            failed[entrant.name] = line_of(error)
        report(f"{world.name}: {entrant.name}, {time.perf_counter() - began:.0f} s")
    return result_of(arena, contests, failed)
