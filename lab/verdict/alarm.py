"""The alarm of burning: its thresholds, and what it does in the worlds that set them and in worlds that do not.

Measured by itself, in an hour instead of a day: which scales are good stands in the page's table of worlds, from the
long measurement, and few samples a scale are enough for lengths of predictions. Of worlds that are not in that table
the cells themselves say which scales are good, by the distance to the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...verdict.good_scales import GoodScales
from ...verdict.odds import ODDS
from ..markdown import folded, passages, table
from ..pictures import write_pixels
from . import limits
from .card import CARDED
from .cells import SIZES, Cell, Plan
from .curves import alarm_plots
from .drawing import draw_curves
from .evidence import Run, Setting, by_world, real_statistics, setting_of, share, told_apart
from .galaxies import WHEEL, Galaxies
from .limits import percent
from .misses import false_alarm, missed_burn
from .odds import NEAR, SIZE, TIMES, WorldOdds, burning, plain, relatives_out, worlds_together
from .pictures import STEM, picture
from .rules import Ruled
from .runs import SAMPLERS
from .unseen import Unseen
from .worlds import World

HEADING = "The alarm of burning"
SEEDS = (10,)  # none of a card's
TRAINED, EXACT, SMALL, LARGE = 80, 480, 80, 48  # samples a scale; of galaxies of side 32 and 64
RULED = ("A", "B", "C", "D", "F", "A-rescale", "A-apg")
MADE = ("A", "B", "C", "A-rescale", "A-apg")
OWN = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)  # scales of the demo models
FEW = (0.7, 1.0, 1.4, 2.0, 4.0)  # of large galaxies
WITHOUT = 1.0  # scale without guidance
BEYOND = (1.4, 2.0, 2.8, 4.0)  # scales shown of worlds that set no threshold
TEXT = passages(__file__)
SCALES, CAUGHT = (f"Runs of cfg alone above the alarm, by {what}" for what in ("\u03b3", "multiples of the centre"))


def plan_of(world: World) -> Plan:
    """What is measured of a world."""
    if isinstance(world, Galaxies):
        return Plan(MADE[:3], SEEDS, SMALL) if world.side == 32 else Plan(("A", "C"), SEEDS, LARGE, FEW)
    if world.name in CARDED:
        return Plan(RULED, SEEDS, TRAINED, OWN)
    if world.trained:
        return Plan(("A", "C"), SEEDS, TRAINED)
    return Plan(MADE if isinstance(world, Unseen) else MADE[:3], SEEDS, EXACT)


def bands_in(text: str) -> dict[tuple[str, str, str], GoodScales]:
    """The good scales of the page's table of worlds, by world, sampler and steps."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:2] == "| "]
    head = next((row for row in rows if row[-3:-1] == ["good \u03b3", "centre"]), None)
    if head is None:
        raise SystemExit("The page has no table of good scales yet. Measure it first: python lab calibrate.")
    found = {}
    for row in (one for one in rows if len(one) == len(head) and one is not head and " to " in one[-3]):
        low, high = map(float, row[-3].removesuffix(" (open)").split(" to "))
        found[row[0], row[1], row[2]] = GoodScales(low, float(row[-2]), high, row[-3].endswith("(open)"))
    return found


def settings_of(cells: Sequence[Cell], bands: Mapping[tuple[str, str, str], GoodScales]) -> Iterator[Setting]:
    """Every world and sampler whose cells are all there; its good scales are the table's, where it stands there."""
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        grouped.setdefault((cell.world.name, cell.sampler.key), []).append(cell)
    for group in grouped.values():
        if all(cell.path.exists() for cell in group):
            yield _setting(group, bands)


def _setting(cells: Sequence[Cell], bands: Mapping[tuple[str, str, str], GoodScales]) -> Setting:
    world, sampler = cells[0].world, cells[0].sampler
    gammas = tuple(sorted({cell.gamma for cell in cells}))
    held = tuple(tuple(cell.measure() for cell in cells if cell.gamma == gamma) for gamma in gammas)
    unknown = GoodScales(math.nan, math.nan, math.nan)
    blank = Setting(world.name, sampler.key, gammas, held, (), unknown, flow=world.flow)
    band = bands.get((world.name, blank.kind, str(sampler.steps)))
    if band is None:
        return setting_of(cells, real_statistics())
    rows = tuple({} for _ in gammas) if world.trained else ()
    return Setting(world.name, sampler.key, gammas, held, (), band, rows, flow=world.flow)


