"""How often the verdict errs: every threshold and rate of trace/odds.json, from the cells alone.

**Alarm of burning.** A posterior mean is never longer than the data, so guided predictions that are many times as long
as the final picture are a fault in any world. `sure` is the smallest threshold on overmax that at most 5 % of the fine
runs of every world exceed; `likely` the one that at most 5 % exceed in the middle of all worlds. Left out: with the
threshold of the other worlds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .evidence import Run, Setting, by_world, quantile, share
from .objectives import Band, band_of, objective_j, seen_of

FALSE = 0.05
TIMES = (2.0, 3.0, 4.0, 6.0)
NEAR = 1.25  # times such a multiple, either way
RATIO = 1.6
SAME = 0.4


@dataclass(frozen=True)
class WorldOdds:
    """Of one world, at one size of batch.

    limit: 95 % of its fine runs are below. false: share of its fine runs above the threshold of all worlds. left_out:
    above the threshold of the other worlds. hits: share of runs above it, by how many times the centre their scale is.
    """

    limit: float
    false: float
    left_out: float
    hits: Mapping[float, float]


def burning(settings: Sequence[Setting], size: int) -> tuple[float, float, dict[str, WorldOdds]]:
    """Thresholds `sure` and `likely`, and the odds of every world."""
    runs = {world: [run for one in own for run in one.runs(size)] for world, own in by_world(settings).items()}
    limits = {world: quantile(_lengths(own, fine=True), 1 - FALSE) for world, own in runs.items()}
    sure, likely = (float(of(list(limits.values()))) for of in (np.nanmax, np.nanmedian))
    found = {}
    for world, own in runs.items():
        others = max((limit for name, limit in limits.items() if name != world), default=math.inf)
        above = [length > sure for length in _lengths(own, fine=True)]
        beyond = [length > others for length in _lengths(own, fine=True)]
        found[world] = WorldOdds(limits[world], share(above), share(beyond), {t: _hits(own, t, sure) for t in TIMES})
    return sure, likely, found


def _lengths(runs: Sequence[Run], fine: bool) -> list[float]:
    return [run.features["overmax"] for run in runs if run.fine == fine]


def _hits(runs: Sequence[Run], times: float, sure: float) -> float:
    near = [run for run in runs if times / NEAR <= run.times <= times * NEAR]
    return share(run.features["overmax"] > sure for run in near)


def worlds_together(found: Mapping[str, WorldOdds]) -> dict[float, float]:
    """Mean share of hits over the worlds, by how many times the centre."""
    hits = {t: [one.hits[t] for one in found.values() if math.isfinite(one.hits[t])] for t in TIMES}
    return {t: float(np.mean(known)) for t, known in hits.items() if known}


@dataclass(frozen=True)
class Carded:
    """A card's range against a setting that it was not made from.

    held: the range of RATIO about the card's centre holds the other's. false: share of the other's band, in ln gamma,
    that lies above the card's.
    """

    card: str
    other: str
    held: bool
    false: float


def carded(card: Band, other: Band, names: tuple[str, str]) -> Carded:
    """How one band tells the other."""
    held = abs(math.log(other.centre / card.centre)) <= math.log(RATIO) / 2
    width = math.log(other.high / other.low)
    above = max(0.0, math.log(other.high / max(card.high, other.low)))
    return Carded(*names, held, above / width if width > 0 else float(above > 0))


def halves(setting: Setting) -> list[tuple[str, Setting]]:
    """A trained setting, one part a seed."""
    seeds = range(len(setting.cells[0]))
    return [(f"seed {n}", _part(setting, [cells[n : n + 1] for cells in setting.cells])) for n in seeds]


def _part(setting: Setting, cells: Sequence[Sequence[Mapping[str, np.ndarray]]]) -> Setting:
    rows = tuple(seen_of(seeds).numbers(setting.real) for seeds in cells)
    values = tuple(objective_j(rows))
    band = band_of(setting.gammas, values)
    return replace(setting, cells=tuple(map(tuple, cells)), values=values, band=band, rows=rows)


def cards(settings: Sequence[Setting]) -> list[Carded]:
    """Every trained setting's first seed as the card; its other seeds, and samplers of its class, against it."""
    found = []
    for setting in (one for one in settings if one.trained):
        (name, card), *rest = halves(setting)
        found += [carded(card.band, other.band, (_named(setting, name), _named(setting, more))) for more, other in rest]
        found += [
            carded(setting.band, other.band, (_named(setting), _named(other))) for other in alike(setting, settings)
        ]
    return found


