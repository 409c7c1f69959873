"""The command `arena`: rules held against plain guidance where it is known how good their samples are."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from ..library.arena.entrants import read_entrants
from ..library.arena.run import QUICK, RESULT, TABLE, USUAL, Size, choose_worlds, refuse_missing_packages, run_arena
from ..library.arena.table import KEY, overview
from .check import prepare_rule
from .options import parse


def main(words: Sequence[str] | None = None) -> int:
    """Run what is missing, and write the result; 2 for words that are wrong, before any work."""
    args = parse("arena", words)
    size = QUICK if args.quick else USUAL
    size = Size(args.seeds or size.seeds, size.trials if args.trials is None else args.trials)
    try:
        refuse_missing_packages(size)
        entrants = read_entrants(args.rules, prepare_rule)
        places = choose_worlds([name.strip() for name in args.worlds.split(",") if name.strip()])
        args.output.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError, ImportError) as error:
        print(error, file=sys.stderr)
        return 2
    torch.set_num_threads(1)  # two commands on one folder share the work, by worlds or by rules
    try:
        result = run_arena(entrants, places, args.output, size, lambda line: print(line, flush=True))
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{overview(result)}\n\n{KEY}\n{args.output / RESULT}, {args.output / TABLE}")
    return 0
