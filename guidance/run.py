"""The noise levels of one run, and where in it an evaluation stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Run:
    """What is known when sampling starts.

    sigmas: the schedule, noisiest first, one more than there are steps.
    flow: alpha = 1 - sigma; else alpha = 1 (VE).
    began: in a further stage of an outer step, the noise level at which that step began; None in its first evaluation.
    part: which part of the sample is guided, from 0; a sample of one tensor has only that.
    first: share of the model's whole schedule at which the run begins; above 0 for denoise below 1.
    last: share of the model's whole schedule at which the run ends; below 1 where another run goes on.
    moves: dx'/dx, dx'/dD and dx'/du of every step, measured on the sampler; empty where nobody knows.
    """

    sigmas: tuple[float, ...]
    flow: bool = False
    began: float | None = None
    part: int = 0
    first: float = 0.0
    last: float = 1.0
    moves: tuple[tuple[float, float, float], ...] = ()

    @property
    def steps(self) -> int:
        """Number of outer steps."""
        return len(self.sigmas) - 1

    def position(self, sigma: float) -> float:
        """Place of a noise level in the run: i at sigma_i, between i and i + 1 for a stage between them; 0 .. steps."""
        for i, (now, then) in enumerate(pairwise(self.sigmas)):
            if sigma > then and now > then:  # a step that does not lower the noise has no places within
                return i + min(max((now - sigma) / (now - then), 0.0), 1.0)
        return float(self.steps)

    def step(self, sigma: float) -> int:
        """Index of the outer step that an evaluation at this noise level belongs to, from 0.

        The last stage of one step and the first evaluation of the next may share a level: `began` tells them apart.
        """
        return min(int(self.position(sigma if self.began is None else self.began)), self.steps - 1)

    def share(self, step: int) -> float:
        """Share of the whole schedule that is behind when an outer step begins: i / steps in a whole run."""
        return self.first + (self.last - self.first) * step / max(self.steps, 1)

    def progress(self, sigma: float) -> float:
        """Share of the run that is behind: 0 at the first step, 1 at the last one and below."""
        return min(self.position(sigma) / max(self.steps - 1, 1), 1.0)

    def noise_to_signal(self, sigma: float) -> float:
        """Noise per signal at a noise level, the same number for VE and flow: sigma / alpha; inf where alpha is 0."""
        alpha = self.alpha(sigma)
        return sigma / alpha if alpha > 0 else math.inf

    def alpha(self, sigma: float) -> float:
        """Signal at a noise level: 1 on VE, 1 - sigma on flow."""
        return 1 - sigma if self.flow else 1.0

    def log_snr(self, sigma: float) -> float:
        """Log of the signal-to-noise ratio: 2 ln(alpha / sigma); -inf for noise alone, inf for a clean sample."""
        ratio = self.noise_to_signal(sigma)
        return -2 * math.log(ratio) if ratio > 0 else math.inf