def alike(setting: Setting, settings: Sequence[Setting]) -> list[Setting]:
    """Other samplers of the same class in the same world."""
    place = (setting.world, setting.group)
    return [one for one in settings if (one.world, one.group) == place and one.sampler != setting.sampler]


def sisters(settings: Sequence[Setting], own: str) -> list[Carded]:
    """One model's bands as the card of its sisters, with the same sampler."""
    cards_of = {one.sampler: one for one in settings if one.world == own}
    others = [one for one in settings if one.trained and one.world != own and one.sampler in cards_of]
    return [carded(cards_of[one.sampler].band, one.band, (own, _named(one))) for one in others]


def _named(setting: Setting, more: str = "") -> str:
    return " ".join(filter(None, (setting.world, setting.sampler, more)))


@dataclass(frozen=True)
class Halved:
    """Runs at gamma and gamma / 2 with the same noise.  same: share with d < SAME; changed: of these, other label"""

    same: float
    changed: float
    otherwise: float
    pairs: int


def halved(settings: Sequence[Setting]) -> Halved:
    """d = |x(gamma) - x(gamma / 2)| / |x(gamma)|, and whether the judge's label changes."""
    near, flips = [], []
    for setting in (one for one in settings if one.trained):
        at = dict(zip(setting.gammas, setting.cells, strict=True))
        for gamma in (gamma for gamma in setting.gammas if gamma / 2 in at):
            for cell, half in zip(at[gamma], at[gamma / 2], strict=True):
                ends, others = (np.float32(one["ends"]).reshape(len(one["ends"]), -1) for one in (cell, half))
                distance = np.linalg.norm(ends - others, axis=1) / np.linalg.norm(ends, axis=1)
                near.append(distance < SAME)
                flips.append((cell["named"] != half["named"])[: len(ends)])
    if not near:
        return Halved(math.nan, math.nan, math.nan, 0)
    close, flipped = np.concatenate(near), np.concatenate(flips)
    return Halved(float(close.mean()), share(flipped[close]), share(flipped[~close]), len(close))


def found_range(setting: Setting, start: float) -> tuple[Band, int]:
    """Find my range with the objective as the user: three scales about `start`, then two about the best of them.

    Scales in between are read off the measured curve. The range is a factor of 2 wide, about the best.
    """
    tried: dict[float, float] = {}

    def best_of(scales: Sequence[float]) -> float:
        for gamma in scales:
            tried[gamma] = float(np.interp(math.log(gamma), np.log(setting.gammas), setting.values))
        return min(tried, key=lambda gamma: tried[gamma])

    first = best_of((start / 2, start, 2 * start))
    beside = {start / 2: (start / 4, start / 2**0.5), start: (start / 2**0.5, start * 2**0.5)}
    best = best_of(beside.get(first, (start * 2**0.5, start * 4)))
    return Band(best / 2**0.5, best, best * 2**0.5), len(tried)


def ranges(settings: Sequence[Setting], starts: Sequence[float] = (2.0, 4.0, 6.0)) -> list[bool]:
    """Whether the range that was found holds the centre of the band: of every trained setting and start."""
    trained = [one for one in settings if one.trained]
    return [found_range(one, start)[0].holds(one.band.centre) for one in trained for start in starts]


def odds_json(settings: Sequence[Setting], command: str, size: int = 4) -> dict:
    """trace/odds.json."""
    sure, likely, found = burning(settings, size)
    known, half = cards(settings), halved(settings)
    hits = worlds_together(found)
    return {
        "command": command,
        "source": f"{', '.join(found)}; {len(settings)} pairs of a world and a sampler",
        "burn": {
            "sure": round(sure, 2),
            "likely": round(likely, 2),
            "false": round(max(one.false for one in found.values()), 3),
            "hits": [{"times": t, "share": round(hit, 3)} for t, hit in hits.items()],
        },
        "card": {
            "false": round(float(np.mean([one.false for one in known])), 3) if known else FALSE,
            "coverage": round(share(one.held for one in known), 3) if known else math.nan,
            "ratio": RATIO,
        },
        "half": {"same": SAME, "changed": round(half.changed, 4)},
    }
