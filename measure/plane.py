"""Guidance rules on the plane of prompt strength and denoising ratio: what each costs at equal strength.

A rule that weakens guidance makes less strange pictures at the same cfg, and so does a lower cfg. So rules are compared
where their pictures show the prompt as strongly as those of plain guidance at a stated cfg: the curve of a rule is
read there, on a straight line between its neighbouring values; how far a parabola through the next value leaves that
line widens every interval. Compared is the *departure*, how far the logarithm of the ratio lies from that of plain
guidance at cfg 1, up or down: pictures that are smoother than the model's own are strange, too.

    departure = |ln ratio - ln ratio of plain cfg 1|

A *control* is plain guidance at the effective scale of every step of a rule's runs (M19): what of a rule's change it
has as well is a matter of scale. It is no measure of quality: docs/own-measure.md says what it cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .bootstrap import RESAMPLES, SEED, holm, interval_of, p_of, resample
from .comparison import ABOVE, BELOW, FARTHER, NEARER, NOTE, Comparison, Pair, Row, ends_of
from .estimates import Estimate, fine, log_ratio, quotient, ratio_sums, strength_sums, students_quantile
from .measurement import Measurement, check_comparable

UNGUIDED = 1.0  # the value of plain guidance at which nothing guides
SIGNIFICANT = 0.05  # adjusted p-value below which two rules are told apart


@dataclass(frozen=True, repr=False)
class RuleCurve:
    """Measures of one rule at rising values of cfg, of the same seeds and setting.

    variety: of the pictures at each value, empty where it is not known. evaluations: of the network for one picture at
    each value, without those of the measure; empty where they are not known.
    """

    name: str
    values: Sequence[float]
    points: Sequence[Measurement]
    variety: Sequence[Estimate] = ()
    evaluations: Sequence[float] = ()

    def __post_init__(self):
        count = len(self.values)
        if count != len(self.points) or count < 2:
            raise ValueError(f"{self.name}: {count} values and {len(self.points)} measures; give two or more of both.")
        if any(b <= a for a, b in pairwise(self.values)):
            raise ValueError(f"{self.name}: the values are {[*self.values]}. Give them in rising order, each once.")
        for what, several in (("varieties", self.variety), ("numbers of evaluations", self.evaluations)):
            if len(several) not in (0, count):
                raise ValueError(f"{self.name}: {len(several)} {what} for {count} values; give one for each, or none.")
        check_comparable(*self.points)


class _Place(NamedTuple):
    """Where a curve is read in every resample: between two neighbours, of which `after` is the right one.

    after, share: [1 + R].
    """

    after: Tensor
    share: Tensor

    def read(self, rows: Tensor) -> Tensor:  # [1 + R or 1, S] -> [1 + R]
        """What stands there; beyond the ends the outer two are prolonged."""
        rows = rows.expand(len(self.after), -1)
        left, right = (rows.gather(1, at[:, None])[:, 0] for at in (self.after - 1, self.after))
        between = left + (right - left) * self.share
        return torch.where(self.share == 0, left, torch.where(self.share == 1, right, between))

    def read_first(self, rows: Tensor) -> Tensor:  # [B, S] -> [B]
        """What rows that are no resamples have at the place of all samples."""
        place = _Place(self.after[:1].expand(len(rows)), self.share[:1].expand(len(rows)))
        return place.read(rows)


class _Reading(NamedTuple):
    """A curve in every resample.  strengths, heights: [1 + R, S], of ln ratio. single: [B, S] of each picture alone."""

    strengths: Tensor
    heights: Tensor
    single: Tensor


class _Standing(NamedTuple):
    """A rule at one strength.

    height, departure: [1 + R]. typical: [B], departure of each picture in the direction of the median one. slack: how
    far the straight line may err.
    """

    height: Tensor
    departure: Tensor
    typical: Tensor
    slack: float


@dataclass(frozen=True, repr=False)
class Plane:
    """Rules beside plain guidance, all of the same seeds and setting.

    plain: has cfg 1 among its values. controls: plain guidance at the effective scale of every step of a rule's runs,
    by the name of the rule, at that rule's values. Raises ValueError for what cannot be compared.
    """

    plain: RuleCurve
    rules: Sequence[RuleCurve]
    controls: Mapping[str, RuleCurve] = field(default_factory=dict)
    resamples: int = RESAMPLES
    seed: int = SEED

    def __post_init__(self):
        if UNGUIDED not in self.plain.values:
            raise ValueError(
                f"{self.plain.name} has the values {[*self.plain.values]}, and departure counts from cfg 1. Measure "
                "plain guidance at cfg 1 as well."
            )
        names = [curve.name for curve in (self.plain, *self.rules)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"Two rules are called {twice[0]}. Give every rule a name of its own.")
        if unknown := self.controls.keys() - names[1:]:
            raise ValueError(f"There is a control of {sorted(unknown)[0]}, which is none of the rules.")
        check_comparable(*(curve.points[0] for curve in (self.plain, *self.rules, *self.controls.values())))
        if self.count < 2:
            raise ValueError("One picture of each value tells no rule from another. Measure two seeds or more.")

    @property
    def count(self) -> int:
        """Pictures of each value."""
        return self.plain.points[0].count

    @property
    def values(self) -> list[float]:
        """The values of plain guidance at which something guides, where rules are compared by default."""
        return [value for value in self.plain.values if value > UNGUIDED]

    def compare(self, value: float) -> Comparison:
        """All rules at the prompt strength of plain guidance at a value, which may lie between measured ones.

        Raises ValueError for a value that plain guidance was not measured around.
        """
        if not self.plain.values[0] <= value <= self.plain.values[-1]:
            raise ValueError(
                f"cfg {value:g} lies outside of what was measured of {self.plain.name}, {self.plain.values[0]:g} to "
                f"{self.plain.values[-1]:g}. Give a value between."
            )
        here = self._nominal(self.plain, value)
        strength = here.read(self._plain.strengths)
        places = {curve.name: _crossing(self._readings[curve.name].strengths, strength) for curve in self.rules}
        missing = {name: _missing(self._readings[name].strengths[0], float(strength[0])) for name in places}
        reached = {self.plain.name: here} | {name: place for name, place in places.items() if not missing[name]}
        curves = {curve.name: curve for curve in (self.plain, *self.rules)}
        standings = {name: self._standing(curves[name], place) for name, place in reached.items()}
        pairs = self._pairs(standings)
        rows = [self._row(curve, value, reached, standings, pairs, missing[curve.name]) for curve in self.rules]
        plain = self._row(self.plain, value, reached, standings, pairs, "")
        told = [Pair(*names, p) for names, p in pairs.items() if p < SIGNIFICANT]
        order = sorted(standings, key=lambda name: float(standings[name].departure[0]))
        return Comparison(value, self._interval(strength), plain, rows, told, _groups(order, told))

    def as_json(self, values: Sequence[float] | None = None) -> dict[str, Any]:
        """The numbers for scripts and agents, as docs/plane.schema.json has them: estimates as [value, low, high].

        values: of plain guidance at which rules are compared; None for all above cfg 1.
        """
        return {
            "v": 1,
            "pictures": self.count,
            "resamples": self.resamples,
            "setting": dict(self.plain.points[0].setting),
            "plain": _curve_json(self.plain),
            "rules": [_curve_json(curve) for curve in self.rules],
            "controls": {name: _curve_json(curve) for name, curve in self.controls.items()},
            "comparisons": [self.compare(value).as_json() for value in self._asked(values)],
        }

    def text(self, values: Sequence[float] | None = None) -> str:
        """A table of all rules for each value of plain guidance, and who is told apart."""
        blocks = [self.compare(value).text() for value in self._asked(values)]
        return "\n\n".join([*blocks, NOTE.format(self.count)])

    def __repr__(self) -> str:
        return self.text()

    def _asked(self, values: Sequence[float] | None) -> Sequence[float]:
        return self.values if values is None else values

    @cached_property
    def _times(self) -> Tensor:  # [1 + R, B]
        return resample(self.count, self.resamples, self.seed)

    @cached_property
    def _readings(self) -> dict[str, _Reading]:
        return {curve.name: _read(curve, self._times) for curve in (self.plain, *self.rules)}

    @cached_property
    def _controls(self) -> dict[str, _Reading]:
        return {name: _read(curve, self._times) for name, curve in self.controls.items()}

    @property
    def _plain(self) -> _Reading:
        return self._readings[self.plain.name]

    @property
    def _unguided(self) -> int:
        """Where plain cfg 1 stands among the values."""
        return [*self.plain.values].index(UNGUIDED)

    def _interval(self, drawn: Tensor, slack: float = 0.0) -> Estimate:  # [1 + R]
        """A number and its interval, wider by what the straight line may err to either side."""
        value, low, high = interval_of(drawn, self.count)
        return Estimate(value, low - slack, high + slack)

    def _nominal(self, curve: RuleCurve, value: float) -> _Place:
        """A value of cfg along a curve, the same in every resample."""
        places = _places(curve)
        after = min(max(sum(each < value for each in curve.values), 1), len(places) - 1)
        place = math.log(value) if curve.values[0] > 0 else value
        share = (place - float(places[after - 1])) / float(places[after] - places[after - 1])
        share = {curve.values[after - 1]: 0.0, curve.values[after]: 1.0}.get(value, share)
        size = (1 + self.resamples,)
        return _Place(torch.full(size, after), torch.full(size, share, dtype=torch.float64))

    def _standing(self, curve: RuleCurve, place: _Place) -> _Standing:
        """A rule where it is read, as far as it is from plain cfg 1."""
        unguided, reading = self._plain, self._readings[curve.name]
        height = place.read(reading.heights)
        departure = (height - unguided.heights[:, self._unguided]).abs()
        single = place.read_first(reading.single) - unguided.single[:, self._unguided]
        return _Standing(height, departure, _median(single).sign() * single, _slack(curve, reading, place))

    def _pairs(self, standings: Mapping[str, _Standing]) -> dict[tuple[str, str], float]:
        """Every two rules, the one that departs less first, and the adjusted p-value of no difference.

        1 where the quotient of sums and the median picture disagree on which departs less.
        """
        families: tuple[dict[tuple[str, str], float], ...] = ({}, {})
        for a, b in combinations(standings, 2):
            difference = standings[a].departure - standings[b].departure
            middle = float(_median(standings[a].typical - standings[b].typical))
            beyond = _beyond(difference, standings[a].slack + standings[b].slack)
            p = p_of(beyond, self.count) if middle * float(beyond[0]) > 0 else 1.0
            families[a != self.plain.name][(a, b) if difference[0] <= 0 else (b, a)] = p
        return holm(families[0]) | holm(families[1])

    def _row(
        self,
        curve: RuleCurve,
        value: float,
        reached: Mapping[str, _Place],
        standings: Mapping[str, _Standing],
        pairs: Mapping[tuple[str, str], float],
        missing: str,
    ) -> Row:
        explained = self._explained(curve, value)
        if missing:
            return Row(curve.name, missing, explained=explained)
        place, standing, plain = reached[curve.name], standings[curve.name], standings[self.plain.name]
        slack = standing.slack + (plain.slack if standing is not plain else 0.0)
        nearer, farther = (curve.name, self.plain.name), (self.plain.name, curve.name)
        p = pairs.get(nearer, pairs.get(farther))
        verdict = "" if p is None or p >= SIGNIFICANT else NEARER if nearer in pairs else FARTHER
        along = _places(curve)[None]
        cfg = self._interval(place.read(along))
        return Row(
            curve.name,
            cfg=cfg.exp() if curve.values[0] > 0 else cfg,
            ratio=self._interval(standing.height, standing.slack).exp(),
            quotient=self._interval(standing.height - plain.height, slack).exp(),
            departure=self._departure(standing),
            excess=self._interval(standing.departure - plain.departure, slack),
            typical=float(_median(standing.typical)),
            typical_excess=float(_median(standing.typical - plain.typical)),
            plain_cfg=self._plain_cfg(standing) if curve is not self.plain else Estimate(*(value,) * 3),
            variety=self._variety(curve, place),
            evaluations=float(place.read(torch.tensor([[*curve.evaluations]], dtype=torch.float64))[0])
            if curve.evaluations
            else None,
            explained=explained,
            p=p,
            verdict=verdict,
        )

    def _departure(self, standing: _Standing) -> Estimate:
        """How far a rule is from plain cfg 1, up or down: its interval is that of the difference, folded."""
        signed = standing.height - self._plain.heights[:, self._unguided]
        value, low, high = self._interval(signed, standing.slack)
        least = 0.0 if low < 0 < high else min(abs(low), abs(high))
        return Estimate(abs(value), least, max(abs(low), abs(high)))

    def _plain_cfg(self, standing: _Standing) -> Estimate | None:
        """The greatest value up to which plain guidance departs no farther than a rule, None beyond all of them."""
        departures, slack = standing.departure, standing.slack
        less, value, more = (self._last_below((departures + err).clamp(min=0)) for err in (-slack, 0.0, slack))
        if float(departures[0]) > float(self._departures[0, -1]):
            return None
        top = float(_places(self.plain)[-1])
        place = Estimate(float(value[0]), self._interval(less).low, min(self._interval(more).high, top))
        return place.exp() if self.plain.values[0] > 0 else place

    @cached_property
    def _departures(self) -> Tensor:  # [1 + R, S]
        """Of plain guidance at its values."""
        heights = self._plain.heights
        return (heights - heights[:, [self._unguided]]).abs()

    def _last_below(self, departure: Tensor) -> Tensor:  # [1 + R] -> [1 + R]
        """Where plain guidance last departs no farther than this; its end where it does so throughout."""
        rise = self._departures - departure[:, None]
        count = rise.shape[1]
        after = (torch.where(rise < 0, torch.arange(count), 0).amax(dim=1) + 1).clamp(max=count - 1)
        left, right = (rise.gather(1, at[:, None])[:, 0] for at in (after - 1, after))
        return _Place(after, (-left / (right - left)).nan_to_num().clamp(0, 1)).read(_places(self.plain)[None])

    def _variety(self, curve: RuleCurve, place: _Place) -> Estimate | None:
        """The variety there; its own error is added to what the place leaves open as if it were independent."""
        if not curve.variety:
            return None
        logs = torch.tensor([[*v] for v in curve.variety], dtype=torch.float64).log()  # [S, 3]
        errors = (logs[:, 2] - logs[:, 1]) / 2 / students_quantile(self.count - 1)
        chance = torch.randn(1 + self.resamples, generator=torch.Generator().manual_seed(self.seed)).double()
        chance[0] = 0
        spread = math.sqrt((self.count - 1) / self.count) * place.read(errors[None])
        return self._interval(place.read(logs[None, :, 0]) + torch.where(chance == 0, 0.0, spread * chance)).exp()

    def _explained(self, curve: RuleCurve, value: float) -> Estimate | None:
        """What its control has of a rule's change of ln ratio, both at a value against plain guidance at that value."""
        control = self.controls.get(curve.name)
        if control is None or not curve.values[0] <= value <= curve.values[-1]:
            return None
        base = self._nominal(self.plain, value).read(self._plain.heights)
        change, of_scale = (
            self._nominal(each, value).read(reading.heights) - base
            for each, reading in ((curve, self._readings[curve.name]), (control, self._controls[curve.name]))
        )
        return self._interval(of_scale / change) if p_of(change, self.count) < SIGNIFICANT else None


