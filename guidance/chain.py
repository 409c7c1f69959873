"""The chain on a GG_GUIDANCE wire: an immutable, ordered list of what happens to the predictions of a step.

Gamma itself lives in the sampler's cfg; a schedule in the chain reshapes it. A sampler accepts any object with the two
methods `init` and `step`, so that another pack can put its own rule on the wire without importing this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from torch import Tensor

from .predictions import Predictions
from .rules.cfg import cfg
from .schedules import Run, ScaleSchedule


class Guidance(Protocol):
    """What a sampler asks of a guidance wire; `scale`, `text` and `is_cfg` are optional (see Chain)."""

    def init(self, run: Run) -> Any:
        """State of one run, made anew for each."""
        ...

    def step(self, state: Any, p: Predictions, gamma: float) -> tuple[Tensor, Any]:
        """Guided x0-hat [B, ...] of one outer step, and the state for the next."""
        ...


@dataclass(frozen=True)
class Chain:
    """Schedules of gamma in wire order, then classifier-free guidance.  An empty chain is plain CFG."""

    schedules: tuple[ScaleSchedule, ...] = ()
    is_cfg: ClassVar[bool] = True  # the step is plain CFG, which a host may compute itself

    def then(self, schedule: ScaleSchedule) -> Chain:
        """A longer chain; this one stays as it is. A constant schedule changes nothing and is left out."""
        return self if schedule.shape == "constant" else replace(self, schedules=(*self.schedules, schedule))

    def init(self, run: Run) -> Run:
        """State of a run: its schedule.  Raises ValueError when a part of the chain does not fit it."""
        for schedule in self.schedules:
            schedule.check(run)
        return run

    def scale(self, state: Run, sigma: float, gamma: float) -> float:
        """Gamma in force at a noise level, from the sampler's cfg; every schedule reshapes what the one before gave."""
        for schedule in self.schedules:
            gamma = schedule.scale(gamma, state, sigma)
        return gamma

    def step(self, state: Run, p: Predictions, gamma: float) -> tuple[Tensor, Run]:
        """Guide one step.  gamma: from `scale`; 0 is u, 1 is c."""
        return cfg(p, gamma=gamma), state

    @property
    def text(self) -> str:
        """The chain as one line for the trace."""
        return " > ".join([*(schedule.text for schedule in self.schedules), "CFG"])

    def __repr__(self) -> str:
        return f"Guidance({self.text})"


PLAIN = Chain()
