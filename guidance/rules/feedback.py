"""Feedback guidance: a scale per item that follows how well the sample already shows its condition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..run import Run
from ..vectors import dot, per_item, promote, widen
from .cfg import cfg
from .kinds import Combine

PAPER = Paper("Koulischer et al. 2025", "2506.06085", "Feedback Guidance of Diffusion Models")
REFERENCE_SCALE = 3.0  # the scale that is reached at t0
REFERENCE_RISE = 10.0  # how many offsets one step at t1 can outweigh
MOST = 3.0  # cap on the log posterior, as the authors'


class Memory(NamedTuple):
    """temperature and offset of the run; log posterior [B] before this step, and the step before, None at the first."""

    temperature: float
    offset: float
    posterior: Tensor | None = None
    before: Predictions | None = None


@dataclass(frozen=True)
class Feedback(Combine):
    """Feedback guidance (FBG).

        D = u + lambda (c - u)      lambda = e^L / (e^L - (1 - pi))
        L' = L - tau / (2 s^2) (|z' - m_c|^2 - |z' - m_u|^2) + delta     clipped to ln((1 - pi) g / (g - 1)) .. 3
        m = r^2 z + (1 - r^2) D_k     s^2 = n'^2 (1 - r^2)     r = n'/n     z = x / alpha     n = sigma / alpha

    L: log posterior of the condition, 0 at first; z': where the sampler went. The scale rises while the sample does not
    show its condition, up to g = the sampler's cfg, and falls towards 1 once it does. At cfg <= 1: plain CFG. An outer
    step has one lambda, for all its stages.
    Source: the paper, with delta and tau from t0 and t1 as in the authors' code.
    """

    node_id = "GGFeedback"
    name = "FBG (Feedback Guidance)"
    search_words = ("dynamic cfg", "automatic cfg")
    phrase = "FBG pi {pi:g}, t0 {t0:g}, t1 {t1:g}"
    description = (
        "Guides each sample as much as it needs: more until its condition shows, less once it does. "
        "cfg in the sampler is the highest scale."
    )
    papers = (PAPER,)
    claims = frozenset({"in plane", "per item"})
    pi: float = knob(
        0.95,
        "Trust in the conditional model; the first scale is 1/pi. Near 1: hardly any guidance. "
        f"Small: strong from the first step. {PAPER.number}.",
        limits=(0.01, 0.9999, 0.01),
        main=True,
        rounding=0.0001,
    )
    t0: float = knob(
        0.5,
        "Noise time, 1 at the start and 0 at the end, at which an undecided sample reaches scale "
        "3. Larger: guidance starts earlier.",
        limits=(0.0, 0.99, 0.01),
    )
    t1: float = knob(
        0.4,
        "Noise time around which evidence outweighs the drift and guidance falls off. Near t0 or "
        "above: it falls off at once.",
        limits=(0.0, 0.99, 0.01),
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.pi < 1:
            raise ValueError(f"pi is {self.pi:g} but must lie between 0 and 1, both excluded.")
        if not (0 <= self.t0 < 1 and 0 <= self.t1 < 1):
            raise ValueError(f"t0 is {self.t0:g} and t1 {self.t1:g}; both are times from 0 (the end) to below 1.")

    def init(self, run: Run) -> Memory:
        """The drift and the temperature that t0 and t1 mean in this run."""
        ceiling = self._lowest(REFERENCE_SCALE)
        offset = ceiling / ((1 - self.t0) * run.steps)
        return Memory(abs(2 * _kernel_variance(run, self.t1) / REFERENCE_RISE * offset), offset)

    def step(self, state: Memory, p: Predictions, gamma: float) -> tuple[Tensor, Memory]:
        """The guided prediction at the scale of each item."""
        if gamma <= 1:
            return (p.cond if gamma == 1 else cfg(p, gamma=gamma)), state
        posterior = widen(torch.zeros_like(p.sigma)) if state.posterior is None else state.posterior
        if state.before is not None:
            posterior = posterior - state.temperature * evidence(state.before, p) + state.offset
        posterior = posterior.clamp(self._lowest(gamma), MOST)
        return self._apply_feedback(p, posterior), state._replace(posterior=posterior, before=p)

    def stage(self, state: Memory, following: Memory, p: Predictions, gamma: float) -> Tensor:
        """The guided prediction at the scales of the step; where its first evaluation had none, as that would have."""
        posterior = following.posterior
        if gamma <= 1 or posterior is None or posterior is state.posterior:  # the same tensor: an earlier step's
            return super().stage(state, following, p, gamma)
        return self._apply_feedback(p, posterior)

    def _apply_feedback(self, p: Predictions, posterior: Tensor) -> Tensor:
        scale = posterior.exp() / (posterior.exp() - (1 - self.pi))
        uncond, cond = p.pair
        return (uncond + per_item(scale, cond) * (cond - uncond)).to(p.cond.dtype)

    def _lowest(self, scale: float) -> float:
        """Log posterior at which lambda is this scale: ln((1 - pi) g / (g - 1))."""
        return math.log((1 - self.pi) * scale / (scale - 1))


def evidence(before: Predictions, p: Predictions) -> Tensor:  # -> [B] float64
    """Misses of the step that led to p.x: (|z' - m_c|^2 - |z' - m_u|^2) / (2 s^2); 0 where there was no step."""
    ratio = widen(p.sigma) / widen(p.alpha)
    square = (ratio * widen(before.alpha) / widen(before.sigma)) ** 2
    variance = ratio**2 * (1 - square)
    z, x = (widen(promote(v)) for v in (p.x, before.x))
    uncond, cond = (widen(v) for v in before.pair)
    start = per_item(ratio**2 * widen(before.alpha) / widen(before.sigma) ** 2, x) * x
    m_u, m_c = (start + per_item(1 - square, x) * v for v in (uncond, cond))
    miss = dot(m_u - m_c, 2 * z / per_item(widen(p.alpha), z) - m_c - m_u)
    return torch.where(variance > 0, miss / (2 * variance), 0.0)


def _kernel_variance(run: Run, time: float) -> float:
    """Variance of the backward step at a noise time, between two steps by the line through them."""
    ratios = [run.noise_to_signal(sigma) for sigma in run.sigmas]
    variances = [then**2 * (1 - (then / now) ** 2) if now > 0 else 0.0 for now, then in pairwise(ratios)][::-1]
    place = time * run.steps
    below = min(int(place), run.steps - 1)
    above = min(below + 1, run.steps - 1)
    return variances[below] + (place - below) * (variances[above] - variances[below])
