"""Fuzz the pack on a running host: spoiled prompts, hostile headers, hostile model files. A seed gives the same cases.

Prints how many were refused, ran, ended in a clear error or in a fault; every new fault is made small and kept as a
file that `--replay` tries again. Fails when there is a fault: a raw error of this pack, a worker that died, more than
2 GB of memory, more than 60 s, or code of a file that was run. `--write` keeps the table in docs/performance.md.
`--answers N` runs N sweeps on a server that answers as no ComfyUI does, and nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from ...dev.provision import CACHE
from .. import markdown
from ..command_line import parser_of
from .answers import print_fuzz
from .campaign import Campaign
from .cases import Case, Stock, read_case
from .catalogue import catalogue_of
from .chains import chain_graph
from .equipment import equip, record
from .graphs import seeds
from .headers import header_case
from .model_files import model_case
from .mutations import spoil
from .report import report_text, write
from .verdicts import Judge
from .watched import Limits, watch_host

KINDS: tuple[str, ...] = ("prompt", "header", "model file")
CHAINS = 0.4  # of the prompts
SAY = 15.0  # seconds between two lines of progress


def prompt_case(rng: Random, stock: Stock) -> Case:
    """A spoiled seed, or a random chain of rules that is spoiled now and then."""
    catalogue = stock.catalogue
    if rng.random() < CHAINS:
        rules, graph = chain_graph(rng, catalogue)
        names, edits = spoil(rng, graph, catalogue, most=1) if rng.random() < 0.2 else ([], [])
        return Case("prompt", f"{' > '.join(rules)}: {', '.join(names)}", graph, edits)
    name, graph = rng.choice(list(stock.graphs.items()))
    names, edits = spoil(rng, graph, catalogue)
    return Case("prompt", f"{name}: {', '.join(names)}", graph, edits)


MAKERS: dict[str, Callable[..., Case]] = dict(zip(KINDS, (prompt_case, header_case, model_case), strict=True))


def cases(seed: int, counts: dict[str, int], stock: Stock) -> Iterator[Case]:
    """So many cases of every kind, mixed, each from a random source of its own."""
    order = [(kind, number) for kind in KINDS for number in range(counts[kind])]
    Random(seed).shuffle(order)
    for kind, number in order:
        yield MAKERS[kind](Random(f"{seed} {kind} {number}"), stock)


@contextmanager
def campaign_on(host: Path, keep: Path, limits: Limits) -> Iterator[Campaign]:
    """A campaign on a host of its own, with everything in its folders that the cases read."""
    place = tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True)
    with place as name, watch_host(Path(name), host, limits) as live:
        folder, pack = Path(name), live.pack
        equip(folder)
        record(folder, live, catalogue_of(live.get("/object_info"), pack))
        catalogue = catalogue_of(live.get("/object_info"), pack)  # now with the names of the files
        judge = Judge(folder / "custom_nodes" / pack, lambda name: name in catalogue and catalogue[name].ours, limits)
        yield Campaign(live, judge, catalogue, keep, lambda text: print(text, flush=True))


def fuzz(campaign: Campaign, seed: int, counts: dict[str, int], minutes: float | None) -> None:
    """Try all cases, or as many as there is time for."""
    began = spoke = time.monotonic()
    stock = Stock(campaign.catalogue, campaign.host.place, seeds(campaign.catalogue))
    for number, case in enumerate(cases(seed, counts, stock)):
        if minutes is not None and time.monotonic() - began > 60 * minutes:
            break
        campaign.try_case(case)
        if time.monotonic() - spoke > SAY:
            spoke = time.monotonic()
            campaign.say(
                f"  ... {spoke - began:.0f} s: {number + 1} of {sum(counts.values())}, {len(campaign.faults)} faults"
            )


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__, markdown.PERFORMANCE)
    parser.add_argument("--minutes", type=float, help="stop after this time, with the kinds mixed")
    parser.add_argument("--prompts", type=int, default=5000)
    parser.add_argument("--headers", type=int, default=1000)
    parser.add_argument("--model-files", type=int, default=300)
    parser.add_argument("--answers", type=int, default=0, metavar="N", help="sweeps on a hostile server, and no more")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try one kept case again")
    parser.add_argument("--keep", type=Path, default=CACHE / "fuzz", help="where cases are kept (.cache/fuzz)")
    return parser.parse_args()


def main() -> int:
    """Fuzz, or replay one case; 1 where there is a fault."""
    options = arguments()
    if options.answers:
        return print_fuzz(options.answers, options.seed)
    with campaign_on(options.host.resolve(), options.keep.resolve(), Limits()) as campaign:
        if options.replay:
            verdict = campaign.verdict_of(read_case(options.replay))
            print(f"{verdict.kind}: {verdict.message}\n    at {verdict.place}")
            return int(verdict.is_fault)
        counts: dict[str, int] = dict(zip(KINDS, (options.prompts, options.headers, options.model_files), strict=True))
        fuzz(campaign, options.seed, counts, options.minutes)
    print(report_text(campaign))
    if options.write:
        write(campaign, options.seed, options.minutes)
    return int(bool(campaign.faults))


if __name__ == "__main__":
    sys.exit(main())
