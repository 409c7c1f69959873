"""What the verdict is held to: each limit, what was measured, and whether it holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .clicked import STARTS, Found
from .odds import COVERED, FALSE, KINDS, RATIO, Carded, WorldOdds, coverage_of, false_of
from .rules import Rules

SISTERS = 0.7  # of the sisters' centres: a card that holds fewer says nothing of other weights
FOUND, WIDEST, RUNS = 0.9, 2.0, 5


@dataclass(frozen=True)
class Limit:
    """A row: what is asked, the limit in words, what was measured, and whether it holds."""

    what: str
    limit: str
    measured: str
    holds: bool


def percent(value: float) -> str:
    """A share in percent; a dash where there is none."""
    return "\u2013" if math.isnan(value) else f"{100 * value:.1f} %"


def of_cards(known: Sequence[Carded], beyond: float) -> list[Limit]:
    """The range, and what is called too high: beyond so many times the upper end of the band."""
    if not known:
        return []
    held, false = coverage_of(known, RATIO), false_of(known, beyond)
    what = f"a range of {RATIO} (high / low) about a card's centre holds the centre of other seeds, labels, samplers"
    high = f"share of a band, in ln \u03b3, that a card calls too high (beyond {beyond:g} times its own upper end)"
    kinds = [(kind, coverage_of([one for one in known if one.kind == kind], RATIO)) for kind in KINDS]
    each = ", ".join(f"{kind} {percent(share)}" for kind, share in kinds if not math.isnan(share))
    return [
        Limit(what, f"at least {100 * COVERED:.0f} %", f"{percent(held)} ({each})", held >= COVERED),
        Limit(high, "at most 5 %", percent(false), false <= FALSE),
    ]


def of_rules(rules: Rules) -> list[Limit]:
    """What is said of good runs with rules."""
    if not rules.cases:
        return []
    false, words = max((rules.left_out(one), one.other.words) for one in rules.cases)
    what = "fine runs with a rule that are said to push further than the card, in the worst case, left out"
    return [Limit(what, "at most 5 %", f"{percent(false)} ({words})", false <= FALSE)]


def of_the_alarm(worlds: Mapping[str, WorldOdds]) -> list[Limit]:
    """The alarm of burning, left one world out."""
    world = max(worlds, key=lambda name: worlds[name].left_out)
    worst = worlds[world].left_out
    what = "fine runs that raise the alarm, in the worst world, left out"
    return [Limit(what, "at most 5 %", f"{percent(worst)} ({world})", worst <= FALSE)]


def of_unseen(worlds: Mapping[str, float]) -> list[Limit]:
    """The alarm in worlds that set no threshold.  worlds: the share of fine runs with it"""
    if not worlds:
        return []
    world = max(worlds, key=lambda name: worlds[name])
    what = "fine runs that raise the alarm, in the worst world that had no part in the threshold"
    return [Limit(what, "at most 5 %", f"{percent(worlds[world])} ({world})", worlds[world] <= FALSE)]


def without_guidance(alarms: int, count: int, largest: float) -> Limit:
    """The alarm at scale 1."""
    what = "runs without guidance (\u03b3 1) that raise the alarm, in any world"
    return Limit(what, "none", f"{alarms} of {count:,}; the largest `overshoot` is {largest:.3f}", alarms == 0)


def of_ranges(clicked: Sequence[Found]) -> list[Limit]:
    """Find my range."""
    if not clicked:
        return []
    held, wide = sum(one.holds for one in clicked) / len(clicked), max(one.high / one.low for one in clicked)
    asked = max(one.run_count for one in clicked)
    starts = ", ".join(f"{start:g}" for start in STARTS)
    what = f"*Find my range*, started at cfg {starts}: the range holds the centre"
    return [
        Limit(what, "at least 90 %", percent(held), held >= FOUND),
        Limit(
            "*Find my range*, the widest (high / low)",
            f"at most {WIDEST:g}",
            f"{wide:.2f}",
            wide <= WIDEST + 1e-9,
        ),
        Limit("*Find my range*, runs that it needs", f"at most {RUNS}", str(asked), asked <= RUNS),
    ]


def of_sisters(family: Sequence[Carded], silent: bool) -> list[Limit]:
    """A card of other weights.  silent: whether the verdict makes no use of it"""
    if not family:
        return []
    held = coverage_of(family, RATIO)
    what = f"a range of {RATIO} (high / low) about Pocket's centre holds the centre of its sisters"
    measured = f"{percent(held)}; the verdict {'keeps silent' if silent else 'uses it'}"
    return [Limit(what, "at least 70 %, or silent", measured, silent or held >= SISTERS)]
