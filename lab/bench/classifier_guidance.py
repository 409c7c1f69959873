"""Classifier guidance measured: what each evaluation reaches on the demo denoiser, and costs in time and memory.

Writes docs/classifier-guidance.md. What was measured before is taken from .cache/; `--again` forgets
it. Samples of 2,000 take about an hour of one core; `--minutes` stops early, and the next call goes on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch

from ...dev.inside import enter_host
from ...dev.places import ROOT
from ..command_line import parser_of
from ..markdown import write
from ..pages.evaluation_costs import MEMORY, RETURNING, TIMES, file_of
from ..pages.evaluations import CFG, KEPT, SWEEP, TABLE, Demo, kept_pixels, table
from ..pages.evaluations_page import PAGE, RETURN_AT, Found, page_of
from .transformers_versions import CACHE as SAVED
from .transformers_versions import answer_files

RUN = [sys.executable, str(ROOT / "lab")]
REACHED = {"noisy x_t": 0.95, "x0 + backprop": 0.85, "x0": 0.90}  # accuracy that each evaluation must reach somewhere


def sample_missing(demo: Demo, samples: int, sweep: int, until: float) -> bool:
    """Make what is not kept yet, those by gradients first; whether all of it is there."""
    guided, free = ([row for row in TABLE if (row.evaluation == CFG) is kind] for kind in (False, True))
    wanted = [*((row, samples) for row in guided), *((row, sweep) for row in SWEEP), *((row, samples) for row in free)]
    return all(kept_pixels(demo, row, count, until) is not None for row, count in wanted)


def costs(host: Path) -> None:
    """Measure what is not kept yet, every cost in a process of its own."""
    run = [*RUN, "evaluation_costs"]
    for model, evaluation, batch in TIMES:
        if not file_of("time", model, evaluation, batch).is_file():
            subprocess.run([*run, "time", model, evaluation, "--batch", str(batch), "--host", str(host)], check=True)
    for model, evaluation, batch in MEMORY:
        for returning in ("", RETURN_AT):
            if not file_of("memory", model, evaluation, batch, returning).is_file():
                env = {name: value for name, value in os.environ.items() if name != RETURNING}
                env |= {RETURNING: returning} if returning else {}
                command = [*run, "memory", model, evaluation, "--batch", str(batch), "--host", str(host)]
                subprocess.run(command, check=True, env=env)


def versions() -> None:
    """Ask the other major version of transformers, if nobody has."""
    if len(answer_files()) < 2:
        subprocess.run([*RUN, "transformers_versions"], check=True)


def main() -> int:
    """Measure, print and write the page; fail where an evaluation misses what the project promises of it."""
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=2000, help="of a row of the table (default 2000)")
    parser.add_argument("--sweep", type=int, default=200, help="of a row of the sweep (default 200)")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; the next call goes on")
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    parser.add_argument("--page", type=Path, default=PAGE, help="where to write (default docs/classifier-guidance.md)")
    given = parser.parse_args()
    if given.again:
        shutil.rmtree(KEPT, ignore_errors=True)
        shutil.rmtree(SAVED, ignore_errors=True)
    enter_host(given.host)
    torch.set_num_threads(1)
    with torch.inference_mode():
        import comfy.utils

        comfy.utils.PROGRESS_BAR_ENABLED = False
        demo = Demo()
        if not sample_missing(demo, given.samples, given.sweep, time.monotonic() + 60 * given.minutes):
            print("Time is over; call again to go on.")
            return 3
        rows, swept = table(demo, TABLE, given.samples), table(demo, SWEEP, given.sweep)
    costs(given.host)
    versions()
    found = Found(given.samples, given.sweep, rows, swept, answer_files())
    write(given.page, page_of(found))
    best = {way: max(numbers["accuracy"] for row, numbers in rows if row.evaluation == way) for way in REACHED}
    return int(any(best[way] < least for way, least in REACHED.items()))


if __name__ == "__main__":
    sys.exit(main())
