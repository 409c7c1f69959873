"""The command `report`: what a saved trace tells of its cfg, as text or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from ..files.claims import guard
from ..trace.file import DAMAGED, load
from ..verdict.known import knowledge_without_host
from ..verdict.measured import read_curves
from ..verdict.picks import read_picks
from ..verdict.report import report_of
from .options import parse


def main(words: Sequence[str] | None = None) -> int:
    """Print the report; 1 for a file that cannot be read."""
    options = parse("report", words)
    try:
        trace = load(options.trace)
        picks = read_picks(options.picks) if options.picks else None
        curves = read_curves(options.measured) if options.measured else None
        knowledge = knowledge_without_host(trace.header.get("model") or {}, curves, picks)
        with guard(options.trace.name, "its numbers", DAMAGED):
            report = report_of(trace, knowledge, load(options.half) if options.half else None)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    text = report.text(options.language)
    print(json.dumps(report.as_json(), indent=1, ensure_ascii=False) if options.json else text)
    return 0
