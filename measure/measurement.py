"""What was measured of some samples, and what may be compared with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..guidance.printing import shorten
from .estimates import Estimate, coarse, denoising_ratio, fine, prompt_strength, ratio_of, times_as_strange
from .gate import Gate, gate_of
from .levels import Level

MEASURED = "measured"  # field of a trace's header: what the model said of the finished samples
SUMS = Level._fields[1:]
MOST = 1e6  # of a noise level, which is 1 / MOST at least
LONGEST = 60  # characters of a setting in a message
MADE_BY = ("sampler", "sigmas", "options")  # fields of a trace's header that move the measure as much as guidance does


@dataclass(frozen=True, repr=False)
class Measurement:
    """The answers about samples of one setting.

    levels: the sums of what was answered, coarse to fine. setting: sampler, scheduler, steps, size and whatever else
    the samples were made with; only equal ones are compared. evaluations: of the network, a pair of predictions is two.
    """

    levels: Sequence[Level]
    setting: Mapping[str, Any] = field(default_factory=dict)
    evaluations: int = 0

    @property
    def count(self) -> int:
        """Samples."""
        return len(self.levels[0].error)

    @property
    def strength(self) -> Estimate:
        """Prompt strength: 1 as the model draws the prompt by itself."""
        return prompt_strength(self.levels)

    @property
    def ratio(self) -> Estimate:
        """Denoising ratio: 1 as strange to the model as what it draws itself."""
        return denoising_ratio(self.levels)

    @property
    def gate(self) -> Gate:
        """Whether the measure applies to the model; only of samples at cfg 1."""
        return gate_of(self.levels)

    def times_as_strange_as(self, other: Measurement) -> Estimate:
        """How many times as strange these samples are as others of the same seeds.

        Raises ValueError where something but the scale differs: sampler, schedule, steps and size move the ratio as
        much as the scale does.
        """
        check_comparable(self, other)
        return times_as_strange(self.levels, other.levels)

    def sums(self) -> dict[str, Any]:
        """All that `measurement_of` needs, for a header: the sums of every level and sample."""
        rows = {name: [getattr(level, name).tolist() for level in self.levels] for name in SUMS}
        return {"evaluations": self.evaluations, "sigmas": [level.sigma for level in self.levels], **rows}

    def joined(self, *others: Measurement) -> Measurement:
        """With further samples of the same setting.  Raises ValueError where that differs."""
        check_setting(self, *others)
        several = (self, *others)
        levels = [Level(same[0].sigma, *map(torch.cat, zip(*(level[1:] for level in same), strict=True)))
                  for same in zip(*(measured.levels for measured in several), strict=True)]  # fmt: skip
        return replace(self, levels=levels, evaluations=sum(measured.evaluations for measured in several))

    def as_json(self) -> dict[str, Any]:
        """The numbers for scripts: estimates as [value, low, high]."""
        ratios = {f"{level.sigma:g}": [*ratio_of(level)] for level in self.levels}
        return {
            "pictures": self.count,
            "prompt_strength": [*self.strength],
            "denoising_ratio": [*self.ratio],
            "ratio_by_level": ratios,
            "evaluations": self.evaluations,
            "setting": dict(self.setting),
        }

    def __repr__(self) -> str:
        return (
            f"{self.count} pictures: prompt strength {self.strength.text}, denoising ratio {self.ratio.text} "
            f"({self.evaluations} evaluations)"
        )


def measurement_of(header: Mapping[str, Any]) -> Measurement | None:
    """What was measured of a recorded run, None where nothing was, or its file is damaged.  header: of its trace"""
    stored = header.get(MEASURED) or {}
    try:
        evaluations, sigmas = int(stored.get("evaluations") or 0), [float(sigma) for sigma in stored["sigmas"]]
        columns = [torch.tensor(_nan_for_none(stored[name]), dtype=torch.float64) for name in SUMS]  # [L, B] each
        levels = [Level(sigma, *sums) for sigma, *sums in zip(sigmas, *columns, strict=True)]
    except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError):
        return None
    alike = all(column.shape == (len(levels), columns[0].shape[-1]) for column in columns)
    whole = fine(levels) and coarse(levels) and all(1 / MOST < sigma < MOST for sigma in sigmas)
    return Measurement(levels, setting_of(header), evaluations) if alike and whole and columns[0].numel() else None


def setting_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """What moves the measure as much as guidance does, of a recorded run.  header: of its trace"""
    reading = (header.get("model") or {}).get("reading")  # the same weights may be read as another prediction
    size = (header.get("latent") or {}).get("shape")
    return {"size": size, "reading": reading, **{name: header.get(name) for name in MADE_BY}}


def _nan_for_none(rows: Sequence[Sequence[float | None]]) -> list[list[float]]:
    """Rows with nan in the place of None, since JSON has no nan."""
    return [[math.nan if value is None else value for value in row] for row in rows]


def check_setting(*measured: Measurement) -> None:
    """Raise ValueError unless all were measured of samples of one setting."""
    first = measured[0].setting
    for other in measured[1:]:
        for name in [*first, *(other.setting.keys() - first.keys())]:
            here, there = first.get(name), other.setting.get(name)
            if here != there:
                raise ValueError(
                    f"{name} is {shorten(repr(here), LONGEST)} here and {shorten(repr(there), LONGEST)} there, and "
                    f"that moves the measure as much as guidance does. Compare samples of one {name}."
                )


def check_comparable(*measured: Measurement) -> None:
    """Raise ValueError unless all were measured of samples of one setting and number."""
    check_setting(*measured)
    first = measured[0]
    for other in measured[1:]:
        if other.count != first.count:
            raise ValueError(f"{first.count} samples against {other.count}: compare the same seeds, one for one.")
