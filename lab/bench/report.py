"""How long the report on a run takes: 50 steps and 8 samples, without pictures; median of several, limit 200 ms."""

from __future__ import annotations

import argparse
import statistics
import sys

from ...dev.fixtures.made_up_trace import BATCH, STEPS, made_up_trace
from ...dev.fixtures.timing import seconds
from ...verdict.report import report_of

LIMIT_MS = 200


def main() -> int:
    """Measure, print, and fail when the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    trace = made_up_trace()
    report_of(trace).as_json()
    found = 1000 * statistics.median(seconds(lambda: report_of(trace).as_json()) for _ in range(options.times))
    run = f"{STEPS} steps and {BATCH} samples"
    print(f"report on {run}: {found:.0f} ms (median of {options.times}, limit {LIMIT_MS} ms)")
    return int(found > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
