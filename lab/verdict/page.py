"""docs/verdict.md: what the verdict rests on, how often it errs, and what it cannot know."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...dev.places import ROOT
from ...verdict.card import FEATURES as OF_A_BAND
from ...verdict.good_scales import GoodScales
from ..markdown import folded, page, passages, table
from ..pictures import write_pixels
from . import limits
from .batches import FEATURES
from .clicked import STARTS, Found, ranges
from .curves import card_plots
from .drawing import draw_curves
from .evidence import Setting, by_j, by_world, told_apart
from .limits import percent
from .misses import worst_card
from .odds import (
    COVERED,
    KINDS,
    RATIO,
    SIZE,
    Carded,
    above,
    cards,
    coverage_of,
    false_of,
    least_beyond,
    least_ratio,
    plain,
    sisters,
)
from .pictures import STEM, picture
from .rules import Ruled, Rules, rules_of
from .runs import SAMPLERS
from .twins import RANDOM, Twins, twins
from .twins import SAMPLER as TWINS
from .worlds import World
from .wrong import keeps_silent, worst_case

PAGE = ROOT / "docs" / "verdict.md"
POCKET = "pocket-1"
HALF = "Half the scale, the same noise"  # a section that same_picture.py measures
TEXT = passages(__file__)
SETTINGS = "world | sampler | steps | class | samples | good \u03b3 | centre | by J"
ABSENT = "Not found among these cells: {names}."
WRONG = """## A case where the verdict is wrong
"""


def opening(study: Study, command: str) -> tuple[str, ...]:
    """The answer in short, what it leaves open, and the words of the page."""
    short = ""
    if study.own_cards and study.click_ranges:
        held, false = sum(one.holds for one in study.click_ranges), false_of(study.own_cards, study.card_limits[0])
        short = TEXT["SHORT"].format(false=percent(false), held=held, count=len(study.click_ranges))
    return TEXT["OPENING"], short, TEXT["LIMITS"], TEXT["WORDS"].format(command=command)


def objective_section(study: Study) -> tuple[str, ...]:
    """What is good, and how steady that is by either objective."""
    if not study.own_cards:
        return (TEXT["OBJECTIVE"],)
    other = cards([by_j(one) for one in study.settings if one.trained])
    by = {"by_j": percent(coverage_of(other, RATIO)), "by_l": percent(coverage_of(study.own_cards, RATIO))}
    return TEXT["OBJECTIVE"], TEXT["STEADY"].format(ratio=RATIO, **by)


def settings_table(settings: Sequence[Setting]) -> str:
    """The band of every world and sampler."""
    rows = []
    for one in settings:
        sampler, band = SAMPLERS[one.sampler], one.band
        other = _edges(by_j(one).band) if one.trained else "\u2013"
        count = sum(int(cell["count"]) for cell in one.cells[0])
        edges = _edges(band)
        rows.append((one.world, one.kind, sampler.steps, one.group, count, edges, f"{band.centre:.2g}", other))
    return folded(f"The good \u03b3 of all {len(rows)} settings", table(SETTINGS, rows))


def _edges(band: GoodScales) -> str:
    return f"{band.low:.2g} to {band.high:.2g}" + (" (open)" if band.open else "")


@dataclass(frozen=True)
class Study:
    """All that the page tells, each part computed once.  worlds: by name, of the settings"""

    settings: Sequence[Setting]
    worlds: Mapping[str, World]

    @cached_property
    def own_cards(self) -> list[Carded]:
        """Cards, each against another part."""
        return cards(self.settings)

    @cached_property
    def family(self) -> list[Carded]:
        """Pocket's card against its sisters."""
        return sisters(self.settings, POCKET)

    @cached_property
    def plain(self) -> list[Setting]:
        """Those that cfg alone guides."""
        return plain(self.settings)

    @cached_property
    def rules(self) -> Rules:
        """Runs with rules against the cards of their samplers."""
        return rules_of(self.settings)

    @cached_property
    def click_ranges(self) -> list[Found]:
        """Ranges that were found."""
        return ranges(self.settings)

    @cached_property
    def card_limits(self) -> tuple[float, float]:
        """Of a card: how far beyond its band is too high, and the width of the range that is promised."""
        return least_beyond(self.own_cards), least_ratio(self.own_cards)


def limits_section(study: Study) -> tuple[str, str]:
    """Every limit with what was measured."""
    silent = all(keeps_silent(one, study.worlds) for one in study.family)
    found = [
        *limits.of_cards(study.own_cards, study.card_limits[0]),
        *limits.of_rules(study.rules),
        *limits.of_ranges(study.click_ranges),
        *limits.of_sisters(study.family, silent),
    ]
    rows = [(one.what, one.limit, one.measured, "yes" if one.holds else "**no**") for one in found]
    return TEXT["LIMITED"], table("what | limit | measured | holds", rows)


def why_section(found: Twins) -> tuple[str, str, str]:
    """Two worlds with the same runs, and different best scales."""
    words = TEXT["WHY"].format(
        share=100 * RANDOM, rest=1 - RANDOM, random=RANDOM, sampler=SAMPLERS[TWINS].name, apart=found.apart,
        first=found.best[0], second=found.best[1],
    )  # fmt: skip
    rows = []
    for k, gamma in enumerate(found.gammas):
        for world in (0, 1):
            told = [f"{found.features[name][k][world]:.8f}" for name in FEATURES]
            rows.append(
                (f"{gamma:g}", ("sloppy labels", "the world is p'")[world], *told, f"{found.energy[k][world]:.3f}")
            )
    numbers = table("\u03b3 | world | " + " | ".join(FEATURES) + " | E", rows)
    return words, folded("The features of both worlds, to eight digits", numbers), TEXT["BLUR"]


