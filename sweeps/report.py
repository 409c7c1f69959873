"""What a study found: means along every axis, which axes make a difference, and what its judge prefers.

A draw is one combination of seeds and prompts: chance, and not a setting. Every setting runs with the same draws, so
what is compared is compared within draws. Only a judge ranks settings: less guidance, fewer saturated values and fewer
evaluations are no better by themselves, and are all had by ignoring the condition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import torch

from ..guidance.printing import count_of
from ..measure.bootstrap import holm
from .axes import Axis, Value, is_chance, is_seed
from .curves import OF_ALL_SEEDS
from .measures import JUDGE, Spread, measure_of, spread_of
from .results import Row

LEVEL = 0.05  # of being wrong in one of all that is called a difference
MOST_RIVALS = 5  # that are named
EXACT = 1e-12  # share of the size of the values below which two are the same
NO_JUDGE = (
    "Nothing here tells which pictures are better: no judge scored them. A small saturation, a short push or few "
    "evaluations are no sign of quality. Connect an energy as a judge, or look at the pictures."
)

Setting = tuple[tuple[str, Value], ...]


class Effect(NamedTuple):
    """A measure along an axis.  means: by value. p: of no difference, as one of all tests; nan: unknown."""

    measure: str
    axis: str
    means: Mapping[Value, Spread]
    p: float

    @property
    def differs(self) -> bool:
        """Whether it is a difference."""
        return self.p <= LEVEL


class Best(NamedTuple):
    """The setting with the judge's best mean, on the axes that make a difference to it.

    rivals: settings whose difference from it may be chance.
    """

    setting: Setting
    mean: Spread
    rivals: tuple[Setting, ...]


def grid_of(rows: Sequence[Row], measure: str, keys: Sequence[str]) -> dict[Setting, list[float]]:
    """A value of every setting for every draw: the mean over the axes that are not among `keys`.

    Only draws at which no cell is missing. keys: axes that are not drawn.
    """
    grid: dict[Setting, dict[Setting, list[float]]] = {}
    there: dict[Setting, set[Setting]] = {}  # the settings of every draw
    for row in rows:
        value, draw = row["measures"].get(measure), _draw_of(row, measure)
        if value is not None and math.isfinite(value):
            setting = tuple((name, row["place"][name]) for name in keys)
            grid.setdefault(setting, {}).setdefault(draw, []).append(value)
            there.setdefault(draw, set()).add(tuple((n, v) for n, v in row["place"].items() if not is_chance(n)))
    most = max(there.values(), key=len, default=set())
    full = [draw for draw, settings in there.items() if settings == most]
    return {s: [fmean(of[draw]) for draw in full] for s, of in grid.items() if of.keys() >= set(full)}


def _draw_of(row: Row, measure: str) -> Setting:
    """Where a row is along the axes of chance; a measure of all seeds is there for each prompt alone."""
    apart = (lambda name: not is_seed(name)) if measure in OF_ALL_SEEDS else (lambda name: True)
    return tuple((name, value) for name, value in row["place"].items() if is_chance(name) and apart(name))


def chance_of(grid: Sequence[Sequence[float]]) -> float:  # [settings][draws]
    """The chance of means as different as these where no setting differs, nan for fewer than two draws or settings.

    Analysis of variance with repeated measures: F is compared with that of 1 and n - 1 degrees of freedom, which holds
    however the settings go together (Geisser and Greenhouse 1958); for two settings it is the paired t test.
    """
    from scipy.special import fdtrc

    x = torch.tensor(grid, dtype=torch.float64)
    if x.ndim < 2 or min(x.shape) < 2:
        return math.nan
    k, n = x.shape
    means, total = x.mean(1, keepdim=True), x.mean()
    between = float(n * ((means - total) ** 2).sum()) / (k - 1)
    within = float(((x - means - x.mean(0, keepdim=True) + total) ** 2).sum()) / ((k - 1) * (n - 1))
    least = (EXACT * float(x.abs().max())) ** 2
    if within <= least:
        return 0.0 if between > least else 1.0
    return float(fdtrc(1, n - 1, between / within))


def effects(rows: Sequence[Row], axes: Sequence[Axis]) -> list[Effect]:
    """Every measure along every axis that is not drawn."""
    varied = [axis for axis in axes if len(axis.values) > 1 and not is_chance(axis.name)]
    alone = [_effect(rows, name, axis) for name in measures_of(rows) for axis in varied]
    chances = together([effect.p for effect in alone])
    return [effect._replace(p=p) for effect, p in zip(alone, chances, strict=True)]


def _effect(rows: Sequence[Row], measure: str, axis: Axis) -> Effect:
    grid = grid_of(rows, measure, [axis.name])
    by_value = {value: grid[(axis.name, value),] for value in axis.values if ((axis.name, value),) in grid}
    means = {value: spread_of(values, measure_of(measure).within) for value, values in by_value.items()}
    return Effect(measure, axis.name, means, chance_of(list(by_value.values())))


def measures_of(rows: Sequence[Row]) -> list[str]:
    """The measures that any row has a number of."""
    items = (item for row in rows for item in row["measures"].items())
    return list(dict.fromkeys(name for name, value in items if value is not None and math.isfinite(value)))


def together(chances: Sequence[float]) -> list[float]:
    """P values for tests that are made together: below LEVEL, one mistake in all (Holm 1979); nan stays nan."""
    adjusted = holm({number: p for number, p in enumerate(chances) if math.isfinite(p)})
    return [adjusted.get(number, math.nan) for number in range(len(chances))]


def best_of(rows: Sequence[Row], axes: Sequence[str]) -> Best | None:
    """What the judge prefers on these axes; None where there is nothing to choose from."""
    grid = grid_of(rows, JUDGE, axes) if axes else {}
    if len(grid) < 2:
        return None
    best = max(grid, key=lambda setting: fmean(grid[setting]))
    others = [setting for setting in grid if setting != best]
    chances = together([chance_of([grid[best], grid[other]]) for other in others])
    rivals = tuple(other for other, p in zip(others, chances, strict=True) if not p <= LEVEL)
    return Best(best, spread_of(grid[best], measure_of(JUDGE).within), rivals)


def report_text(rows: Sequence[Row], axes: Sequence[Axis]) -> str:
    """The report as text."""
    tests = effects(rows, axes)
    if not tests:
        return "There is nothing to compare: no axis of settings has two values, or no cell is done.\n"
    draws = len({_draw_of(row, "") for row in rows})
    drawn = f"{count_of(draws, 'draw')} of seeds and prompts"
    lines = [f"{count_of(len(rows), 'cell')}, {drawn}. Means, and in brackets 95 % intervals over the draws."]
    for name in measures_of(rows):
        of_measure = [effect for effect in tests if effect.measure == name]
        lines += ["", measure_of(name).title, *(f"  {_describe_effect(effect)}" for effect in of_measure)]
        lines += [f"  {_describe_preference(rows, of_measure)}"] if name == JUDGE else []
    judged = [] if JUDGE in measures_of(rows) else [NO_JUDGE]
    return "\n".join([*lines, "", *judged, _conclusion(tests)]) + "\n"


def _conclusion(every_effect: Sequence[Effect]) -> str:
    """Which axes may be left alone, as far as can be told."""
    axes = dict.fromkeys(effect.axis for effect in every_effect if math.isfinite(effect.p))
    busy = {effect.axis for effect in every_effect if effect.differs}
    if calm := [axis for axis in axes if axis not in busy]:
        return f"No significant difference in any measure: {', '.join(calm)}."
    if busy:
        return "Every axis of which anything can be told makes a difference in some measure."
    return "Too few draws to tell any difference. Run more seeds or prompts."


def _describe_effect(effect: Effect) -> str:
    unit = measure_of(effect.measure).unit
    means = ", ".join(f"{value}: {_number(spread, unit)}" for value, spread in effect.means.items())
    p = f"p {effect.p:.2g}" if effect.p >= 0.0001 else "p < 0.0001"
    words = (
        "too few draws to tell"
        if math.isnan(effect.p)
        else f"{'differs' if effect.differs else 'not significant'}, {p}"
    )
    return f"{effect.axis} ({words}): {means}"


def _describe_preference(rows: Sequence[Row], every_effect: Sequence[Effect]) -> str:
    """What the judge prefers, of the axes that make a difference to it."""
    best = best_of(rows, [effect.axis for effect in every_effect if effect.differs])
    if best is None:
        return "the judge tells no setting from another"
    if not best.rivals:
        return f"best for the judge: {_name_setting(best.setting)}: {_number(best.mean, measure_of(JUDGE).unit)}"
    names = [_name_setting(setting) for setting in (best.setting, *best.rivals[:MOST_RIVALS])]
    more = f" and {len(best.rivals) - MOST_RIVALS} more" if len(best.rivals) > MOST_RIVALS else ""
    return f"the judge prefers one of these, and it cannot be told which: {'; '.join(names)}{more}"


def _name_setting(setting: Setting) -> str:
    return ", ".join(f"{name} {value}" for name, value in setting)


def _number(spread: Spread, unit: str) -> str:
    """A mean and its interval, to the second digit of the interval's half: the next one is chance."""
    scale, mark = (100, " %") if unit == "percent" else (1, " s") if unit == "seconds" else (1, "")
    mean, low, high = (scale * value for value in spread[:3])
    if not high - low > EXACT * abs(mean):
        return f"{mean:.4g}{mark}"
    digits = max(0, 1 - math.floor(math.log10((high - low) / 2)))
    mean, low, high = (f"{round(value, digits) + 0.0:.{digits}f}" for value in (mean, low, high))
    return f"{mean}{mark} ({low} to {high})"
