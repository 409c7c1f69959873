"""What a study found: means along every axis, which axes make a difference, and the best settings.

A draw is one combination of seeds and prompts: chance, and not a setting. Every setting runs with the same draws, so
what is compared is compared within draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import torch

from .axes import Axis, Value
from .curves import OF_ALL_SEEDS, is_draw
from .measures import MEASURES, OTHERS, Spread, spread_of
from .results import Row

PROMPTS = ("prompt", "text", "label")  # axes that are drawn as seeds are
LEVEL = 0.05  # of being wrong in one of all that is called a difference
RESAMPLES = 1_000
MOST_RIVALS = 5  # that are named
EXACT = 1e-12  # share of the size of the values below which two are the same

Setting = tuple[tuple[str, Value], ...]


class Effect(NamedTuple):
    """A measure along an axis.  means: by value. p: of no difference, nan where it cannot be told."""

    measure: str
    axis: str
    means: Mapping[Value, Spread]
    p: float


class Best(NamedTuple):
    """The setting with the best mean.  share: of resamples of the draws in which it is the best.

    rivals: settings that may be as good: the 95 % interval of their difference from it holds 0.
    """

    measure: str
    setting: Setting
    mean: Spread
    share: float
    rivals: tuple[Setting, ...]


def is_drawn(axis: str) -> bool:
    """Whether what differs along an axis is chance: a seed or a prompt."""
    return is_draw(axis) or axis.rpartition(".")[2] in PROMPTS


def grid_of(rows: Sequence[Row], measure: str, keys: Sequence[str]) -> dict[Setting, list[float]]:
    """A value of every setting for every draw: the mean over the axes that are not among `keys`.

    Only draws at which no cell is missing. keys: axes that are not drawn.
    """
    found: dict[Setting, dict[Setting, list[float]]] = {}
    there: dict[Setting, set[Setting]] = {}  # the settings of every draw
    for row in rows:
        value, draw = row["measures"].get(measure), _drawn(row, measure)
        if value is not None and math.isfinite(value):
            setting = tuple((name, row["place"][name]) for name in keys)
            found.setdefault(setting, {}).setdefault(draw, []).append(value)
            there.setdefault(draw, set()).add(tuple((n, v) for n, v in row["place"].items() if not is_drawn(n)))
    most = max(there.values(), key=len, default=set())
    full = [draw for draw, settings in there.items() if settings == most]
    return {s: [fmean(of[draw]) for draw in full] for s, of in found.items() if of.keys() >= set(full)}


def _drawn(row: Row, measure: str) -> Setting:
    """Where a row is along the axes of chance; a measure of all seeds is there for each prompt alone."""
    apart = (lambda name: not is_draw(name)) if measure in OF_ALL_SEEDS else (lambda name: True)
    return tuple((name, value) for name, value in row["place"].items() if is_drawn(name) and apart(name))


def chance_of(grid: Sequence[Sequence[float]]) -> float:  # [settings][draws]
    """The chance of means as different as these where no setting differs, nan for fewer than two draws or settings.

    Analysis of variance with repeated measures: F is compared with that of 1 and n - 1 degrees of freedom, which holds
    however the settings go together (Geisser and Greenhouse 1958); for two settings it is the paired t test.
    """
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
    return student_tail(math.sqrt(between / within), n - 1)


def student_tail(t: float, freedom: int) -> float:
    """The chance of |t| or more, for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan2(t, math.sqrt(freedom))
    square, odd = math.cos(angle) ** 2, freedom % 2
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for step in range(1 + odd, freedom, 2):
        total += term
        term *= square * step / (step + 1)
    inside = (2 / math.pi) * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return max(0.0, 1 - inside)


def effects(rows: Sequence[Row], axes: Sequence[Axis]) -> list[Effect]:
    """Every measure along every axis that is not drawn."""
    varied = [axis for axis in axes if len(axis.values) > 1 and not is_drawn(axis.name)]
    return [_effect(rows, name, axis) for name in measures_of(rows) for axis in varied]


def _effect(rows: Sequence[Row], measure: str, axis: Axis) -> Effect:
    grid = grid_of(rows, measure, [axis.name])
    found = {value: grid[(axis.name, value),] for value in axis.values if ((axis.name, value),) in grid}
    means = {value: spread_of(values) for value, values in found.items()}
    return Effect(measure, axis.name, means, chance_of(list(found.values())))


def measures_of(rows: Sequence[Row]) -> list[str]:
    """The measures that any row has a number of."""
    found = (item for row in rows for item in row["measures"].items())
    known = (name for name, value in found if value is not None and math.isfinite(value))
    return list(dict.fromkeys(known))


def significant(found: Sequence[Effect]) -> list[bool]:
    """Which effects are differences: all are tested together, so that LEVEL is of one mistake in all (Holm 1979)."""
    told = sorted((effect.p, number) for number, effect in enumerate(found) if math.isfinite(effect.p))
    passed: set[int] = set()
    for rank, (p, number) in enumerate(told):
        if p > LEVEL / (len(told) - rank):
            break
        passed.add(number)
    return [number in passed for number in range(len(found))]


