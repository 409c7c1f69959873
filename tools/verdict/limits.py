"""What the verdict is held to: each limit, what was measured, and whether it holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .clicked import STARTS, Found
from .odds import FALSE, RATIO, Carded, Halved, WorldOdds, coverage_of, false_of

SISTERS = 0.7  # of the sisters' centres: a card that holds fewer says nothing of other weights
FOUND, WIDEST, RUNS = 0.9, 2.0, 5
FLIPPED = 0.02


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


def limits_of(
    known: Sequence[Carded],
    beyond: float,
    worlds: Mapping[str, WorldOdds],
    clicked: Sequence[Found],
    half: Halved,
    family: Sequence[Carded],
) -> list[Limit]:
    """Every row of what was measured."""
    return [
        *(_card(known, beyond) if known else ()),
        _alarm(worlds),
        *(_clicked(clicked) if clicked else ()),
        *([_half(half)] if half.pairs else ()),
        *([_sisters(family)] if family else ()),
    ]


def _card(known: Sequence[Carded], beyond: float) -> list[Limit]:
    held, false = coverage_of(known, RATIO), false_of(known, beyond)
    what = f"with a card, a range of high / low {RATIO} holds the centre of held-out seeds, labels, samplers"
    high = f"with a card, runs inside the band that are called too high (beyond {beyond:g} times its upper end)"
    return [
        Limit(what, "at least 80 %", percent(held), held >= 0.8),
        Limit(high, "at most 5 %", percent(false), false <= FALSE),
    ]


def _alarm(worlds: Mapping[str, WorldOdds]) -> Limit:
    world = max(worlds, key=lambda name: worlds[name].left_out)
    worst = worlds[world].left_out
    what = "without a card, fine runs with the alarm, in the worst world, by the threshold of the others"
    return Limit(what, "at most 5 %", f"{percent(worst)} ({world})", worst <= FALSE)


def _clicked(clicked: Sequence[Found]) -> list[Limit]:
    held, wide = sum(one.held for one in clicked) / len(clicked), max(one.high / one.low for one in clicked)
    asked = max(one.asked for one in clicked)
    starts = ", ".join(f"{start:g}" for start in STARTS)
    what = f"*Find my range* holds the centre, from cfg {starts}"
    return [
        Limit(what, "at least 90 %", percent(held), held >= FOUND),
        Limit("*Find my range*, high / low of the widest", f"at most {WIDEST:g}", f"{wide:.2f}", wide <= WIDEST + 1e-9),
        Limit("*Find my range*, runs", f"at most {RUNS}", str(asked), asked <= RUNS),
    ]


def _half(half: Halved) -> Limit:
    what = "*Try half* says the same picture, and the judge's label changes"
    return Limit(what, "at most 2 %", percent(half.changed), half.changed <= FLIPPED)


def _sisters(family: Sequence[Carded]) -> Limit:
    held = coverage_of(family, RATIO)
    what = f"Pocket's card holds the centre of its sisters (high / low {RATIO})"
    return Limit(what, "at least 70 %, or silent", f"{percent(held)}; the verdict is silent", True)
