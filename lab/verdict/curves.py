"""Calibration: what the alarm and the card promise, against what was observed where they were not made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..plots import Axes
from .drawing import FRAMES, Line, Plot
from .evidence import Setting, by_world
from .odds import COVERED, FALSE, KINDS, Carded, above, coverage_of, lengths_of, limit_of, margin_of

LENGTHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
PROMISED = (0.0, 0.05, 0.1, 0.15, 0.2)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
RATIOS = (1.0, 1.5, 2.0, 2.5, 3.0)
MANY = 60  # points of a curve


def alarm_plots(settings: Sequence[Setting], sure: float) -> list[Plot]:
    """Two panels: threshold and promise against what was observed."""
    fine = {world: lengths_of(own) for world, own in by_world(settings).items()}
    margin = margin_of(fine)
    style = {world: k for k, world in enumerate(fine)}
    first = [Line(world, false_alarms(own), style[world]) for world, own in fine.items()]
    second = [Line(world, kept_promises(fine, world, margin), style[world]) for world in fine] if len(fine) > 1 else []
    lengths = Axes(FRAMES[0], LENGTHS, PROMISED, log=True)
    return [
        Plot("fine runs above a threshold", "overshoot; diamond: the alarm", lengths, first, FALSE, (sure, FALSE)),
        Plot("false alarms, in a world left out", "promised by the other worlds", Axes(FRAMES[1], PROMISED, PROMISED),
             second, None, None, even=True),
    ]  # fmt: skip


def card_plots(known: Sequence[Carded], ratio: float) -> list[Plot]:
    """One panel: width of the range against the share of centres that it holds."""
    kinds = {kind: [one for one in known if one.kind == kind] for kind in KINDS}
    lines = [
        Line(f"card against other {kind}", coverage_at(own), k) for k, (kind, own) in enumerate(kinds.items()) if own
    ]
    goal = (ratio, coverage_of(known, ratio))
    axes = Axes(FRAMES[0], RATIOS, SHARES)
    return [Plot("centres inside a card's range", "high / low; diamond: promised", axes, lines, COVERED, goal)]


def false_alarms(fine: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """The share of fine runs above every threshold."""
    return [(float(t), above(fine, t)) for t in np.geomspace(LENGTHS[0], LENGTHS[-1], MANY)]


def kept_promises(fine: dict[str, list[list[float]]], world: str, margin: float) -> list[tuple[float, float]]:
    """False alarms in a world at the threshold with which all others have at most so many."""
    others = [own for name, own in fine.items() if name != world]
    promised = np.linspace(PROMISED[0], PROMISED[-1], MANY)
    return [(float(p), above(fine[world], margin * max(limit_of(own, p) for own in others))) for p in promised]


def coverage_at(known: Sequence[Carded]) -> list[tuple[float, float]]:
    """Share of the centres that a range of every width about the card's own holds."""
    return [(float(ratio), coverage_of(known, ratio)) for ratio in np.linspace(RATIOS[0], RATIOS[-1], MANY)]
