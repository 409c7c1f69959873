"""What an arena found in one world, as JSON and as a table: docs/which-rule.schema.json says what each field is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Any

from torch import Tensor

from ...measure.comparison import ends_of
from .arena import AT, NEAR, PAPER, Arena, Contest
from .cells import Cell
from .standing import (
    PLAIN_SCALES,
    SIGNS,
    Difference,
    Numbers,
    PlainCurve,
    Resamples,
    difference,
    kendall,
    numbers_of,
    pairs_apart,
    verdicts,
)

Family = tuple[str, float | None]  # kind of a contest, and the plain cfg whose strength it was to have


@dataclass(frozen=True)
class Standings:
    """All contests of one world, read with some of its pictures.  half: 0 or 1; None for all pictures"""

    arena: Arena
    contests: Sequence[Contest]
    half: int | None = None

    @cached_property
    def resamples(self) -> Resamples:
        """Draws of pictures, alike for every cell."""
        return Resamples.of(self.arena.many, self.arena.world.labels, self.half)

    @cached_property
    def curve(self) -> PlainCurve:
        """Of plain guidance."""
        return PlainCurve([self.read(cell) for cell in self.arena.plain])

    @cached_property
    def numbers(self) -> list[Numbers]:
        """Of every contest."""
        return [self.read(contest.cell) for contest in self.contests]

    @cached_property
    def equal(self) -> list[Numbers]:
        """Of plain guidance where it shows the prompt as strongly as each contest."""
        return [self.curve.where(own["strength"]) for own in self.numbers]

    @cached_property
    def controls(self) -> dict[int, Numbers]:
        """Of plain guidance at the effective scales of contests, by their places; their models were not asked."""
        return {i: self.read(one.control) for i, one in enumerate(self.contests) if one.control}

    @cached_property
    def chosen(self) -> Numbers:
        """Of plain guidance at the cfg that tuning chose."""
        return self.read(self.arena.chosen.cell)

    def read(self, cell: Cell) -> Numbers:
        """Of one cell."""
        return numbers_of(self.arena.world, cell, self.resamples)

    def families(self) -> Iterator[tuple[Family, list[int]]]:
        """Contests of one kind, by their places: their verdicts are adjusted together."""
        for family in dict.fromkeys((one.kind, one.at) for one in self.contests):
            yield family, [i for i, one in enumerate(self.contests) if (one.kind, one.at) == family]

    def departure(self, i: int) -> tuple[Tensor, Tensor]:
        """|ln ratio - ln ratio of plain cfg 1|, and how much more that is than plain guidance's at equal strength."""
        unguided = self.curve.at(1.0)["ratio"]
        own, plain = ((numbers[i]["ratio"] - unguided).abs() for numbers in (self.numbers, self.equal))
        return own, own - plain


def result_of(arena: Arena, contests: Sequence[Contest], failed: Mapping[str, str]) -> dict[str, Any]:
    """The world, its rows, and where its measures agree.  failed: why a rule has no row, by its name"""
    whole = Standings(arena, contests)
    published = [one for one in contests if one.kind == PAPER]
    first, second = (Standings(arena, published, half) for half in (0, 1))
    world = arena.world
    return {
        "world": world.name,
        "about": world.about,
        "distance_is": world.distance_is,
        "right_is": world.right_is,
        "pictures": arena.many * world.labels,
        "trials": arena.trials,
        "plain": [plain_row(whole, cfg) for cfg in PLAIN_SCALES],
        "chosen": arena.chosen.cfg,
        "rows": rows_of(whole),
        "halves": [halves_of(first, second, at) for at in AT],
        "agreement": [agreement_of(whole, at) for at in AT],
        "failed": dict(failed),
    }


def plain_row(standings: Standings, cfg: float) -> dict[str, Any]:
    """Plain guidance at a scale."""
    own = standings.curve.at(cfg)
    return {"cfg": cfg, **estimates(standings, own)}


def estimates(standings: Standings, own: Numbers) -> dict[str, Any]:
    """What is known of pictures, as [value, low, high]."""
    interval, unguided = standings.resamples.interval, standings.curve.at(1.0)
    return {
        "strength": ends_of(interval(own["strength"])),
        "ratio": ends_of(interval(own["ratio"]).exp()),
        "variety": ends_of(interval(own["apart"] - unguided["apart"]).exp()),
        **{name: ends_of(interval(own[name])) for name in SIGNS},
    }


def rows_of(standings: Standings) -> list[dict[str, Any]]:
    """A row for every contest."""
    rows: list[dict[str, Any]] = [{} for _ in standings.contests]
    for (_, places), name in product(standings.families(), SIGNS):
        for what, differences in compare(standings, places, name).items():
            for i, words in verdict_rows(standings, differences).items():
                rows[i].setdefault(what, {})[name] = words
    return [row_of(standings, i, row) for i, row in enumerate(rows)]


def compare(standings: Standings, places: Sequence[int], name: str) -> dict[str, dict[int, Difference]]:
    """Some contests beside plain guidance of equal strength, well-chosen plain guidance, and their controls."""
    own, controls = standings.numbers, {i: standings.controls[i] for i in places if i in standings.controls}
    return {
        "against_plain": {i: difference(name, own[i], standings.equal[i]) for i in places},
        "against_chosen": {i: difference(name, own[i], standings.chosen) for i in places},
        "beyond": {i: difference(name, own[i], control) for i, control in controls.items()},
    }


