"""Runs with a rule, against the card of their sampler: what the verdict reads of them are two lengths.

`further` is a margin times the least threshold on the shorter of both that at most 5 % of the fine runs of every rule
exceed, whatever the size of the batch; the margin is the least with which no rule and model that was left out has more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...verdict.features import times_as_far
from .cells import SIZES
from .evidence import Run, Setting, share
from .odds import FALSE, SIZE, above, limit_of, margin_of, plain, seeds_of

ROUNDING = 1e-9


@dataclass(frozen=True)
class Ruled:
    """Runs with a rule, and the setting with cfg alone that stands on a card: of the same sampler, with other seeds."""

    card: Setting
    other: Setting

    @cached_property
    def runs(self) -> dict[int, list[tuple[Run, tuple[float, float]]]]:
        """Of every size of batch: the runs, and both lengths of each in units of those at the top of the band."""
        top = self.card.features_at(self.card.band.high)
        sizes = {size: self.other.runs(size) for size in SIZES}
        return {
            size: [(run, times_as_far(run.features["overmean"], run.features["strength"], top)) for run in runs]
            for size, runs in sizes.items()
        }

    @cached_property
    def fine(self) -> list[list[float]]:
        """The shorter length of the fine runs, for every size of batch."""
        return [[min(times) for run, times in runs if run.fine] for runs in self.runs.values()]

    def hit_rate(self, further: float) -> float:
        """Share of the runs that are clearly too high that go further, in batches of one size."""
        return share(min(times) > further for times in self._too_high(SIZE))

    @property
    def miss_rate(self) -> float:
        """Share of the runs that are clearly too high of which the verdict says that they push no further."""
        shares = [share(max(times) <= 1 for times in self._too_high(size)) for size in SIZES]
        return float(np.nanmax(shares)) if not np.isnan(shares).all() else 0.0

    def _too_high(self, size: int) -> Iterator[tuple[float, float]]:
        return (times for run, times in self.runs[size] if run.too_high and not run.fine)


@dataclass(frozen=True)
class Rules:
    """All that was measured with rules."""

    cases: Sequence[Ruled]

    @cached_property
    def further(self) -> float:
        """How many times as far a run with a rule must go before that is said, to two digits, rounded up."""
        return math.ceil(100 * self._further(self.cases, self.margin) - ROUNDING) / 100

    @cached_property
    def margin(self) -> float:
        """The least with which the thresholds of all others hold for every rule and model."""
        return margin_of({one.other.words: one.fine for one in self.cases})

    def left_out(self, one: Ruled) -> float:
        """Share of its fine runs that go further by the threshold of all others."""
        return above(one.fine, self._further([other for other in self.cases if other is not one], self.margin))

    @property
    def false(self) -> float:
        """The largest share of fine runs, left one rule and model out."""
        return self._worst(self.left_out)

    @property
    def miss_rate(self) -> float:
        """The largest share of runs that are clearly too high of which it is said that they push no further."""
        return self._worst(lambda one: one.miss_rate)

    def _worst(self, value: Callable[[Ruled], float]) -> float:
        return max((value(one) for one in self.cases), default=0.0)

    @staticmethod
    def _further(found: Sequence[Ruled], margin: float) -> float:
        return max([1.0, *(margin * limit_of(one.fine, FALSE) for one in found)])


def rules_of(settings: Sequence[Setting]) -> Rules:
    """Every rule against the card of its sampler, which is made of other seeds where it has more than one."""
    cards = {(one.world, one.sampler): one for one in plain(settings)}
    pairs = [(cards.get((one.world, one.sampler.partition("-")[0])), one) for one in settings if one.rules]
    return Rules([Ruled((seeds_of(card) or (card,))[-1], other) for card, other in pairs if card is not None])
