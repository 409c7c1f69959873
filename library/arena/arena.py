"""A rule in one world: at the prompt strength of plain guidance, and tuned beside plain guidance tuned alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch

from ...measure.estimates import quotient, strength_sums
from .cells import Cell, Cells, Setting
from .entrants import PLAIN_GUIDANCE, Entrant
from .standing import PLAIN_SCALES
from .tuning import tune
from .worlds import World, seed_of

AT = (4.0, 8.0)  # plain cfg at whose prompt strength rules are compared
PAPER, TUNED = "paper", "tuned"
TUNING = 1_000_000  # number of the first picture that rules are tuned on; those before are told
QUARTER = 4  # of the pictures, that find the cfg of a strength
DIGITS = 3  # of a cfg that is looked for
NEAR = 1.1  # times a strength that counts as reached


class Contest(NamedTuple):
    """A rule as it is compared.

    kind: PAPER, its settings as published, or TUNED. at: plain cfg whose prompt strength it was to have, None: its own.
    knobs: that differ. control: plain guidance at its effective scale of every step.
    """

    entrant: Entrant
    kind: str
    at: float | None
    cfg: float
    knobs: Mapping[str, Any]
    cell: Cell
    control: Cell | None = None


@dataclass(frozen=True)
class Arena:
    """One world.  many: pictures of each label that are told, and as many others to tune on. trials: of every rule"""

    world: World
    cells: Cells
    many: int
    trials: int

    @cached_property
    def plain(self) -> list[Cell]:
        """Plain guidance at PLAIN_SCALES."""
        return [self.cell(PLAIN_GUIDANCE, cfg) for cfg in PLAIN_SCALES]

    @cached_property
    def chosen(self) -> Contest:
        """Plain guidance at the cfg that had the least distance on other pictures."""
        if self.trials:
            return self.tuned(PLAIN_GUIDANCE)
        cfg = min(PLAIN_SCALES, key=lambda cfg: self.other_distance(PLAIN_GUIDANCE, cfg, {}))
        return Contest(PLAIN_GUIDANCE, TUNED, None, cfg, {}, self.cell(PLAIN_GUIDANCE, cfg))

    def cell(self, entrant: Entrant, cfg: float, **more: Any) -> Cell:
        """A cell of the pictures that are told."""
        return self.cells.at(self.world, entrant, Setting(cfg, 0, more.pop("many", self.many), **more))

    def contests(self, entrant: Entrant) -> Iterator[Contest]:
        """The rule as its paper has it at every strength of AT, and tuned."""
        for at in AT:
            yield self.paper(entrant, at)
        if self.trials:
            yield self.chosen if entrant is PLAIN_GUIDANCE else self.tuned(entrant)

    def paper(self, entrant: Entrant, at: float) -> Contest:
        """With the settings of its paper, at the cfg that gives the prompt strength of plain guidance at another."""
        few = max(1, self.many // QUARTER)
        wanted = strength_of(self.plain[PLAIN_SCALES.index(at)], few * self.world.labels)
        strengths = [strength_of(self.cell(entrant, cfg, many=few)) for cfg in entrant.scales]
        cfg = nearest_cfg(entrant.scales, strengths, wanted)
        cell = self.cell(entrant, cfg)
        return Contest(entrant, PAPER, at, cfg, {}, cell, self.control(entrant, cfg, cell))

    def control(self, entrant: Entrant, cfg: float, cell: Cell) -> Cell:
        """Plain guidance at the rule's effective scales, which starts from the same noise."""
        return self.cell(entrant, cfg, schedule=cell.as_schedule, asked=False)

    def tuned(self, entrant: Entrant) -> Contest:
        """At the cfg and with the knobs that had the least distance on other pictures."""
        evaluate = partial(self.other_distance, entrant)
        cfg, knobs = tune(entrant, evaluate, self.trials, seed_of("trials", self.world.name))
        return Contest(entrant, TUNED, None, cfg, knobs, self.cell(entrant, cfg, knobs=knobs))

    def other_distance(self, entrant: Entrant, cfg: float, knobs: Mapping[str, Any]) -> float:
        """Distance of pictures that are not told."""
        seen = self.cells.at(self.world, entrant, Setting(cfg, TUNING, self.many, knobs, asked=False)).seen
        return float(self.world.distance(seen, torch.ones(1, self.many, self.world.labels, dtype=torch.float64)))


def strength_of(cell: Cell, first: int | None = None) -> float:
    """Prompt strength of the first pictures of a cell, of all for None."""
    return float(quotient(strength_sums(cell.levels)[:first].sum(dim=0)))


def nearest_cfg(scales: Sequence[float], strengths: Sequence[float], wanted: float) -> float:
    """The least cfg with a prompt strength, between two scales by their logarithms; else the scale that comes nearest.

    scales: rising, above 0.
    """
    for i in range(len(scales) - 1):
        low, high = strengths[i : i + 2]
        if low <= wanted <= high and low < high:
            share = (wanted - low) / (high - low)
            found = math.exp(math.log(scales[i]) + share * math.log(scales[i + 1] / scales[i]))
            return float(f"{found:.{DIGITS}g}")
    return min(zip(scales, strengths, strict=True), key=lambda pair: abs(pair[1] - wanted))[0]
