"""The card of a demo model: its good scales for every class of samplers, with error bars, and what runs there are.

    python lab card pocket-1            full: 2,000 samples a scale, in four seeds (an hour)
    python lab card pocket-1 --quick    a look: 40 samples, one sampler, in a minute; written to the cache only

Cells that were measured before are read from the cache, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...dev.places import ROOT, address_of, pack_version
from ...verdict.card import FEATURES, write_card
from .cells import CACHE, Cell, Plan
from .evidence import Setting, real_statistics, setting_of
from .objectives import join_samples, resample
from .runs import SAMPLERS
from .worlds import Flow, Pocket, trained_worlds

FULL = Plan(samplers=("A", "B", "C"), seeds=(0, 1, 2, 3), count=500)
QUICK = Plan(samplers=("A",), seeds=(0,), count=40, gammas=(1.5, 3.0, 6.0))
PLAIN = tuple(key for key, sampler in SAMPLERS.items() if sampler.chain.is_cfg)
DRAWS = 50  # resamples behind an error bar
JUDGE = "pocket-judge-1"
CARDED = ("pocket-1", "pocket-flow-1")  # the models whose cards the pack ships


@dataclass(frozen=True)
class Making:
    """What a card is made from."""

    world: Pocket
    plan: Plan
    settings: Sequence[Setting]


def make(world: Pocket, plan: Plan, cache: Path) -> Making:
    """Measure whatever is missing."""
    cells, real = plan.cells(world, cache), real_statistics()
    measure_all(cells)
    parts = [[cell for cell in cells if cell.sampler.key == key] for key in plan.samplers]
    return Making(world, plan, [setting_of(part, real) for part in parts])


def measure_all(cells: Sequence[Cell]) -> None:
    """Measure the cells that nobody did, and say how far that is."""
    missing = [cell for cell in cells if not cell.path.exists()]
    for place, cell in enumerate(missing, start=1):
        cell.measure()
        print(f"cell {place} of {len(missing)}: {cell.world.name} {cell.path.stem}", flush=True)


def claims(made: Making, command: str) -> dict[str, Any]:
    """The card, as docs/verdict-card.md describes it."""
    world = made.world
    return {
        "format": "guidance-geometry/card",
        "version": 1,
        "model": {"name": world.name, "sha256": hashlib.sha256(world.path.read_bytes()).hexdigest()},
        "sigma_data": {"value": world.sigma_data, "source": "latent format" if isinstance(world, Flow) else "data"},
        "bands": {setting.group: band_claims(setting, made.plan) for setting in made.settings},
        "judge": JUDGE,
        "date": date.today().isoformat(),
        "pack": pack_version(),
        "command": command,
    }


def band_claims(setting: Setting, plan: Plan) -> dict[str, Any]:
    """One class of samplers."""
    sampler, band = SAMPLERS[setting.sampler], setting.band
    return {
        "low": round_digits(band.low),
        "centre": round_digits(band.centre),
        "high": round_digits(band.high),
        "sampler": sampler.name,
        "scheduler": "simple" if setting.flow else sampler.scheduler,
        "steps": sampler.steps,
        "seeds": list(plan.seeds),
        "samples": plan.count,
        "objective": {"name": "L", "points": points(setting)},
        "edges": {"low": edge(setting, band.low), "high": edge(setting, band.high)},
    }


def points(setting: Setting) -> list[dict[str, float]]:
    """L of every scale with its error bar, and what it is made of."""
    spread = resample([join_samples(seeds) for seeds in setting.cells], real_statistics(), DRAWS).std(axis=0)
    rows = zip(setting.gammas, np.log(setting.values), spread, setting.rows, strict=True)
    return [
        {
            "gamma": gamma,
            "value": round_digits(value),
            "error": round_digits(error),
            **{k: round_digits(v, 4) for k, v in row.items()},
        }
        for gamma, value, error, row in rows
    ]


def edge(setting: Setting, gamma: float) -> dict[str, float]:
    """What runs of one sample look like at an end of the band."""
    found = setting.features_at(gamma)
    return {name: round_digits(found[name], 4) for name in FEATURES}


def round_digits(value: float, digits: int = 3) -> float:
    """To so many significant digits."""
    return float(f"{float(value):.{digits}g}")


def table_of(card: Mapping[str, Any]) -> str:
    """The bands as lines."""
    lines = [f"{key}: {band['low']} to {band['high']}, centre {band['centre']}" for key, band in card["bands"].items()]
    return "\n".join(lines)


def parsed_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure the card of a demo model.")
    parser.add_argument("model", help="pocket-1, or a model that was trained into the cache")
    parser.add_argument("--quick", action="store_true", help="a look, written to the cache")
    parser.add_argument("--samples", type=int, help=f"a scale and seed; {FULL.count:,}")
    parser.add_argument("--samplers", nargs="+", choices=PLAIN, help=f"one of each class; {' '.join(FULL.samplers)}")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder where cells are kept")
    parser.add_argument("--out", type=Path, help="file to write; the pack's own if it is full")
    return parser.parse_args(arguments)


def plan_of(options: argparse.Namespace) -> Plan:
    """What to measure."""
    usual = QUICK if options.quick else FULL
    return Plan(
        samplers=tuple(options.samplers or usual.samplers),
        seeds=usual.seeds,
        count=options.samples or usual.count,
        gammas=usual.gammas,
    )


def main() -> None:
    """Measure and write."""
    options = parsed_options()
    torch.set_num_threads(1)
    worlds, plan = trained_worlds(options.cache), plan_of(options)
    if options.model not in worlds:
        raise SystemExit(f"No model is called {options.model!r}. Choose one of {', '.join(worlds)}.")
    if len({SAMPLERS[key].group for key in plan.samplers}) < len(plan.samplers):
        raise SystemExit("Two of these samplers are of one class, and a card has one band for each. Leave one out.")
    command = f"{address_of(Path(__file__))} {options.model}" + ("" if plan == FULL else f" --samples {plan.count}")
    card = claims(make(worlds[options.model], plan, options.cache), command)
    own = plan == FULL and options.model in CARDED
    folder = ROOT / "assets" / "denoisers" if own else options.cache / "cards"
    path = options.out or folder / f"{options.model}.guidance.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_card(card, path)
    print(f"{table_of(card)}\nwrote {path}")


if __name__ == "__main__":
    main()
