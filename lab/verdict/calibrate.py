"""Measure how often the verdict errs: in exact worlds, in the demo models, and in every world left out.

    python lab calibrate                 everything: hours on two cores; a run that was stopped goes on
    python lab calibrate --quick         a look at two exact worlds and Pocket, in a minute
    python lab calibrate --worlds exact  only the exact ones (minutes); or names of worlds
    python lab calibrate --stage odds    from the cells that are there; --write keeps them in trace/ and docs/
    python lab calibrate --stage alarm   the alarm of burning alone, with the good scales of the page: an hour

The sisters of Pocket are fine-tunes of it, on labels of which none (and 15 %) are wrong:
`python lab train_demo --stage denoiser export --start assets/denoisers/pocket-1.safetensors --steps 1500
--wrong 0 --out CACHE/pocket-wrong-0`, and the same with 0.15.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ...dev.places import ROOT, address_of
from ...dev.provision import unpack
from ...trace.portable import jsonable
from ..markdown import put_section, section_in
from . import alarm
from .card import CARDED, FULL, measure_all
from .cells import CACHE, Cell, Plan
from .evidence import Setting, real_statistics, settings_of
from .galaxies import WHEEL, galaxy_worlds
from .odds import FALSE, coverage_of, false_of
from .page import HALF, PAGE, Study, page_of
from .runs import SAMPLERS
from .unseen import made_worlds
from .worlds import World, exact_worlds, trained_worlds

ODDS = ROOT / "verdict" / "odds.json"
ALL = list(SAMPLERS)
SPECTRAL = 480  # samples of the world of 3072 dimensions: eight of each of its 60 labels
EXACT = Plan(("A", "B", "C"), count=1000)
SISTER = Plan(("A", "C"), count=400)
BESIDE = Plan(("D", "F", "A-rescale", "A-apg"), count=400)  # of a model with a card: what the card leaves out
QUICK = {"mixture-2": Plan(("A",), (0,), 60), "mixture-32": Plan(("A",), (0,), 60)}
QUICK |= {"pocket-1": Plan(("A",), (0, 1), 40, (2.0, 4.0, 8.0))}


def worlds_of(options: argparse.Namespace) -> dict[str, World]:
    """The worlds that were asked for."""
    everything: dict[str, World] = {**exact_worlds(), **trained_worlds(options.cache)}
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
    return [cell for world, plan in plans for cell in cut_plan(plan, options).cells(world, options.cache)]


def cut_plan(plan: Plan, options: argparse.Namespace) -> Plan:
    """A plan, cut to the samplers and samples of the command line."""
    samplers = tuple(key for key in plan.samplers if key in options.samplers)
    return replace(plan, samplers=samplers, count=options.samples or plan.count)


def alarm_cells(options: argparse.Namespace) -> list[Cell]:
    """The cells of the alarm, and of worlds that set no threshold; of a quick look those that it has."""
    if options.quick:
        return cells_of(options)
    everything = [
        *worlds_of(options).values(),
        *made_worlds().values(),
        *galaxy_worlds(galaxies_in(options.cache)).values(),
    ]
    return [cell for world in everything for cell in alarm.plan_of(world).cells(world, options.cache)]


def galaxies_in(cache: Path) -> Path:
    """Folder of the galaxies' weights, fetched once; the package itself is not installed."""
    advice = f"check the network, or unpack the folder galaxygrad of {WHEEL.package} into {cache}"
    return unpack(Path(sys.executable), WHEEL, cache / "galaxygrad", advice)


def odds_json(study: Study, command: str, before: dict) -> dict:
    """verdict/odds.json.  before: as it is, of which two parts are measured by themselves"""
    (beyond, ratio), rules = study.card_limits, study.rules
    known = bool(study.own_cards)
    worlds = dict.fromkeys(one.world for one in study.settings)
    return {
        "command": command,
        "source": f"{', '.join(worlds)}; {len(study.settings)} combinations of a world, a sampler and rules",
        "burn": before["burn"],
        "card": {
            "beyond": beyond,
            "false": round(false_of(study.own_cards, beyond), 3) if known else FALSE,
            "coverage": round(coverage_of(study.own_cards, ratio), 3) if known else math.nan,
            "ratio": ratio,
        },
        "rules": {
            "further": rules.further,
            "false": round(rules.false, 3) if rules.cases else FALSE,
            "missed": round(rules.miss_rate, 3) if rules.cases else 1.0,
        },
        "half": before["half"],
    }


