"""How often the verdict errs: every threshold and rate of verdict/odds.json, from the cells alone.

**Alarm of burning.** At gamma 0 to 1 a guided prediction lies between two unguided ones, so one that is many times as
long as any of these is the work of guidance in any world. `sure` is a margin times the smallest threshold on overshoot
that at most 5 % of the fine runs of every world exceed, whatever the size of the batch; `likely` the one that at most
5 % exceed in the middle of the demo models, since the exact worlds hardly ever burn. Fine runs with rules count, too.
Left out: with the threshold that follows from the other worlds alone. The next world is none of those that were
measured, so the margin is the least with which no world that was left out has more false alarms.

**Card.** Too high is a run beyond `beyond` times the upper end of the card's band: the least factor with which at most
5 % of the runs inside the bands of held-out seeds, labels and samplers are called so. `ratio` is the least high / low
of a range about the card's centre that holds the centre of 80 % of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...verdict.good_scales import GoodScales
from .cells import SIZES
from .evidence import Run, Setting, by_world, quantile, share, within_halves
from .objectives import half_of, join_samples

FALSE, COVERED = 0.05, 0.8
MARGINS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0)
SIZE = 4  # samples of a batch whose hits are published
TIMES = (2.0, 3.0, 4.0, 6.0)
NEAR = 1.25  # times such a multiple, either way
RATIO = 1.6
RATIOS = (RATIO, 1.8, 2.0, 2.25, 2.5, 3.0, 3.5, 4.0)
BEYOND = tuple(round(1 + 0.05 * n, 2) for n in range(61))
KINDS = ("seed", "labels", "sampler")  # what a card is held against; and "sister"


@dataclass(frozen=True)
class WorldOdds:
    """Of one world.

    limit: 95 % of its fine runs are below, in batches of any of SIZES. false: share of its fine runs above the
    threshold of all worlds, of the size of batch where it is largest. left_out: above that of the other worlds. hits:
    share of runs of batches of one size above it, by how many times the centre their scale is.
    """

    limit: float
    false: float
    left_out: float
    hits: Mapping[float, float]


def burning(settings: Sequence[Setting], size: int = SIZE) -> tuple[float, float, dict[str, WorldOdds]]:
    """Thresholds `sure` and `likely`, and the odds of every world.  size: of the batches whose hits are counted"""
    worlds = {world: lengths_of(own) for world, own in by_world(settings).items()}
    limits = {world: limit_of(fine, FALSE) for world, fine in worlds.items()}
    margin = margin_of(worlds)
    trained = {one.world for one in settings if one.trained} or worlds.keys()
    sure = margin * float(np.nanmax(list(limits.values())))
    likely = min(sure, float(np.nanmedian([limits[world] for world in trained])))
    found = {}
    for world, own in by_world(settings).items():
        others = margin * max((limit for name, limit in limits.items() if name != world), default=math.inf)
        false, left_out = (above(worlds[world], limit) for limit in (sure, others))
        runs = [run for one in plain(own) for run in one.runs(size)]
        found[world] = WorldOdds(limits[world], false, left_out, {t: _hits(runs, t, sure) for t in TIMES})
    return sure, likely, found


def margin_of(worlds: Mapping[str, Sequence[Sequence[float]]]) -> float:
    """The least margin with which the limits of all other worlds hold in every world.  worlds: of `lengths_of`"""
    limits = {world: limit_of(fine, FALSE) for world, fine in worlds.items()}
    others = {world: max((v for name, v in limits.items() if name != world), default=math.inf) for world in worlds}

    def holds(margin: float) -> bool:
        return all(above(fine, margin * others[world]) <= FALSE for world, fine in worlds.items())

    return next((margin for margin in MARGINS if holds(margin)), MARGINS[-1])


def relatives_out(settings: Sequence[Setting]) -> tuple[float, float]:
    """The threshold of the exact worlds alone, and the share of fine runs above it in the worst demo model."""
    worlds = {world: lengths_of(own) for world, own in by_world(settings).items()}
    trained = {one.world for one in settings if one.trained}
    limits = [limit_of(fine, FALSE) for world, fine in worlds.items() if world not in trained]
    if not limits or not trained:
        return math.nan, math.nan
    threshold = margin_of(worlds) * max(limits)
    return threshold, max(above(worlds[world], threshold) for world in trained)


def lengths_of(settings: Sequence[Setting]) -> list[list[float]]:
    """overshoot of the fine runs, in the world blurred most, for every size of batch."""
    return [[run.features["blurred"] for one in settings for run in one.runs(size) if run.fine] for size in SIZES]


def limit_of(fine: Sequence[Sequence[float]], false: float) -> float:
    """The threshold that a share of the fine runs exceeds, in batches of the size that needs the highest."""
    return float(np.nanmax([quantile(lengths, 1 - false) for lengths in fine]))


def above(fine: Sequence[Sequence[float]], threshold: float) -> float:
    """The share of fine runs beyond a threshold, in batches of the size where it is largest."""
    return float(np.nanmax([share(length > threshold for length in lengths) for lengths in fine]))


def _hits(runs: Sequence[Run], times: float, sure: float) -> float:
    near = [run for run in runs if times / NEAR <= run.times <= times * NEAR]
    return share(run.features["overshoot"] > sure for run in near)


def worlds_together(found: Mapping[str, WorldOdds], settings: Sequence[Setting]) -> dict[float, float]:
    """Mean share of hits over the demo models (of all worlds, if none is there), by how many times the centre."""
    trained = {one.world for one in settings if one.trained} or found.keys()
    hits = {t: [one.hits[t] for world, one in found.items() if world in trained] for t in TIMES}
    known = {t: [hit for hit in values if math.isfinite(hit)] for t, values in hits.items()}
    return {t: float(np.mean(values)) for t, values in known.items() if values}


@dataclass(frozen=True)
class Carded:
    """A band as a card, against a setting that it was not made from.

    card: what it was made from. band: its own. other: the setting. kind: of KINDS, what differs between the two.
    """

    card: str
    band: GoodScales
    other: Setting
    kind: str

    def holds(self, ratio: float) -> bool:
        """Whether a range of high / low `ratio` about the card's centre holds the other's."""
        return abs(math.log(self.other.band.centre / self.band.centre)) <= math.log(ratio) / 2

    def false(self, beyond: float) -> float:
        """Share of the other's band, in ln gamma, that is more than `beyond` times the upper end of the card's."""
        other = self.other.band
        width, above = math.log(other.high / other.low), math.log(other.high / max(beyond * self.band.high, other.low))
        return max(0.0, above) / width if width > 0 else float(above > 0)


def cards(settings: Sequence[Setting]) -> list[Carded]:
    """Every trained setting of cfg alone as a card: against its other seeds, labels, and samplers of its class."""
    found = []
    for setting in plain(settings):
        if not setting.trained:
            continue
        for kind, halves in (("seed", seeds_of(setting)), ("labels", labels_of(setting))):
            found += [Carded(one.words, one.band, other, kind) for one, other in (halves, halves[::-1]) if halves]
        found += [Carded(setting.words, setting.band, other, "sampler") for other in alike(setting, settings)]
    return found


def plain(settings: Sequence[Setting]) -> list[Setting]:
    """Those that cfg alone guides."""
    return [one for one in settings if not one.rules]


def seeds_of(setting: Setting) -> tuple[Setting, ...]:
    """A trained setting in two parts, its first seeds and its last; nothing of one seed."""
    count = len(setting.cells[0])
    parts = (("first seeds", slice(0, count // 2)), ("last seeds", slice(count // 2, None)))
    return tuple(_seeds(setting, chosen, name) for name, chosen in parts) if count > 1 else ()


def _seeds(setting: Setting, chosen: slice, part: str) -> Setting:
    cells = tuple(seeds[chosen] for seeds in setting.cells)
    assert setting.real is not None
    return setting.with_judge([join_samples(seeds).numbers(setting.real) for seeds in cells], cells=cells, part=part)


def labels_of(setting: Setting) -> tuple[Setting, ...]:
    """A trained setting in two parts: every other label, and the others."""
    seen, within = [join_samples(cells) for cells in setting.cells], within_halves()
    parts = enumerate(("even labels", "odd labels"))
    assert setting.real is not None
    reals = [half_of(setting.real, within[n], n) for n in (0, 1)]
    rows = [[one.half(n).numbers(reals[n]) for one in seen] for n in (0, 1)]
    return tuple(setting.with_judge(rows[n], part=part, parity=n) for n, part in parts)


def alike(setting: Setting, settings: Sequence[Setting]) -> list[Setting]:
    """Other samplers of the same class in the same world."""
    place = (setting.world, setting.group)
    return [one for one in plain(settings) if (one.world, one.group) == place and one.sampler != setting.sampler]


def sisters(settings: Sequence[Setting], own: str) -> list[Carded]:
    """One model's bands as the card of its sisters, which have its architecture, with the same sampler."""
    cards_of = {one.sampler: one for one in settings if one.world == own}
    others = [one for one in settings if one.trained and not one.flow and one.world != own]
    return [
        Carded(cards_of[one.sampler].words, cards_of[one.sampler].band, one, "sister")
        for one in others
        if one.sampler in cards_of
    ]


def false_of(known: Sequence[Carded], beyond: float) -> float:
    """Share of the runs inside a band that a card calls too high, on average; every kind of difference counts alike."""
    return _over_kinds(known, lambda one: one.false(beyond))


def coverage_of(known: Sequence[Carded], ratio: float) -> float:
    """Share of the settings whose centre a range of that ratio holds; every kind of difference counts alike."""
    return _over_kinds(known, lambda one: float(one.holds(ratio)))


def _over_kinds(known: Sequence[Carded], value: Callable[[Carded], float]) -> float:
    kinds = [[value(one) for one in known if one.kind == kind] for kind in {one.kind for one in known}]
    return float(np.mean([np.mean(values) for values in kinds])) if kinds else math.nan


def least_beyond(known: Sequence[Carded]) -> float:
    """How many times the upper end of a card a run must have, to be called too high with at most FALSE errors."""
    return next((beyond for beyond in BEYOND if false_of(known, beyond) <= FALSE), BEYOND[-1])


def least_ratio(known: Sequence[Carded]) -> float:
    """The least width of a range, from RATIO on, that holds the centre in COVERED of the settings."""
    return next((ratio for ratio in RATIOS if coverage_of(known, ratio) >= COVERED), RATIOS[-1])
