"""Measure how often the verdict errs: in exact worlds, in the demo models, and in every world left out.

    python3 dev.py verdict                 everything: hours on two cores; a run that was stopped goes on
    python3 dev.py verdict --quick         a look at two exact worlds and Pocket, in a minute
    python3 dev.py verdict --worlds exact  only the exact ones (minutes); or names of worlds
    python3 dev.py verdict --stage odds    from the cells that are there; --write keeps them in trace/ and docs/

The sisters of Pocket are fine-tunes of it, on labels of which none (and 15 %) are wrong:
`python tools/run.py train_demo --stage denoiser export --start assets/denoisers/pocket-1.safetensors --steps 1500
--wrong 0 --out CACHE/pocket-wrong-0`, and the same with 0.15.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ...trace.portable import jsonable
from ..places import ROOT
from .card import CARDED, FULL, measure_all
from .cells import CACHE, Cell, Plan
from .evidence import Setting, real_statistics, settings_of
from .odds import FALSE, SAME, coverage_of, false_of, worlds_together
from .page import PAGE, Study, page_of
from .runs import SAMPLERS
from .worlds import World, exact_worlds, trained_worlds

ODDS = ROOT / "trace" / "odds.json"
ALL = list(SAMPLERS)
SPECTRAL = 480  # samples of the world of 3072 dimensions: eight of each of its 60 labels
EXACT = Plan(("A", "B", "C"), count=1000)
SISTER = Plan(("A", "C"), count=400)
BESIDE = Plan(("D", "F", "A-rescale", "A-apg"), count=400)  # of a model with a card: what the card leaves out
QUICK = {"mixture-2": Plan(("A",), (0,), 60), "mixture-32": Plan(("A",), (0,), 60)}
QUICK |= {"pocket-1": Plan(("A",), (0, 1), 40, (2.0, 4.0, 8.0))}


def worlds_of(options: argparse.Namespace) -> dict[str, World]:
    """The worlds that were asked for."""
    everything = exact_worlds() | trained_worlds(options.cache)
    if options.quick:
        return {name: everything[name] for name in QUICK}
    kinds = {
        "all": lambda world: True,
        "exact": lambda world: not world.trained,
        "trained": lambda world: world.trained,
    }
    chosen = [
        name for name, world in everything.items() if any(_fits(name, world, one, kinds) for one in options.worlds)
    ]
    return {name: everything[name] for name in chosen}


def _fits(name: str, world: World, asked: str, kinds: dict) -> bool:
    return kinds[asked](world) if asked in kinds else name == asked


def plans_of(world: World, options: argparse.Namespace) -> list[Plan]:
    """What is measured of a world; the cells of a card are not measured twice."""
    if options.quick:
        return [QUICK[world.name]]
    if not world.trained:
        return [replace(EXACT, count=SPECTRAL) if world.name == "spectral" else EXACT]
    return [FULL, BESIDE] if world.name in CARDED else [SISTER]


def cells_of(options: argparse.Namespace) -> list[Cell]:
    """Every cell, cheap worlds first; of each world the usual sampler first."""
    worlds = worlds_of(options).values()
    plans = [(world, plan) for world in worlds for plan in plans_of(world, options)]
    return [cell for world, plan in plans for cell in asked(plan, options).cells(world, options.cache)]


def asked(plan: Plan, options: argparse.Namespace) -> Plan:
    """A plan, cut to the samplers and samples of the command line."""
    samplers = tuple(key for key in plan.samplers if key in options.samplers)
    return replace(plan, samplers=samplers, count=options.samples or plan.count)


def odds_json(study: Study, command: str) -> dict:
    """trace/odds.json."""
    (sure, likely, found), (beyond, ratio), rules = study.alarm, study.promised, study.rules
    known = bool(study.known)
    return {
        "command": command,
        "source": f"{', '.join(found)}; {len(study.settings)} combinations of a world, a sampler and rules",
        "burn": {
            "sure": round(sure, 2),
            "likely": round(likely, 2),
            "false": round(max(one.left_out for one in found.values()), 3),
            "hits": [{"times": t, "share": round(hit, 3)} for t, hit in worlds_together(found, study.settings).items()],
        },
        "card": {
            "beyond": beyond,
            "false": round(false_of(study.known, beyond), 3) if known else FALSE,
            "coverage": round(coverage_of(study.known, ratio), 3) if known else math.nan,
            "ratio": ratio,
        },
        "rules": {
            "further": rules.further,
            "false": round(rules.false, 3) if rules.found else FALSE,
            "missed": round(rules.missed, 3) if rules.found else 1.0,
        },
        "half": {"same": SAME, "changed": round(study.half.changed, 4)},
    }


def write(settings: Sequence[Setting], options: argparse.Namespace) -> None:
    """Print the odds; keep them in the pack where everything was measured, else beside the cells."""
    if options.write and not (
        {one.trained for one in settings} == {True, False} and any(one.rules for one in settings)
    ):
        raise SystemExit(
            "Odds are written from exact and trained worlds together, with rules. Measure them, or leave --write out."
        )
    command, own = command_of(options), options.write
    path, text = (ODDS, PAGE) if own else (options.cache / "odds.json", options.cache / "verdict.md")
    study = Study(settings, worlds_of(options))
    page = page_of(study, command, text.parent / "figures")
    written = json.dumps(jsonable(odds_json(study, command)), indent=1, allow_nan=False)
    path.write_text(written + "\n", encoding="utf-8")
    text.write_text(page, encoding="utf-8")
    print(written, f"wrote {path} and {text}", sep="\n")


def command_of(options: argparse.Namespace) -> str:
    """What to type for the same page."""
    some = "" if options.samplers == ALL else f" --samplers {' '.join(options.samplers)}"
    return f"python3 dev.py verdict{' --quick' if options.quick else some}"


def parsed_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure how often the verdict errs.")
    parser.add_argument("--stage", choices=("all", "cells", "odds"), default="all")
    parser.add_argument("--quick", action="store_true", help="a look, in a minute")
    parser.add_argument("--worlds", nargs="+", default=["all"], help="all, exact, trained, or names")
    parser.add_argument("--samplers", nargs="+", default=ALL, choices=ALL)
    parser.add_argument("--samples", type=int, help="a cell; 1,000 of exact worlds, 500 of cards, 400 of the others")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder where cells are kept")
    parser.add_argument("--write", action="store_true", help="write trace/odds.json and docs/verdict.md")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the stages that were asked for."""
    options = parsed_options()
    torch.set_num_threads(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    cells = cells_of(options)
    if options.stage != "odds":
        measure_all(cells)
    if options.stage != "cells":
        write(settings_of(cells, real_statistics()), options)


if __name__ == "__main__":
    main()