def _places(curve: RuleCurve) -> Tensor:  # -> [S]
    """Where the values stand along the curve: their logarithm, or themselves where one is 0 or less."""
    values = torch.tensor([*curve.values], dtype=torch.float64)
    return values.log() if curve.values[0] > 0 else values


def _read(curve: RuleCurve, times: Tensor) -> _Reading:  # times [1 + R, B]
    """The strengths and the heights of a curve, from sums over the samples as often as each was drawn."""
    of_strength = [strength_sums(point.levels) for point in curve.points]
    of_ratio = [ratio_sums(fine(point.levels)) for point in curve.points]
    strengths = [quotient(times @ sums) for sums in of_strength]
    heights = [log_ratio(times @ sums) for sums in of_ratio]
    return _Reading(*(torch.stack(columns, dim=1) for columns in (strengths, heights, [*map(log_ratio, of_ratio)])))


def _slack(curve: RuleCurve, reading: _Reading, place: _Place) -> float:
    """How far ln ratio at this strength may lie off the straight line between two values, by a parabola of cfg.

    f(t) - chord(t) = f[t_1, t_2, t_3] (t - t_1) (t - t_2) with divided differences, the mean of those of the next value
    to either side; t is where the values stand, and strength bends as well. Of two values alone nobody knows: they are
    taken to bend as much as they rise.
    """
    k, u = int(place.after[0]) - 1, float(place.share[0])
    s, h = reading.strengths[0], reading.heights[0]
    if u in (0.0, 1.0) or not float(s[k + 1] - s[k]):
        return 0.0
    slope = float((h[k + 1] - h[k]) / (s[k + 1] - s[k]))
    bends = [_bend(_places(curve), values, k) for values in (s, h)]
    if math.isnan(bends[0]):
        return u * (1 - u) * abs(float(h[k + 1] - h[k]))
    return u * (1 - u) * abs(bends[1] - slope * bends[0])


