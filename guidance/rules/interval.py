"""Guidance in a limited interval of noise levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..knobs import Paper, knob
from ..run import Run
from .kinds import Schedule
from .window import Window

PAPER = Paper(
    "Kynkaanniemi et al. 2024",
    "2404.07724",
    "Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in Diffusion Models",
)
NOISIER_IS = {"percent": "smaller", "sigma": "larger", "log-SNR": "smaller"}


@dataclass(frozen=True)
class Interval(Schedule):
    """Guide inside a window of noise levels; outside it the scale is 1, so that u is not evaluated there.

        percent   start <= i / steps < end          i = outer step, counted from 0
        sigma     start >= sigma > end              the paper's form, for VE models
        log-SNR   start <= 2 ln(alpha / sigma) < end, the same window for VE and flow

    Raises ValueError for a window that is upside down or empty.
    """

    node_id = "GGInterval"
    name = "Limited Interval (guidance window)"
    search_words = ("cfg interval", "skip guidance", "start and end percent")
    phrase = "interval {unit} {start:g} .. {end:g}"
    description = (
        "Guides only in a part of the run. Outside it the sampler works as at cfg 1, which takes half the time."
    )
    papers = (PAPER,)
    maturity = "stable"
    together = ("unit", "start", "end")
    unit: str = knob(
        "percent",
        "percent: share of the run's steps, 0 is the first, 1 after the last. sigma: strength of the noise, as in "
        "the paper, for SD and SDXL. log-SNR: signal to noise, the same for flow models too.",
        choices=("percent", "sigma", "log-SNR"),
    )
    start: float = knob(
        0.2,
        "Where guidance begins. percent and log-SNR: the smaller number; sigma: the larger. Later keeps more "
        "variety; too late loses the prompt. Paper, SDXL: sigma 5.42, log-SNR -3.38.",
        limits=(-100_000.0, 100_000.0, 0.01),
    )
    end: float = knob(
        0.8,
        "Where guidance ends. Earlier saves time and hardly changes the picture; too early softens detail. Paper, "
        f"SDXL: sigma 0.28, log-SNR 2.55. {PAPER.number}.",
        limits=(-100_000.0, 100_000.0, 0.01),
    )

    def __post_init__(self):
        super().__post_init__()
        if math.isnan(self.start) or math.isnan(self.end):
            raise ValueError("An end of the interval is nan. Give numbers.")
        low, high = (self.end, self.start) if self.unit == "sigma" else (self.start, self.end)
        if low == high:
            raise ValueError(
                f"interval {self.start:g} .. {self.end:g} is empty: start and end are the same {self.unit}. "
                "Move them apart, or set cfg to 1 for no guidance at all."
            )
        if low > high:
            raise ValueError(
                f"interval {self.start:g} .. {self.end:g} is reversed: start is the noisier end, and in {self.unit} "
                f"that is the {NOISIER_IS[self.unit]} number. Swap them."
            )

    @property
    def neutral(self) -> bool:
        """A window that no noise level leaves."""
        if self.unit == "percent":
            return self.start <= 0 and self.end >= 1
        return (self.start, self.end) == ((math.inf, 0.0) if self.unit == "sigma" else (-math.inf, math.inf))

    def scale(self, gamma: float, run: Run, sigma: float) -> float:
        """Gamma inside the window, exactly 1 outside."""
        return gamma if self._covers(run, sigma) else 1.0

    def _covers(self, run: Run, sigma: float) -> bool:
        if self.unit == "sigma":
            return self.end < sigma <= self.start
        if self.unit == "percent":
            return Window(self.start, self.end).covers(run, sigma)
        return self.start <= run.log_snr(sigma) < self.end
