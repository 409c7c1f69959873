"""The command `card`: the good scales of a model, from a study of it with a judge."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ..files.claims import guard
from ..sweeps.addresses import place_at
from ..sweeps.axes import is_chance, is_seed, value_at, word_of
from ..sweeps.cells import pack_version
from ..sweeps.measures import JUDGE
from ..sweeps.results import GIVE_A_SWEEP, RESULTS, Folder, read_results
from ..sweeps.summary import trace_at
from ..trace.trace import Trace, model_key
from ..verdict.card import FEATURES, write_card
from ..verdict.features import features_of
from ..verdict.good_scales import SLACK, good_scales
from ..verdict.sampler_class import sampler_class
from .options import parse

FEWEST = 3  # scales
NO_JUDGE = "its cells have no judge's score. Run the sweep with an energy in the workflow, or with --judge NODE"
NO_SIZE = "the size of clean data is not in its traces. Add --sigma-data, the rms of clean latents of the model"


@dataclass(frozen=True)
class Scored:
    """One cell.  score: mean log-probability of the judge."""

    cfg: float
    seed: int
    score: float
    id: str


def main(words: Sequence[str] | None = None) -> int:
    """Write the card; 1 where the study does not tell.  words: of the command line, None for its own"""
    args = parse("card", words)
    try:
        claims = claims_of(Folder(place_at(args.study), any_measure=True), args.sigma_data)
        target = args.output or Path(f"{Path(claims['model']['name']).stem}.guidance.json")
        write_card(claims, target)
    except (OSError, ValueError) as error:
        print(f"{args.study}: {error}" if isinstance(error, ValueError) else error, file=sys.stderr)
        return 1
    for name, band in claims["bands"].items():
        print(f"{name}: cfg {band['low']:g} to {band['high']:g}, centre {band['centre']:g}")
    print(target)
    return 0


@guard(RESULTS, "a row", GIVE_A_SWEEP)
def claims_of(folder: Folder, sigma_data: float | None = None) -> dict[str, Any]:
    """The card of the model that a study ran.  Raises ValueError that says what the study lacks."""
    cells = scored_cells(folder)
    trace = trace_at(folder, cells[0].id)
    model = trace.header.get("model") or {}
    key, size = model_key(model), sigma_data or trace.header.get("sigma_data")
    if not key:
        raise ValueError("its traces name no file of weights, so a card could not be told from others.")
    if not size:
        raise ValueError(f"{NO_SIZE}.")
    return {
        "format": "guidance-geometry/card",
        "version": 1,
        "model": {"name": str(model.get("file") or key), "sha256": key},
        "sigma_data": {"value": float(size), "source": "data" if sigma_data else "latent format"},
        "bands": {sampler_class(trace): band_claims(folder, cells, trace, size)},
        "judge": JUDGE,
        "date": date.today().isoformat(),
        "pack": pack_version(),
        "command": "guidance-geometry card",
    }


def scored_cells(folder: Folder) -> list[Scored]:
    """The cells of a study that the judge scored.  Raises ValueError where another setting than cfg varies too."""
    _, rows = read_results(folder.path)
    varied = {name for row in rows for name, value in row["place"].items() if value != rows[0]["place"].get(name)}
    if others := sorted(name for name in varied if word_of(name) != "cfg" and not is_chance(name)):
        raise ValueError(f"{', '.join(others)} varies too. Give a sweep over cfg and seeds alone.")
    judged = [row for row in rows if row["measures"].get(JUDGE) is not None]
    if not judged:
        raise ValueError(f"{NO_JUDGE}.")
    cfgs = [value_at(row["place"], "cfg") for row in judged]
    if not all(isinstance(cfg, int | float) for cfg in cfgs):
        raise ValueError("its results are not of a sweep over cfg. Give the folder of one.")
    seeds = [next((value for name, value in row["place"].items() if is_seed(name)), 0) for row in judged]
    return [
        Scored(float(cfg), int(seed), row["measures"][JUDGE], row["id"])
        for row, cfg, seed in zip(judged, cfgs, seeds, strict=True)
    ]


def band_claims(folder: Folder, cells: Sequence[Scored], trace: Trace, size: float) -> dict[str, Any]:
    """The good scales of one class of samplers."""
    scores = {
        cfg: [one.score for one in cells if one.cfg == cfg] for cfg in sorted({one.cfg for one in cells if one.cfg > 0})
    }
    if len(scores) < FEWEST:
        raise ValueError(f"it has {len(scores)} scales, and a card needs {FEWEST} or more. Add values of cfg.")
    means = {cfg: fmean(values) for cfg, values in scores.items()}
    best = max(means.values())
    costs = [math.exp(best - mean) for mean in means.values()]
    band = good_scales(list(means), costs)
    if costs[-1] <= SLACK or (costs[0] <= SLACK and min(means) > 1):  # below 1 there is nothing to try
        raise ValueError(
            f"cfg {band.low:g} to {band.high:g} are all good, and scales beyond may be too. "
            "Sweep lower and higher values of cfg, until the judge's score falls on both sides."
        )
    header = trace.header
    return {
        "low": band.low,
        "centre": band.centre,
        "high": band.high,
        "sampler": header.get("sampler"),
        "scheduler": header.get("scheduler"),
        "steps": trace.n,
        "seeds": sorted({one.seed for one in cells}),
        "samples": trace.batch,
        "objective": {
            "name": "mean log-probability of the judge",
            "points": [
                {"gamma": cfg, "value": fmean(values), "error": error_of(values)} for cfg, values in scores.items()
            ],
        },
        "edges": {
            "low": edge(folder, cells, band.low, size),
            "high": edge(folder, cells, band.high, size),
        },
    }


def error_of(scores: Sequence[float]) -> float:
    """Standard error of a mean; 0 of one score, which does not tell it."""
    return stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else 0.0


def edge(folder: Folder, cells: Sequence[Scored], scale: float, size: float) -> dict[str, float]:
    """What runs look like at the tried scale that is nearest to an edge, in ln cfg."""
    nearest = min((one.cfg for one in cells), key=lambda cfg: abs(math.log(cfg / scale)) if cfg > 0 else math.inf)
    features = [features_of(trace_at(folder, one.id), size) for one in cells if one.cfg == nearest]
    means = {name: fmean(getattr(one, name) for one in features) for name in FEATURES}
    return {name: value for name, value in means.items() if math.isfinite(value)}
