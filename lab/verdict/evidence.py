"""What the cells show: for every world and sampler the good scales, and every run with what is known of its scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...dev.places import ROOT
from ...files.safetensors import read_safetensors
from ...verdict.good_scales import GoodScales, good_scales
from ..train.demo_evaluation import Statistics
from .batches import FEATURES, ROW
from .cells import Cell
from .objectives import Objective, join_samples, objective_e, objective_j, objective_l
from .runs import SAMPLERS
from .worlds import BLURS

HIGH = 2.0  # times the centre of the band: clearly too high


@dataclass(frozen=True)
class Run:
    """A batch of one label.  times: its scale over the centre of the band; features: by name"""

    gamma: float
    times: float
    fine: bool
    features: Mapping[str, float]

    @property
    def too_high(self) -> bool:
        """Whether its scale is clearly too high."""
        return self.times > HIGH


@dataclass(frozen=True)
class Setting:
    """A world with a sampler: its cells by scale, one a seed, and what the objective says of them.

    part: which of its samples, empty for all of them; parity: of their labels, where it is one of the halves of these.
    objective: of what a judge found.
    """

    world: str
    sampler: str
    gammas: tuple[float, ...]
    cells: tuple[tuple[Mapping[str, np.ndarray], ...], ...]  # [scales][seeds]
    values: tuple[float, ...]
    band: GoodScales
    rows: tuple[Mapping[str, float], ...] = ()  # of the judge, by scale
    real: Statistics | None = None  # what it is compared with
    flow: bool = False
    part: str = ""
    parity: int | None = None
    objective: Objective = objective_l

    @property
    def words(self) -> str:
        """What it is."""
        sampler = SAMPLERS[self.sampler]
        parts = (self.world, f"{sampler.name} {self.schedule} {sampler.steps}", *self.rules, self.part)
        return ", ".join(part for part in parts if part)

    @property
    def kind(self) -> str:
        """Its sampler, schedule and rules."""
        return ", ".join((f"{SAMPLERS[self.sampler].name} {self.schedule}", *self.rules))

    @property
    def rules(self) -> tuple[str, ...]:
        """What guides it beside cfg."""
        return tuple(rule.chain_text for rule in SAMPLERS[self.sampler].chain.rules)

    @property
    def schedule(self) -> str:
        """Name of its schedule."""
        return "simple" if self.flow else SAMPLERS[self.sampler].scheduler

    @property
    def trained(self) -> bool:
        """Whether a judge measured it."""
        return bool(self.rows)

    @property
    def group(self) -> str:
        """The class of its sampler."""
        return SAMPLERS[self.sampler].group

    def first(self, count: int) -> list[int]:
        """Places of its first samples in a cell, whose labels cycle."""
        return list(range(count)) if self.parity is None else [2 * k + self.parity for k in range(count)]

    def with_judge(self, rows: Sequence[Mapping[str, float]], **more: Any) -> Setting:
        """The same with other findings of the judge, by scale, and what follows from them."""
        found = replace(self, rows=tuple(rows), **more)
        values = tuple(found.objective(rows))
        return replace(found, values=values, band=good_scales(self.gammas, values))

    def features_at(self, gamma: float) -> dict[str, float]:
        """Median features of runs of one sample at a scale, in between linear in ln gamma."""
        medians = np.array([np.median(np.concatenate([cell["f1"] for cell in seeds]), axis=0) for seeds in self.cells])
        logs = np.log(self.gammas)
        return {name: float(np.interp(math.log(gamma), logs, medians[:, k])) for k, name in enumerate(FEATURES)}

    def runs(self, size: int) -> list[Run]:
        """All batches of `size` samples."""
        return [
            Run(gamma, gamma / self.band.centre, self.band.holds(gamma), dict(zip(ROW, row, strict=True)))
            for gamma, seeds in zip(self.gammas, self.cells, strict=True)
            for cell in seeds
            for row in cell[f"f{size}"].tolist()
        ]


FIXTURES = ROOT / "tests" / "fixtures"


def real_statistics() -> Statistics:
    """Of the validation pictures, as the judge sees them."""
    tensors, _ = read_safetensors(FIXTURES / "pocket_judge_statistics.safetensors")
    return Statistics(**{name: tensor.double() for name, tensor in tensors.items()})


@cache
def within_halves() -> Tensor:  # -> [2, F, F]
    """The same pictures' pooled covariance about the class means, of even labels and of odd ones."""
    tensors, _ = read_safetensors(FIXTURES / "pocket_judge_halves.safetensors")
    return tensors["within"].double()


def setting_of(cells: Sequence[Cell], real: Statistics) -> Setting:
    """One world and sampler, from cells of several scales and seeds."""
    world, sampler = cells[0].world, cells[0].sampler.key
    gammas = tuple(sorted({cell.gamma for cell in cells}))
    held = tuple(tuple(cell.measure() for cell in cells if cell.gamma == gamma) for gamma in gammas)
    if not world.trained:
        values = tuple(objective_e(seeds) for seeds in held)
        return Setting(world.name, sampler, gammas, held, values, good_scales(gammas, values))
    rows = tuple(join_samples(seeds).numbers(real) for seeds in held)
    values = tuple(objective_l(rows))
    return Setting(world.name, sampler, gammas, held, values, good_scales(gammas, values), rows, real, world.flow)


def settings_of(cells: Iterable[Cell], real: Statistics) -> list[Setting]:
    """Every world and sampler whose cells are all there."""
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        grouped.setdefault((cell.world.name, cell.sampler.key), []).append(cell)
    return [setting_of(group, real) for group in grouped.values() if all(cell.path.exists() for cell in group)]


def by_world(settings: Sequence[Setting]) -> dict[str, list[Setting]]:
    """The settings of every world."""
    found: dict[str, list[Setting]] = {}
    for setting in settings:
        found.setdefault(setting.world, []).append(setting)
    return found


def by_j(setting: Setting) -> Setting:
    """The same, judged by the other objective."""
    return setting.with_judge(setting.rows, objective=objective_j)


def quantile(values: Iterable[float], share: float) -> float:
    """A quantile; nan of nothing."""
    known = [value for value in values if math.isfinite(value)]
    return float(torch.tensor(known, dtype=torch.float64).quantile(share)) if known else math.nan


def share(truths: Iterable[bool]) -> float:
    """How many are true; nan of none."""
    found = list(truths)
    return sum(found) / len(found) if found else math.nan


def told_apart(runs: Sequence[Run], feature: str) -> float:
    """How often a run that is too high has more of a feature than a fine one (AUC); nan where one kind is missing."""
    known = [run for run in runs if math.isfinite(run.features[feature])]
    fine, high = (
        np.array([run.features[feature] for run in known if chosen(run)])
        for chosen in (lambda run: run.fine, lambda run: run.too_high and not run.fine)
    )
    if not len(fine) or not len(high):
        return math.nan
    below = np.searchsorted(np.sort(fine), high, side="left"), np.searchsorted(np.sort(fine), high, side="right")
    return float((below[0] + below[1]).mean() / (2 * len(fine)))


def blur_relatives(setting: Setting) -> list[Setting]:
    """The worlds that differ from this one by a blur of the condition alone."""
    return [
        replace(
            setting,
            world=f"{setting.world} / {k:g}",
            gammas=tuple(k * gamma for gamma in setting.gammas),
            band=setting.band.times(k),
        )
        for k in BLURS
    ]
