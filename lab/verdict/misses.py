"""Every kind of miss, found among the cells: a run that the verdict got wrong, with its neighbours to look at.

    false alarm      a fine run whose predictions are longer than the alarm allows
    missed burn      a run far above the good scales, without an alarm
    uncovered        a setting whose centre lies outside of the range that a card promises

Neighbours are runs of the same noise at the scales beside. Of exact worlds there are no pictures to show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from .batches import FEATURES, batches
from .cells import MOST
from .evidence import Setting
from .odds import Carded

LABELS = 10
OVERSHOOT = FEATURES.index("overshoot")
AROUND = 1  # scales shown on either side
ROWS = 4  # samples shown of a setting


@dataclass(frozen=True)
class Batch:
    """A batch of one label in a cell.  samples: their places in the cell"""

    setting: Setting
    seed: int
    gamma: float
    samples: tuple[int, ...]
    overshoot: float

    @property
    def label(self) -> int:
        """Of all its samples."""
        return self.samples[0] % LABELS

    @property
    def times(self) -> float:
        """Its scale over the centre of the band."""
        return self.gamma / self.setting.band.centre


@dataclass(frozen=True)
class Shown:
    """A miss as a picture: rows of samples, a column a scale; the column of the miss is framed.

    ends: [rows][columns], each as its cell holds it. named: the judge's label of each.
    """

    name: str
    words: str
    gammas: tuple[float, ...]
    frame: int
    ends: tuple[tuple[ndarray, ...], ...]
    named: tuple[tuple[int, ...], ...]
    setting: Setting


def batches_of(setting: Setting, size: int) -> Iterator[Batch]:
    """Every batch whose ends are kept."""
    for gamma, seeds in zip(setting.gammas, setting.cells, strict=True):
        for seed, cell in enumerate(seeds):
            places = [tuple(one) for one in batches(int(cell["recorded"]), LABELS, size, MOST)]
            rows = zip(places, cell[f"f{size}"][:, OVERSHOOT].tolist(), strict=True)
            yield from (Batch(setting, seed, gamma, own, top) for own, top in rows if max(own) < len(cell["ends"]))


def false_alarm(settings: Sequence[Setting], sure: float, likely: float) -> Shown | None:
    """The longest predictions of a fine run: of one sample, whose lengths spread most."""
    fine = [one for one in _judged_batches(settings, 1) if one.setting.band.holds(one.gamma)]
    worst = max(fine, key=lambda one: one.overshoot, default=None)
    if worst is None or worst.overshoot <= likely:
        return None
    called = "called burning" if worst.overshoot > sure else "said to be perhaps burning"
    words = (
        f"a fine run is {called}: {_where(worst)} lies inside {_edges(worst.setting)}, and a guided prediction was "
        f"{worst.overshoot:.2f} times as long as any without guidance (a sign above {likely:.2f}, an alarm above "
        f"{sure:.2f})"
    )
    return _show_batch("false-alarm", words, worst)


def missed_burn(settings: Sequence[Setting], sure: float, size: int) -> Shown | None:
    """The shortest predictions of a run as far above the good scales as any."""
    high = [one for one in _judged_batches(settings, size) if one.setting.band.high < one.gamma and one.times > 2]
    silent = [one for one in high if one.overshoot <= sure]
    worst = max(silent, key=lambda one: (one.times, -one.overshoot), default=None)
    if worst is None:
        return None
    words = (
        f"no alarm at {worst.times:.1f} times the centre of {_edges(worst.setting)}: {_where(worst)}, guided "
        f"predictions at most {worst.overshoot:.2f} times as long as any without guidance (alarm above {sure:.2f})"
    )
    return _show_batch("missed-burn", words, worst)


def _judged_batches(settings: Sequence[Setting], size: int) -> list[Batch]:
    return [one for setting in settings if setting.trained for one in batches_of(setting, size)]


def _where(batch: Batch) -> str:
    return f"{batch.setting.words}, \u03b3 {batch.gamma:g}"


def _edges(setting: Setting) -> str:
    return f"the band {setting.band.low:.2g} to {setting.band.high:.2g}"


def _show_batch(name: str, words: str, batch: Batch) -> Shown:
    """The batch, with the scales beside its own, and the one nearest to the centre."""
    setting = batch.setting
    at = setting.gammas.index(batch.gamma)
    beside = range(max(0, at - AROUND), min(len(setting.gammas), at + AROUND + 1))
    columns = sorted({*beside, nearest(setting, setting.band.centre)})
    cells = [setting.cells[k][batch.seed] for k in columns]
    gammas = tuple(setting.gammas[k] for k in columns)
    return grid(name, words, setting, (gammas, gammas.index(batch.gamma)), cells, batch.samples)


def grid(
    name: str,
    words: str,
    setting: Setting,
    scales: tuple[tuple[float, ...], int],
    cells: Sequence[Mapping[str, ndarray]],
    samples: Sequence[int],
) -> Shown:
    """The same samples at several scales.  scales: of the cells, and which of them is framed"""
    ends = tuple(tuple(cell["ends"][sample].astype(np.float32) for cell in cells) for sample in samples)
    named = tuple(tuple(int(cell["named"][sample]) for cell in cells) for sample in samples)
    return Shown(name, words, *scales, ends, named, setting)


def nearest(setting: Setting, gamma: float) -> int:
    """Place of the scale nearest to one."""
    return int(np.abs(np.log(np.array(setting.gammas) / gamma)).argmin())


def worst_card(known: Sequence[Carded], ratio: float) -> Shown | None:
    """The setting that lies furthest outside: at the scale that the card holds for its middle, and at its own."""
    missed = [one for one in known if not one.holds(ratio)]
    worst = max(missed, key=lambda one: abs(math.log(one.other.band.centre / one.band.centre)), default=None)
    if worst is None:
        return None
    setting, centres = worst.other, (worst.band.centre, worst.other.band.centre)
    promised, own = (nearest(setting, centre) for centre in centres)
    promised += (centres[0] > centres[1]) - (centres[0] < centres[1]) if promised == own else 0
    words = (
        f"the range is missed: the card of {worst.card} puts the middle at \u03b3 {centres[0]:.2g}, "
        f"and {setting.words} has it at \u03b3 {centres[1]:.2g}; shown are the nearest scales that were measured, "
        "its own framed"
    )
    columns = sorted((promised, own))
    cells, gammas = [setting.cells[k][0] for k in columns], tuple(setting.gammas[k] for k in columns)
    return grid("uncovered", words, setting, (gammas, columns.index(own)), cells, setting.first(ROWS))
