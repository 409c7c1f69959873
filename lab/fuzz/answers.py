"""Sweeps on a server that answers as no ComfyUI does. A seed gives the same cases.

Every case is a sweep of two cells while the server is hostile, and the same command once more when it is honest. A
fault is an error that is no sentence, more than 60 s, a cell that is lost, and one that counts as done and is not.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

from ...cli import sweep as run_sweep
from ...dev.fixtures.hostile_answers import make_honest, make_hostile
from ...dev.fixtures.made_up_trace import made_up_trace
from ...dev.fixtures.stub_server import Stub, node_types_of, serving, white_picture
from ...sweeps.axes import Axis
from ...sweeps.cells import cells_of
from ...sweeps.comfyui import client
from ...sweeps.pictures import open_picture
from ...sweeps.plan import Plan
from ...sweeps.results import read_results
from ...sweeps.rules import NOTHING
from ...trace.file import load, save

CFG = (1, 2)
LONGEST = 60.0  # s of a sweep
PATIENCE, PAUSES = 1.5, (0.01, 0.02)  # s: of the timeout, and before a server is asked again


def stub_of(place: Path) -> Stub:
    """A server for cells of the first look."""
    workflow = json.loads(run_sweep.FIRST_LOOK.read_text(encoding="utf-8"))
    save(made_up_trace(), place / "trace.safetensors")
    told = node_types_of(cells_of(Plan(workflow, (Axis("cfg", CFG),)), NOTHING, {}, "1")[0].prompt)
    return Stub(told, (place / "trace.safetensors").read_bytes(), white_picture(), 0.0)


def sweep_answer(address: str, output: Path) -> tuple[int, str, float]:
    """The exit code of a sweep, what it said, and the seconds it took; -1 for an error that is no sentence."""
    words = ["--server", address, "--output", str(output), "--timeout", str(PATIENCE), "--cfg"]
    said, began = io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = run_sweep.main([*words, ",".join(map(str, CFG))])
        except BaseException:  # noqa: BLE001  whatever gets this far
            traceback.print_exc()
            code = -1
    return code, said.getvalue(), time.monotonic() - began


def unsound(output: Path) -> list[str]:
    """What counts as done in a folder and cannot be read."""
    return [fault for row in (output / "cells").glob("*.json") if (fault := fault_of(row))]


def fault_of(row: Path) -> str:
    """Why one does, "" for one that is sound."""
    try:
        open_picture(row.with_suffix(".png").read_bytes())
        load(row.with_suffix(".safetensors"))
    except (OSError, ValueError) as error:
        return f"counted, though {error}"
    return ""


def faults_of(stub: Stub, address: str, output: Path, rng: Random) -> tuple[str, list[str], float]:
    """What a server did, the faults of the sweeps on it, and the seconds of the longer one."""
    what = make_hostile(stub, rng)
    code, said, seconds = sweep_answer(address, output)
    faults = [f"raw: {said[-1500:]}"] if code < 0 or "Traceback" in said else []
    faults += ["it ended without a sentence"] if code > 0 and not said.strip() else []
    faults += unsound(output)
    make_honest(stub)
    code, again, more = sweep_answer(address, output)
    rows = read_results(output)[1] if code == 0 else []
    faults += [] if len(rows) == len(CFG) else [f"lost: {len(rows)} rows after all was well: {again[-500:]}"]
    faults += [f"{seconds:.0f} s"] if max(seconds, more) > LONGEST else []
    return what, faults, max(seconds, more)


def fuzz(count: int, seed: int) -> tuple[Counter[str], list[str], float]:
    """Cases by where the server was hostile, the faults, and the longest sweep in seconds."""
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # of the server's side
    run_sweep.PAUSES, client.AGAIN = PAUSES, PAUSES
    tally, faults, slowest = Counter[str](), [], 0.0
    with tempfile.TemporaryDirectory(prefix="fuzz-answers-", ignore_cleanup_errors=True) as place:
        stub = stub_of(Path(place))
        with serving(stub) as address:
            for number in range(count):
                case = faults_of(stub, address, Path(place) / str(number), Random(f"{seed} {number}"))
                tally[case[0].split(":")[0]] += 1
                faults += [f"case {number}, {case[0]}: {fault}" for fault in case[1]]
                slowest = max(slowest, case[2])
    return tally, faults, slowest


def print_fuzz(count: int, seed: int) -> int:
    """Fuzz and print; 1 where there is a fault."""
    tally, faults, slowest = fuzz(count, seed)
    print("\n".join(faults))
    print(", ".join(f"{place} {number}" for place, number in sorted(tally.items())))
    print(f"{tally.total()} strange answers, seed {seed}: {len(faults)} faults, longest sweep {slowest:.1f} s")
    return int(bool(faults))