def verdict_rows(standings: Standings, differences: Mapping[int, Difference]) -> dict[int, dict[str, Any]]:
    """Difference, adjusted p-value and verdict of each."""
    said = verdicts(differences, standings.resamples)
    return {
        i: {"difference": ends_of(standings.resamples.interval(one.drawn)), "p": said[i][1], "verdict": said[i][0]}
        for i, one in differences.items()
    }


def row_of(standings: Standings, i: int, beside: dict[str, Any]) -> dict[str, Any]:
    """One contest."""
    contest, own, equal = standings.contests[i], standings.numbers[i], standings.equal[i]
    interval, cell = standings.resamples.interval, contest.cell
    departure, excess = standings.departure(i)
    wanted = contest.at and float(standings.curve.at(contest.at)["strength"][0])
    times = float(own["strength"][0]) / wanted if wanted else 1.0
    return {
        "rule": contest.entrant.name,
        "text": cell.text,
        "kind": contest.kind,
        "at": contest.at,
        "cfg": contest.cfg,
        "knobs": dict(contest.knobs),
        "reached": 1 / NEAR <= times <= NEAR,
        **estimates(standings, own),
        "departure": ends_of(interval(departure)),
        "excess": ends_of(interval(excess)),
        "variety_beside": ends_of(interval(own["apart"] - equal["apart"]).exp()),
        "evaluations": cell.evaluations,
        "scale": finite(cell.scale),
        "along": finite(1 - cell.across),
        "beyond": None,
        **beside,
    }


def finite(value: float) -> float | None:
    """A number as JSON has it."""
    return value if math.isfinite(value) else None


def halves_of(first: Standings, second: Standings, at: float) -> dict[str, Any]:
    """How far two halves of the pictures order the rules alike, by their distance beside that of plain guidance.

    tau: Kendall's, of all pairs; told: of the pairs that the first half tells apart.
    """
    drawn = [drawn_by_rule(half, at, lambda s, i: beside_plain(s, i, "distance")) for half in (first, second)]
    shared = {name: value for name, value in drawn[0].items() if name in drawn[1]}
    one, other = ({name: float(half[name][0]) for name in shared} for half in drawn)
    tau, pairs = kendall(one, other)
    told, apart = kendall(one, other, only={*pairs_apart(shared, first.resamples)})
    return {"at": at, "tau": finite(tau), "pairs": pairs, "told": finite(told), "apart": apart}


def beside_plain(standings: Standings, i: int, name: str) -> Tensor:  # -> [1 + R]
    """A number of a contest minus that of plain guidance of equal strength."""
    return standings.numbers[i][name] - standings.equal[i][name]


def drawn_by_rule(standings: Standings, at: float, read: Any) -> dict[str, Tensor]:
    """A number of every rule with the settings of its paper at one strength, where it is known."""
    numbered = enumerate(standings.contests)
    places = {one.entrant.name: i for i, one in numbered if (one.kind, one.at) == (PAPER, at)}
    drawn = {name: read(standings, i) for name, i in places.items()}
    return {name: value for name, value in drawn.items() if math.isfinite(value[0])}


def agreement_of(standings: Standings, at: float) -> dict[str, Any]:
    """Whether the model's own measure orders the rules as the distance, the label and the class-wise distance do.

    The own order: of two rules at equal prompt strength the one comes first that departs less or has more variety,
    where one of these is told apart and the other does not contradict it. Of the pairs that it orders: how many each
    measure tells apart in the same way, and how many the other way. tau: Kendall's, of the departure and of the lack
    of variety alone with each, over all pairs.
    """
    resamples = standings.resamples
    excess = drawn_by_rule(standings, at, lambda s, i: s.departure(i)[1])
    lack = drawn_by_rule(standings, at, lambda s, i: s.equal[i]["apart"] - s.numbers[i]["apart"])
    first, second = (pairs_apart(drawn, resamples) for drawn in (excess, lack))
    own = {pair: first.get(pair, 0) or second.get(pair, 0) for pair in combinations(excess, 2)}
    own = {pair: sign for pair, sign in own.items() if sign and first.get(pair, sign) == second.get(pair, sign)}
    found: dict[str, Any] = {"at": at, "pairs": math.comb(len(excess), 2), "ordered": len(own)}
    for name, sign in SIGNS.items():
        drawn = drawn_by_rule(standings, at, lambda s, i, n=name, w=sign: w * beside_plain(s, i, n))
        apart, values = pairs_apart(drawn, resamples), {rule: float(v[0]) for rule, v in drawn.items()}
        taus = [kendall({rule: float(v[0]) for rule, v in one.items()}, values)[0] for one in (excess, lack)]
        found[name] = {
            "told": len(apart),
            "same": sum(apart.get(pair) == side for pair, side in own.items()),
            "opposite": sum(apart.get(pair) == -side for pair, side in own.items()),
            "tau_departure": finite(taus[0]),
            "tau_variety": finite(taus[1]),
        }
    return found
