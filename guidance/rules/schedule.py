"""How the guidance scale changes over a run: gamma(sigma) from the one number the user set."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..knobs import Paper, knob
from ..printing import count_of
from ..run import Run
from .kinds import Schedule

MONOTONE = Paper("Wang et al. 2024", "2404.13040", "Analysis of Classifier-Free Guidance Weight Schedulers")
BETA = Paper("Malarz et al. 2025", "2502.10574", "Classifier-free Guidance with Adaptive Scaling")
SHAPES: dict[str, Callable[[float, float], float]] = {
    "linear": lambda p, power: p,
    "cosine": lambda p, power: (1 - math.cos(math.pi * p)) / 2,
    "power": lambda p, power: p**power,
    "beta": lambda p, power: (4 * p * (1 - p)) ** (power - 1),
}


@dataclass(frozen=True)
class ScaleSchedule(Schedule):
    """Reshapes gamma over the run.

        gamma' = 1 + (gamma - 1) * w     w = start + (end - start) * shape(p)     p = progress, 0 .. 1
        linear p    cosine (1 - cos pi p) / 2    power p^k
        beta (4 p (1 - p))^(k - 1), a bump about the middle for k > 1, a valley for k < 1

    The valley has no end: at p = 0 and 1 its walls are infinite. So for k < 1 p is held half a step away from both.
    A list has one value for all steps, or one per step.
    """

    node_id = "GGCFGSchedule"
    name = "CFG Schedule"
    search_words = ("dynamic cfg", "cfg curve", "guidance scale", "guidance schedule", "interpolate cfg", "noise level")
    description = "Changes cfg over the run: weaker or stronger from step to step. You set cfg in the sampler as usual."
    papers = (MONOTONE, BETA)
    maturity = "stable"
    shape: str = knob(
        "constant",
        "How the weight of cfg goes from start to end. constant: plain CFG. linear: evenly. cosine: slow, fast, "
        "slow. power: slow at first. beta: up in the middle and back. list: cfg itself, step by step, from values. "
        f"{MONOTONE.number}; beta: {BETA.number}.",
        choices=("constant", *SHAPES, "list"),
        name="schedule",
        off="constant",
    )
    start: float = knob(
        0.0,
        "Weight of cfg at the start (beta: at both ends). 0 is cfg 1, 1 the full cfg; below 0 pushes the prompt "
        "away. Ignored for constant and list.",
        limits=(-10.0, 10.0, 0.05),
        name="start_weight",
    )
    end: float = knob(
        1.0,
        "Weight of cfg at the end (beta: in the middle). Above 1 goes beyond cfg and burns; 0 is cfg 1. Ignored for "
        "constant and list.",
        limits=(-10.0, 10.0, 0.05),
        name="end_weight",
    )
    power: float = knob(
        2.0,
        "For power and beta: larger waits longer (power) or makes the bump narrower (beta). beta at 1: constant; "
        "below 1: most at both ends.",
        limits=(0.1, 10.0, 0.1),
    )
    values: tuple[float, ...] = knob(
        (),
        "For list: the cfg of each step, such as 7, 5, 3, or one number for all; the sampler's cfg does not count.",
        shown="",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.shape == "list" and not self.values:
            raise ValueError("The schedule is a list but no values were given. Give one, or one per step: 7, 5, 3.")

    def init(self, run: Run) -> None:
        """Raise ValueError when a list does not fit the run."""
        if self.shape == "list" and len(self.values) not in (1, run.steps):
            raise ValueError(
                f"gamma list has {count_of(len(self.values), 'value')} but the run has {count_of(run.steps, 'step')}. "
                "Give one value, or one per step."
            )

    def scale(self, gamma: float, run: Run, sigma: float) -> float:
        """Gamma in force at this noise level."""
        if self.shape == "constant":
            return gamma
        if self.shape == "list":
            return self.values[run.step(sigma) if len(self.values) > 1 else 0]
        shape = SHAPES[self.shape](self._progress(run, sigma), self.power)
        return 1 + (gamma - 1) * (self.start + (self.end - self.start) * shape)

    def _progress(self, run: Run, sigma: float) -> float:
        """Progress at which the shape is taken, within its finite part."""
        margin = 0.5 / run.steps if self.shape == "beta" and self.power < 1 else 0.0
        return min(max(run.progress(sigma), margin), 1 - margin)

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        if self.neutral:
            return "gamma constant"
        if self.shape == "list":
            return f"gamma list {', '.join(f'{v:g}' for v in self.values)}"
        bend = f", power {self.power:g}" if self.shape in ("power", "beta") else ""
        return f"gamma {self.shape} {self.start:g} to {self.end:g}{bend}"


def parse_values(text: str, name: str = "The gamma list") -> tuple[float, ...]:
    """Numbers of a list typed by a user, separated by commas, semicolons, spaces or lines.  name: of the list.

    Raises ValueError that names the first entry which is no finite number.
    """
    entries = text.replace(",", " ").replace(";", " ").split()
    for entry in entries:
        if not _is_finite(entry):
            raise ValueError(f"{name} holds {entry!r}, which is not a finite number. Write numbers: 7, 5, 3.5.")
    return tuple(float(entry) for entry in entries)


def _is_finite(entry: str) -> bool:
    try:
        return math.isfinite(float(entry))
    except ValueError:
        return False