def write(settings: Sequence[Setting], options: argparse.Namespace) -> None:
    """Print the odds; keep them in the pack where everything was measured, else beside the cells."""
    refuse_a_part(settings, options)
    command, (path, text) = command_of(options), places_of(options)
    study = Study(settings, worlds_of(options))
    before = json.loads((path if path.exists() else ODDS).read_text(encoding="utf-8"))
    page = page_of(study, command, text.parent / "figures", *(section_in(text, one) for one in (alarm.HEADING, HALF)))
    text.write_text(page, encoding="utf-8")
    keep(odds_json(study, on_the_web(command), before), path)


def write_alarm(cells: Sequence[Cell], options: argparse.Namespace) -> None:
    """Put the alarm into the page and the odds; the good scales are the page's own."""
    path, text = places_of(options)
    for own, published in ((path, ODDS), (text, PAGE)):
        if not own.exists():
            own.write_bytes(published.read_bytes())
    found = alarm.Alarm.of(cells, alarm.bands_in(text.read_text(encoding="utf-8")))
    refuse_a_part(found.own_settings, options)
    command = command_of(options) + ("" if options.quick else " --stage alarm")
    put_section(text, alarm.HEADING, *found.blocks(command, text.parent / "figures"))
    keep(json.loads(path.read_text(encoding="utf-8")) | {"burn": found.odds(on_the_web(command))}, path)


def refuse_a_part(settings: Sequence[Setting], options: argparse.Namespace) -> None:
    """What the pack ships is of exact and trained worlds together, with rules."""
    kinds, ruled = {one.trained for one in settings}, any(one.rules for one in settings)
    if options.write and not (kinds == {True, False} and ruled):
        raise SystemExit(
            "Odds are written from exact and trained worlds together, with rules. Measure them, or leave --write out."
        )


def places_of(options: argparse.Namespace) -> tuple[Path, Path]:
    """Files of the odds and of the page."""
    return (ODDS, PAGE) if options.write else (options.cache / "odds.json", options.cache / "verdict.md")


def keep(odds: dict, path: Path) -> None:
    """Write the odds, and print them."""
    written = json.dumps(jsonable(odds), indent=1, allow_nan=False)
    path.write_text(written + "\n", encoding="utf-8")
    print(written, f"wrote {path}", sep="\n")


def command_of(options: argparse.Namespace) -> str:
    """What to type for the same page."""
    some = "" if options.samplers == ALL else f" --samplers {' '.join(options.samplers)}"
    return f"python lab calibrate{' --quick' if options.quick else some}"


def on_the_web(command: str) -> str:
    """The same for people who have the pack alone: where the program is."""
    return command.replace("python lab calibrate", address_of(Path(__file__)))


def parsed_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure how often the verdict errs.")
    parser.add_argument("--stage", choices=("all", "cells", "odds", "alarm"), default="all")
    parser.add_argument("--quick", action="store_true", help="a look, in a minute")
    parser.add_argument("--worlds", nargs="+", default=["all"], help="all, exact, trained, or names")
    parser.add_argument("--samplers", nargs="+", default=ALL, choices=ALL)
    parser.add_argument("--samples", type=int, help="a cell; 1,000 of exact worlds, 500 of cards, 400 of the others")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder where cells are kept")
    parser.add_argument("--write", action="store_true", help="write verdict/odds.json and docs/verdict.md")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the stages that were asked for."""
    options = parsed_options()
    torch.set_num_threads(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    if options.stage != "alarm":
        cells = cells_of(options)
        if options.stage != "odds":
            measure_all(cells)
        if options.stage != "cells":
            write(settings_of(cells, real_statistics()), options)
    if options.stage != "odds":
        cells = alarm_cells(options)
        measure_all(cells)
        if options.stage != "cells":
            write_alarm(cells, options)


if __name__ == "__main__":
    main()
