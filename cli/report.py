"""The report on a saved trace, as text or JSON: `guidance-geometry report TRACE`.

Needs no ComfyUI. The run is compared with the card of its model, where one is included or given, and with picks where
they are given. Every field: https://github.com/guidance-geometry/comfyui-guidance-geometry/blob/main/docs/verdict-card.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..trace.file import load
from ..verdict.card import read_card
from ..verdict.known import knowledge_without_host
from ..verdict.picks import read_picks
from ..verdict.report import report_of
from ..verdict.sentences import LANGUAGES


def main(words: Sequence[str] | None = None) -> int:
    """Print the report; 1 for a file that cannot be read."""
    parser = argparse.ArgumentParser("guidance-geometry report", description=__doc__)
    parser.add_argument("trace", type=Path, help="a file that Save Trace wrote")
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts and agents")
    parser.add_argument("--half", type=Path, metavar="TRACE", help="a run at half the cfg, same seed")
    parser.add_argument("--card", type=Path, metavar="FILE", help="the model's card")
    parser.add_argument("--picks", type=Path, metavar="FILE", help="what was chosen of this model")
    parser.add_argument("--language", choices=LANGUAGES, default=LANGUAGES[0])
    options = parser.parse_args(words)
    try:
        trace = load(options.trace)
        picks = read_picks(options.picks) if options.picks else None
        card = read_card(options.card) if options.card else None
        knowledge = knowledge_without_host(trace.header.get("model") or {}, card, picks)
        report = report_of(trace, knowledge, load(options.half) if options.half else None)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    text = report.text(options.language)
    print(json.dumps(report.as_json(), indent=1, ensure_ascii=False) if options.json else text)
    return 0