@dataclass(frozen=True)
class Alarm:
    """Runs of worlds that set the thresholds, and of others.

    worlds: by name. combinations: combinations of a world, a sampler and rules in the table of good scales.
    """

    own_settings: Sequence[Setting]
    other_settings: Sequence[Setting]
    worlds: Mapping[str, World]
    combinations: Sequence[tuple[str, str, str]] = ()

    @classmethod
    def of(cls, cells: Sequence[Cell], bands: Mapping[tuple[str, str, str], GoodScales]) -> Alarm:
        """From cells that were measured."""
        settings, known = list(settings_of(cells, bands)), {world for world, *_ in bands}
        ours, others = ([one for one in settings if (one.world in known) is inside] for inside in (True, False))
        return cls(ours, others, {cell.world.name: cell.world for cell in cells}, tuple(bands))

    @cached_property
    def burning(self) -> tuple[float, float, dict[str, WorldOdds]]:
        """Thresholds, and the odds of the worlds that set them."""
        return burning(self.own_settings)

    @property
    def sure(self) -> float:
        """As it is published."""
        return round(self.burning[0], 2)

    def odds(self, command: str) -> dict:
        """The part of verdict/odds.json."""
        _, likely, found = self.burning
        hits = worlds_together(found, self.own_settings)
        return {
            "command": command,
            "source": f"{', '.join(found)}; {len(self.own_settings)} combinations of a world, a sampler and rules",
            "sure": self.sure,
            "likely": round(likely, 2),
            "false": round(max(one.left_out for one in found.values()), 3),
            "hits": [{"times": t, "share": round(hit, 3)} for t, hit in hits.items()],
        }

    def blocks(self, command: str, folder: Path) -> tuple[str, ...]:
        """What stands under HEADING.  folder: for the pictures, beside the page"""
        words = TEXT["OPENING"].format(
            command=command, sure=self.sure, likely=self.burning[1], trained=TRAINED, exact=EXACT,
            seeds=" and ".join(map(str, SEEDS)),
        )  # fmt: skip
        every = (
            TEXT["HITS"].format(near=NEAR, size=SIZE),
            self._hits(self.own_settings),
            self._family(),
            self._curves(folder),
        )
        first = words, self._absent(), self._limits(), TEXT["SET"], self._false_alarms(), *every
        return (*first, *self._misses(folder), *self._beyond(), *self._rules())

    def _absent(self) -> str:
        """What the table has and this measurement has not."""
        own = {(one.world, one.kind, str(SAMPLERS[one.sampler].steps)) for one in self.own_settings}
        missing = [", ".join(one) for one in self.combinations if one not in own]
        return f"These settings of that table are not measured here: {'; '.join(missing)}." if missing else ""

    def _limits(self) -> str:
        fine = {world: max(false_by_size(own, self.sure)) for world, own in by_world(self.other_settings).items()}
        every = [*self.own_settings, *self.other_settings]
        rows = [
            *limits.of_the_alarm(self.burning[2]),
            *limits.of_unseen(fine),
            limits.without_guidance(*alarms_without(every, self.sure)),
        ]
        lines = [(one.what, one.limit, one.measured, "yes" if one.holds else "**no**") for one in rows]
        return table("what | limit | measured | holds", lines)

    def _false_alarms(self) -> str:
        rows = []
        for world, own in by_world(self.own_settings).items():
            odds = self.burning[2][world]
            rows.append((world, _count_runs(own), _without(own, self.sure), f"{odds.limit:.2f}",
                         _three(false_by_size(own, self.sure)), percent(odds.left_out)))  # fmt: skip
        return table("world | fine runs | alarms at \u03b3 1 | 95 % below | false | left out", rows)

    def _hits(self, settings: Sequence[Setting]) -> str:
        rows = []
        for world, own in by_world(settings).items():
            apart = [told_apart(one.runs(SIZE), "overshoot") for one in plain(own)]
            known = [value for value in apart if not math.isnan(value)]
            told = f"{np.mean(known):.2f}" if known else "\u2013"
            rows.append((world, *(_three(hits_by_size(own, times, self.sure)) for times in TIMES), told))
        return table(f"world | {' | '.join(f'caught at {t:g}x' for t in TIMES)} | told apart", rows)

    def _beyond(self) -> tuple[str, ...]:
        """Worlds that set no threshold."""
        if not self.other_settings:
            return ()
        rows, scales = [], []
        for world, own in by_world(self.other_settings).items():
            bands = [one.band for one in plain(own)]
            edges = f"{min(one.low for one in bands):.2g} to {max(one.high for one in bands):.2g}"
            rows.append(
                (world, edges, _count_runs(own), _without(own, self.sure), _three(false_by_size(own, self.sure)))
            )
            scales.append((world, *(_three(alarms_at(own, gamma, self.sure)) for gamma in BEYOND)))
        return (
            TEXT["UNSEEN"].format(package=WHEEL.package, small=SMALL, large=LARGE),
            table("world | good \u03b3 | fine runs | alarms at \u03b3 1 | false", rows),
            folded(SCALES, table(f"world | {' | '.join(f'{gamma:g}' for gamma in BEYOND)}", scales)),
            folded(CAUGHT, self._hits(self.other_settings)),
        )

    def _rules(self) -> tuple[str, ...]:
        """Runs with rules against plain ones as a card."""
        likely, every = round(self.burning[1], 2), [*self.own_settings, *self.other_settings]
        cards = {(one.world, one.sampler): one for one in plain(every)}
        pairs = [(cards.get((one.world, one.sampler.partition("-")[0])), one) for one in every if one.rules]
        rows = [(one.words, *map(_three, rates_of(Ruled(card, one), likely))) for card, one in pairs if card]
        head = "runs | wrongly | by lengths alone | caught | missed"
        return (
            (TEXT["RULES"].format(likely=likely), folded(f"All {len(rows)} settings", table(head, rows)))
            if rows
            else ()
        )

    def _family(self) -> str:
        threshold, false = relatives_out(self.own_settings)
        return "" if math.isnan(false) else TEXT["FAMILY"].format(threshold=threshold, false=percent(false))

    def _curves(self, folder: Path) -> str:
        name = f"{STEM}alarm.webp"
        write_pixels(folder / name, draw_curves(alarm_plots(self.own_settings, self.sure)).png())
        return TEXT["CURVES"].format(name=name)

    def _misses(self, folder: Path) -> Iterator[str]:
        sure, likely, _ = self.burning
        own = plain(self.own_settings)
        found = {
            "A fine run that raises the alarm": false_alarm(own, sure, likely),
            "A run far too high without an alarm": missed_burn(own, sure, SIZE),
        }
        yield from (f"**{name}.** {picture(one, self.worlds, folder)}" for name, one in found.items() if one)
        if found["A run far too high without an alarm"]:
            yield TEXT["ALIKE"]


