"""How long the report on a run takes: 50 steps and 8 samples, without pictures; median of several, limit 200 ms."""

from __future__ import annotations

import argparse
import statistics
import sys

import torch

from ...trace.accumulator import Accumulator, Capture
from ...trace.gram import VECTORS
from ...trace.recorder import Evaluation, Recorded
from ...trace.report import report_of
from ...trace.rows import Setting
from ...trace.trace import Trace
from ..fixtures.timing import seconds

STEPS, BATCH, SHAPE = 50, 8, (4, 16, 16)
LIMIT_MS = 200


def made_up_run() -> Trace:
    """A run of random vectors: every number of a record, of no model."""
    draws = torch.Generator().manual_seed(0)
    accumulator, levels = Accumulator(Setting(), Capture("numbers")), [20 * 0.87**i for i in range(STEPS)] + [0.0]

    def drawn() -> torch.Tensor:
        return torch.randn(BATCH, *SHAPE, generator=draws)

    x = levels[0] * drawn()
    for i in range(STEPS):
        u, c = drawn(), drawn()
        guided, kappa = u + 4 * (c - u), 1 - levels[i + 1] / levels[i]
        move = kappa * (guided - x)
        accumulator.enter(Recorded(i, x, levels[i], levels[i + 1], Evaluation(guided, u, c, 4.0, 2), move, None, 2))
        x = x + move
    facts = {"run": "made up", "space": "ve", "vectors": list(VECTORS), "cfg": 4.0, "sigma_data": 1.0, "chain": "CFG"}
    header = {**facts, "latent": {"shape": list(SHAPE)}}
    return Trace(header, accumulator.columns(), accumulator.stage)


def main() -> int:
    """Measure, print, and fail when the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    trace = made_up_run()
    report_of(trace).as_json()
    found = 1000 * statistics.median(seconds(lambda: report_of(trace).as_json()) for _ in range(options.times))
    run = f"{STEPS} steps and {BATCH} samples"
    print(f"report on {run}: {found:.0f} ms (median of {options.times}, limit {LIMIT_MS} ms)")
    return int(found > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
