"""The report of a study again, from what its folder holds: `python3 dev.py study plan.yaml --report`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..sweeps.addresses import Place, place_at
from ..sweeps.plan import plan_of
from ..sweeps.report import report_text
from .places import ROOT


def main() -> int:
    """Print it; nothing runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--output", help="folder or address of the study; default: output/<name of the plan>")
    args = parser.parse_args()
    try:
        folder = place_at(args.output) if args.output else ROOT / "output" / args.plan.stem
        print(report_of(folder), end="")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def report_of(folder: Place) -> str:
    """The report of what a folder holds.  Raises ValueError where that is no study."""
    try:
        told = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        return report_text(told["rows"], plan_of(told["plan"]).varied)
    except OSError as error:
        raise ValueError(f"{folder} holds no results.json. Run the study first, or give its --output.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / 'results.json'} is not of a study. Give the folder of one.") from error


if __name__ == "__main__":
    sys.exit(main())