def features_section(settings: Sequence[Setting]) -> tuple[str, str]:
    """How well each feature tells too high from fine, in every world."""
    rows = []
    for world, own in by_world(settings).items():
        runs = [one.runs(SIZE) for one in own]
        shares = [[told_apart(of_one, name) for of_one in runs] for name in OF_A_BAND]
        rows.append((world, *(_mean(known) for known in shares)))
    return TEXT["TOLD"].format(size=SIZE), table("world | " + " | ".join(OF_A_BAND), rows)


def _mean(values: Sequence[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    return f"{sum(known) / len(known):.2f}" if known else "\u2013"


def curve_of_cards(study: Study, folder: Path) -> str:
    """How often a range about a card's centre holds the centre, by its width."""
    name = f"{STEM}card.webp"
    write_pixels(folder / name, draw_curves(card_plots(study.own_cards, study.card_limits[1])).png())
    return TEXT["CURVES"].format(name=name, covered=100 * COVERED)


def card_rows(found: Sequence[Carded], beyond: float) -> str:
    """The shares of each kind."""
    kinds = [kind for kind in (*KINDS, "sister") if any(one.kind == kind for one in found)]
    parts = [(kind, [one for one in found if one.kind == kind]) for kind in kinds]
    total = [
        (
            kind,
            len(own),
            percent(coverage_of(own, RATIO)),
            percent(false_of(own, beyond)),
            percent(max(one.false(beyond) for one in own)),
        )
        for kind, own in parts
    ]
    return table(f"other | cases | covered ({RATIO}) | too high, wrongly | at most", total)


def card_section(study: Study, folder: Path) -> tuple[str, ...]:
    """Cards against other parts, and Pocket's against its sisters."""
    beyond, ratio = study.card_limits
    if not study.own_cards:
        return ()
    words = TEXT["CARD"].format(beyond=beyond, ratio=ratio, covered=100 * COVERED)
    found = (words, curve_of_cards(study, folder), card_rows(study.own_cards, beyond))
    if not study.family:
        return found
    held, false = percent(coverage_of(study.family, RATIO)), percent(false_of(study.family, beyond))
    return (*found, TEXT["SISTERS"].format(held=held, ratio=RATIO, false=false), card_rows(study.family, beyond))


def rules_section(rules: Rules) -> tuple[str, ...]:
    """Runs with a rule against the card of their sampler."""
    if not rules.cases:
        return ()
    times = [one.other.band.centre / one.card.band.centre for one in rules.cases]
    words = TEXT["RULES"].format(times=f"{min(times):.1f} to {max(times):.1f}", size=SIZE, further=rules.further)
    rows = [
        (one.other.words, _edges(one.card.band), _edges(one.other.band), *map(percent, _rates(one, rules)))
        for one in rules.cases
    ]
    return words, table("runs | band of the card | band with the rule | wrongly | left out | caught | missed", rows)


def _rates(one: Ruled, rules: Rules) -> tuple[float, ...]:
    return above(one.fine, rules.further), rules.left_out(one), one.hit_rate(rules.further), one.miss_rate


def range_section(clicked: Sequence[Found]) -> str:
    """Find my range."""
    if not clicked:
        return ""
    starts, held = ", ".join(f"{start:g}" for start in STARTS), sum(one.holds for one in clicked)
    return TEXT["RANGE"].format(starts=starts, held=held, count=len(clicked))


def misses_section(study: Study, folder: Path) -> tuple[str, ...]:
    """A picture of every kind of miss."""
    found = {
        "a card whose range does not hold the centre": worst_card(study.own_cards, RATIO),
    }
    if not study.own_cards:
        return ()
    absent = [name for name, shown in found.items() if shown is None]
    shown = [
        f"**{name[0].upper()}{name[1:]}.** {picture(one, study.worlds, folder)}" for name, one in found.items() if one
    ]
    return (TEXT["MISSES"], *shown, ABSENT.format(names="; ".join(absent)) if absent else "")


def wrong_section(study: Study, folder: Path) -> tuple[str, ...]:
    """The worst case."""
    found = worst_case(study.own_cards, study.card_limits[0], study.worlds)
    if found is None:
        return ()
    text, shown = found
    return (WRONG, text, picture(shown, study.worlds, folder).partition("\n\n")[2])


def page_of(study: Study, command: str, folder: Path, alarm: str = "", same_picture: str = "") -> str:
    """The whole page; what was not measured is left out.

    folder: for the pictures, beside the page. alarm, same_picture: sections of what is measured by itself.
    """
    for stale in folder.glob(f"{STEM}*.webp"):
        if stale.name not in alarm + same_picture:
            stale.unlink()
    return page(
        *opening(study, command),
        *limits_section(study),
        *why_section(twins()),
        *objective_section(study),
        TEXT["WORLDS"],
        settings_table(study.settings),
        *features_section(study.plain),
        alarm,
        *card_section(study, folder),
        *rules_section(study.rules),
        same_picture,
        range_section(study.click_ranges),
        *misses_section(study, folder),
        *wrong_section(study, folder),
    )