def _bend(t: Tensor, f: Tensor, k: int) -> float:  # [S], [S]
    """A parabola's largest distance from its chord between the values k and k + 1, times 4; nan for two values."""
    chords = (f[1:] - f[:-1]) / (t[1:] - t[:-1])
    second = (chords[1:] - chords[:-1]) / (t[2:] - t[:-2])
    return float(second[max(k - 1, 0) : k + 1].mean() * (t[k + 1] - t[k]) ** 2)


def _beyond(difference: Tensor, slack: float) -> Tensor:  # [1 + R]
    """What is left of a difference without what the straight lines may err, 0 where nothing is."""
    value = float(difference[0])
    return difference - math.copysign(min(abs(value), slack), value)


def _missing(strengths: Tensor, strength: float) -> str:  # [S]
    """Whether a curve stays below a strength or begins above it, "" where it reaches it."""
    if float(strengths[0]) > strength:
        return ABOVE
    return "" if bool((strengths >= strength).any()) else BELOW


def _crossing(strengths: Tensor, strength: Tensor) -> _Place:  # [1 + R, S], [1 + R]
    """Where a curve first rises to a strength; a resample that does not reach it prolongs the end that is nearer."""
    over = strengths >= strength[:, None]
    crossed = (~over[:, :-1] & over[:, 1:]) | ((strengths == strength[:, None])[:, :-1])
    last = strengths.shape[1] - 1
    first = torch.where(crossed, torch.arange(1, last + 1), last + 1).amin(dim=1)
    after = torch.where(over[:, 0] & (strengths[:, 0] > strength), 1, first.clamp(max=last))
    left, right = (strengths.gather(1, at[:, None])[:, 0] for at in (after - 1, after))
    share = torch.where(right == left, 0.0, (strength - left) / (right - left))
    return _Place(after, share.clamp(-1, 2))


def _median(values: Tensor) -> Tensor:  # [B] -> []
    """The middle of the known values, nan where none is known."""
    return values.nanquantile(0.5)


def _groups(order: Sequence[str], told: Sequence[Pair]) -> list[list[str]]:
    """Names in their order, cut wherever all before are told apart from all behind."""
    apart, groups = {(pair.nearer, pair.farther) for pair in told}, [[]]
    for number, name in enumerate(order):
        groups[-1].append(name)
        before, behind = order[: number + 1], order[number + 1 :]
        if behind and all((a, b) in apart for a in before for b in behind):
            groups.append([])
    return groups


def _curve_json(curve: RuleCurve) -> dict[str, Any]:
    """A curve for scripts."""
    return {
        "name": curve.name,
        "values": [*curve.values],
        "prompt_strength": [ends_of(point.strength) for point in curve.points],
        "denoising_ratio": [ends_of(point.ratio) for point in curve.points],
        "variety": [ends_of(each) for each in curve.variety],
        "evaluations": [*curve.evaluations],
    }