def bests(rows: Sequence[Row], axes: Sequence[Axis]) -> Iterator[Best]:
    """The best setting by every measure of which more or less is better."""
    keys = [axis.name for axis in axes if len(axis.values) > 1 and not is_drawn(axis.name)]
    for name in measures_of(rows) if keys else ():
        sign = {"high": 1, "low": -1}.get({**MEASURES, **OTHERS}[name].better)
        grid = grid_of(rows, name, keys)
        if sign and len(grid) > 1:
            yield _best(name, grid, sign)


def _best(measure: str, grid: Mapping[Setting, list[float]], sign: int) -> Best:
    settings, values = list(grid), torch.tensor(list(grid.values()), dtype=torch.float64)
    best = int((sign * values.mean(1)).argmax())
    apart = [spread_of((values[best] - one).tolist()) for one in values]
    same = EXACT * float(values.abs().max())
    rivals = (
        s for s, d in zip(settings, apart, strict=True) if not abs(d.mean) > d.half + same and s != settings[best]
    )
    return Best(measure, settings[best], spread_of(values[best].tolist()), share_of(sign * values, best), tuple(rivals))


def share_of(values: torch.Tensor, best: int) -> float:  # [settings, draws]
    """How often a setting has the largest mean when the draws are drawn again; nan for one draw.  Ties count for it."""
    n = values.shape[1]
    if n < 2:
        return math.nan
    picks = torch.randint(n, (RESAMPLES, n), generator=torch.Generator().manual_seed(0))
    counts = torch.zeros(RESAMPLES, n, dtype=values.dtype).scatter_add_(
        1, picks, torch.ones_like(picks, dtype=values.dtype)
    )
    means = counts @ values.T / n
    return float((means[:, best] >= means.amax(1) - EXACT * float(values.abs().max())).double().mean())


def report_text(rows: Sequence[Row], axes: Sequence[Axis]) -> str:
    """The report as text."""
    found = effects(rows, axes)
    if not found:
        return "There is nothing to compare: no axis of settings has two values, or no cell is done.\n"
    draws = len({_drawn(row, "") for row in rows})
    drawn = f"{draws} draw{'s' * (draws != 1)} of seeds and prompts"
    lines = [f"{len(rows)} cells, {drawn}. Means with 95 % intervals over the draws."]
    best = {one.measure: one for one in bests(rows, axes)}
    passed = significant(found)
    for name in measures_of(rows):
        lines += ["", {**MEASURES, **OTHERS}[name].title]
        lines += [f"  {_said(e, ok)}" for e, ok in zip(found, passed, strict=True) if e.measure == name]
        lines += [f"  {_recommended(best[name])}"] if name in best else []
    return "\n".join([*lines, "", _conclusion(found, passed)]) + "\n"


def _conclusion(found: Sequence[Effect], passed: Sequence[bool]) -> str:
    """Which axes may be left alone, as far as can be told."""
    if calm := [axis for axis in dict.fromkeys(e.axis for e in found) if _calm(axis, found, passed)]:
        return f"No significant difference in any measure: {', '.join(calm)}."
    if any(passed):
        return "Every axis of which anything can be told makes a difference in some measure."
    return "Too few draws to tell any difference. Run more seeds or prompts."


def _calm(axis: str, found: Sequence[Effect], passed: Sequence[bool]) -> bool:
    """Whether something could be told of an axis, and nothing differs."""
    own = [(math.isfinite(e.p), ok) for e, ok in zip(found, passed, strict=True) if e.axis == axis]
    return any(told for told, _ in own) and not any(ok for _, ok in own)


def _said(effect: Effect, passed: bool) -> str:
    unit = {**MEASURES, **OTHERS}[effect.measure].unit
    means = ", ".join(f"{value}: {_number(spread, unit)}" for value, spread in effect.means.items())
    p = f"p {effect.p:.2g}" if effect.p >= 0.0001 else "p < 0.0001"
    words = "too few draws to tell" if math.isnan(effect.p) else f"differs, {p}" if passed else f"not significant, {p}"
    return f"{effect.axis} ({words}): {means}"


def _recommended(best: Best) -> str:
    one = {**MEASURES, **OTHERS}[best.measure]
    word = {"high": "highest", "low": "lowest"}[one.better]
    told = "" if math.isnan(best.share) else f"; {word} in {100 * best.share:.0f} % of resamples of the draws"
    names = [_named(setting) for setting in best.rivals[:MOST_RIVALS]]
    more = f" and {len(best.rivals) - MOST_RIVALS} more" if len(best.rivals) > MOST_RIVALS else ""
    rivals = f". Not told apart: {'; '.join(names)}{more}" if names else ""
    return f"{word}: {_named(best.setting)}: {_number(best.mean, one.unit)}{told}{rivals}."


def _named(setting: Setting) -> str:
    return ", ".join(f"{name} {value}" for name, value in setting)


def _number(spread: Spread, unit: str) -> str:
    """A mean to the second digit of its interval, which says that the next is chance."""
    scale, mark = (100, " %") if unit == "percent" else (1, " s") if unit == "seconds" else (1, "")
    mean, half = scale * spread.mean, scale * spread.half
    if not half > EXACT * abs(mean):
        return f"{mean:.4g}{mark}"
    digits = max(0, 1 - math.floor(math.log10(half)))
    return f"{mean:.{digits}f} \u00b1 {half:.{digits}f}{mark}"
