"""Fewer unconditional passes: skip some and predict the difference, stop when guidance has nothing left to add.

Whether all items have stopped decides what is evaluated, so a step reads that, and waits for the device, until they
have; without a stop nothing is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..extrapolation import predicted_difference
from ..knobs import Paper, knob
from ..predictions import Predictions
from ..run import Run
from ..vectors import cosine, per_item, promote, widen
from .kinds import BeforeAlways, with_difference

PAPER = Paper(
    "Castillo et al. 2023",
    "2312.12487",
    "Adaptive Guidance: Training-free Acceleration of Conditional Diffusion Models",
)


class Measured(NamedTuple):
    """A difference that was evaluated, and the noise per signal at which it was."""

    delta: Tensor  # [B, ...]
    ratio: Tensor  # [B] float64, sigma / alpha


class End(NamedTuple):
    """How near each item is to its end.  disagreement: its noise predictions have disagreed. streak: evaluated steps in
    a row at which they agreed since. at_end: it has ended. over: all have."""

    disagreement: Tensor  # [B] bool
    streak: Tensor  # [B] int64
    at_end: Tensor  # [B] bool
    over: bool = False


class Memory(NamedTuple):
    """The latest measured differences, newest first; steps skipped since; the end, once it is watched."""

    differences: tuple[Measured, ...] = ()
    skips: int = 0
    end: End | None = None


@dataclass(frozen=True)
class Reuse(BeforeAlways):
    """Evaluate u at every k-th step, and predict the difference delta = c - u at the steps between.

        hold   delta' = delta_i
        line   e = delta / n     e' = e_i + theta (e_i - e_j)     theta = ln(n'/n_i) / ln(n_i/n_j)     delta' = n' e'

    n = sigma / alpha; i and j are the two latest steps at which u was evaluated. Guidance ends for an item when the
    noise predictions of c and u agree: cos(x - alpha c, x - alpha u) >= stop at `patience` evaluated steps in a row,
    once they have disagreed (at high noise both are the noise itself, and agree for no reason of guidance).
    Then it is c alone, for good, and once all items have ended the pass is skipped: an item does in a batch what it
    would do alone.
    Source: the stop is the paper's, here per item; the line is derived here.
    """

    node_id = "GGReuse"
    name = "Skip and Reuse (adaptive guidance, faster)"
    search_words = ("speed up", "skip uncond", "cache")
    description = (
        "Saves time: the model runs without the prompt at some steps only, and the others are estimated. Can end "
        "guidance once it adds nothing more."
    )
    papers = (PAPER,)
    maturity = "stable"
    claims = frozenset({"gamma 0 is u", "per item", "same in every space"})
    every: int = knob(
        2,
        "The model runs without the prompt at every k-th step. 1: every step, nothing saved. 2: about a quarter of "
        "all runs saved. Large: the estimate becomes outdated.",
        limits=(1, 100),
    )
    predictor: str = knob(
        "line",
        "How skipped steps are estimated. line: from the last two that were run. hold: from the last one, as it is.",
        choices=("line", "hold"),
    )
    stop: float = knob(
        1.0,
        "Guidance ends once the results with and without the prompt are this much alike again. 1: never. 0.999: "
        f"late. Below 0.99: too early, prompt lost. {PAPER.number}.",
        limits=(-1.0, 1.0, 0.0001),
        rounding=0.000001,
        name="stop_cosine",
    )
    patience: int = knob(
        2,
        "How many of these steps in a row must reach stop_cosine. 1 trusts a single one. Each picture ends on its "
        "own; time is saved once all have.",
        limits=(1, 100),
    )

    def __post_init__(self):
        super().__post_init__()
        if self.every < 1 or self.patience < 1:
            raise ValueError(f"every is {self.every} and patience {self.patience}; both count steps. Give 1 or more.")

    @property
    def neutral(self) -> bool:
        """Every step evaluated, and no end."""
        return self.every == 1 and self.stop >= 1

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        reuse = f"u every {self.every} steps ({self.predictor})" if self.every > 1 else "u every step"
        return reuse if self.stop >= 1 else f"{reuse}, until cos {self.stop:g} x{self.patience}"

    def init(self, run: Run) -> Memory:
        """Nothing measured yet."""
        return Memory()

    def needs(self, state: Memory, sigma: float, wanted: frozenset[str]) -> frozenset[str]:
        """Without u where it is predicted, or where every item has ended."""
        spared = not self.neutral and (self._skips(state) or (state.end is not None and state.end.over))
        return wanted - {"uncond"} if spared else wanted

    def step(self, state: Memory, p: Predictions, gamma: float) -> tuple[Predictions, Memory]:
        """Measure the difference where u is there, predict it where this rule had it skipped."""
        if gamma == 1:
            return p, state
        if p.uncond is not None:
            state = self._measure(state, p)
        elif state.differences and self._skips(state):
            p, state = self._fill_uncond(state, p), state._replace(skips=state.skips + 1)
        else:
            return p, state._replace(differences=(), skips=0)
        return _end_items(p, state.end), state

    def _skips(self, state: Memory) -> bool:
        enough = 2 if self.predictor == "line" else 1
        return len(state.differences) >= enough and state.skips < self.every - 1

    def _fill_uncond(self, state: Memory, p: Predictions) -> Predictions:
        if self.predictor == "hold":
            return with_difference(p, state.differences[0].delta)
        newest, older = state.differences
        return with_difference(p, extrapolate(newest, older, _ratio(p)))

    def _measure(self, state: Memory, p: Predictions) -> Memory:
        state = state._replace(differences=(Measured(p.delta, _ratio(p)), *state.differences)[:2], skips=0)
        if self.stop >= 1:
            return state
        return state._replace(end=_nearer(state.end, agreement(p) >= self.stop, self.patience))


def _nearer(end: End | None, agreed: Tensor, patience: int) -> End:
    """The end after one more evaluated step."""
    if end is None:
        end = End(torch.zeros_like(agreed), torch.zeros_like(agreed).long(), torch.zeros_like(agreed))
    differed = end.disagreement | ~agreed
    streak = torch.where(agreed & differed, end.streak + 1, 0)
    at_end = end.at_end | (streak >= patience)
    return End(differed, streak, at_end, bool(at_end.all()))


def agreement(p: Predictions) -> Tensor:  # -> [B] float64 in [-1, 1], nan where a noise prediction is zero
    """Cosine between the noise predictions with and without the condition: cos(x - alpha c, x - alpha u)."""
    x = promote(p.x)
    free, bound = (x - per_item(p.alpha, x) * v for v in p.pair)
    return cosine(bound, free)


def extrapolate(newest: Measured, older: Measured, ratio: Tensor) -> Tensor:  # ratio [B] -> [B, ...]
    """The difference at another noise level, on the line in ln n through two measured ones; formula in `Reuse`.

    Two measurements at one level, or one at alpha = 0, leave no line: then e is held, or delta where e is zero.
    """
    before_that = torch.where(older.ratio == newest.ratio, torch.inf, older.ratio)
    share = predicted_difference(ratio, newest.ratio, before_that)
    keep = torch.where(newest.ratio.isinf(), 1.0, share["delta-1"])
    keep, bend = (torch.where(ratio == 0, 0.0, weight) for weight in (keep, share["delta-2"]))
    delta = promote(newest.delta)
    line = per_item(keep, delta) * delta + per_item(bend, delta) * older.delta
    return line.to(newest.delta.dtype)


def _ratio(p: Predictions) -> Tensor:  # [B] float64; inf at alpha = 0
    return widen(p.sigma) / widen(p.alpha)


def _end_items(p: Predictions, end: End | None) -> Predictions:
    """The predictions with u = c for the items that have ended."""
    if end is None or p.uncond is None:
        return p
    at_rest = end.at_end.to(p.cond.device).reshape(-1, *(1,) * (p.cond.ndim - 1))
    return replace(p, uncond=torch.where(at_rest, p.cond, p.uncond))