def fine_runs(settings: Sequence[Setting], size: int) -> list[Run]:
    """Batches of so many samples at good scales."""
    return [run for one in settings for run in one.runs(size) if run.fine]


def false_by_size(settings: Sequence[Setting], sure: float) -> list[float]:
    """Share of the fine runs with the alarm, in the world blurred most, for every size of batch."""
    return [share(run.features["blurred"] > sure for run in fine_runs(settings, size)) for size in SIZES]


def hits_by_size(settings: Sequence[Setting], times: float, sure: float) -> list[float]:
    """Share of the runs of cfg alone with the alarm at so many times the centre, for every size of batch."""
    return [
        share(
            run.features["overshoot"] > sure
            for one in plain(settings)
            for run in one.runs(size)
            if times / NEAR <= run.times <= times * NEAR
        )
        for size in SIZES
    ]


def rates_of(ruled: Ruled, likely: float) -> Iterator[list[float]]:
    """Shares for every size of batch: in vain, in vain by lengths alone, found, missed."""
    fine, high = (
        [[one for one in runs if chosen(one[0])] for runs in ruled.runs.values()]
        for chosen in (lambda run: run.fine, lambda run: run.too_high and not run.fine)
    )

    def by_lengths(run: Run, times: tuple[float, float]) -> bool:
        return min(times) > ODDS.rules.further

    def further(run: Run, times: tuple[float, float]) -> bool:
        return by_lengths(run, times) and run.features["overshoot"] > likely

    def no_further(run: Run, times: tuple[float, float]) -> bool:
        return max(times) <= 1

    for runs, said in ((fine, further), (fine, by_lengths), (high, further), (high, no_further)):
        yield [share(said(*one) for one in own) for own in runs]


def alarms_at(settings: Sequence[Setting], gamma: float, sure: float) -> list[float]:
    """Share of the runs of cfg alone with the alarm at a scale, for every size of batch."""
    return [share(run.features["overshoot"] > sure for run in _at(settings, gamma, size)) for size in SIZES]


def alarms_without(settings: Sequence[Setting], sure: float) -> tuple[int, int, float]:
    """Alarms of runs of cfg alone without guidance, of so many, and the largest overshoot."""
    found = [run.features["overshoot"] for size in SIZES for run in _at(settings, WITHOUT, size)]
    return sum(value > sure for value in found), len(found), max(found, default=math.nan)


def _at(settings: Sequence[Setting], gamma: float, size: int) -> list[Run]:
    return [run for one in plain(settings) for run in one.runs(size) if run.gamma == gamma]


def _without(settings: Sequence[Setting], sure: float) -> str:
    alarms, count, _ = alarms_without(settings, sure)
    return f"{alarms} of {count:,}"


def _count_runs(settings: Sequence[Setting]) -> str:
    return " / ".join(f"{len(fine_runs(settings, size)):,}" for size in SIZES)


def _three(shares: Sequence[float]) -> str:
    return " / ".join("\u2013" if math.isnan(one) else f"{100 * one:.1f}" for one in shares) + " %"
