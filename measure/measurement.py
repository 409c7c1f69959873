"""What was measured of some samples, and what may be compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .estimates import Estimate, denoising_ratio, prompt_strength, ratio_of, times_as_strange
from .gate import Gate, gate_of
from .levels import Level


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


def check_comparable(*measured: Measurement) -> None:
    """Raise ValueError unless all were measured of samples of one setting and number."""
    first = measured[0]
    for one in measured[1:]:
        names = sorted({*first.setting, *one.setting})
        if differing := [name for name in names if first.setting.get(name) != one.setting.get(name)]:
            name = differing[0]
            raise ValueError(
                f"{name} is {first.setting.get(name)!r} here and {one.setting.get(name)!r} there, and that moves the "
                f"measure as much as guidance does. Compare samples of one {name}."
            )
        if one.count != first.count:
            raise ValueError(f"{first.count} samples against {one.count}: compare the same seeds, one for one.")
