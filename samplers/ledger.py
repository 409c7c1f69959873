"""From the steps of a run to the numbers and pictures of a trace.

Everything is taken on the device where the sampler works and fetched once at the end, so that watching never waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..guidance import metrics
from ..guidance.gram import VECTORS, GramRecord, added, gram, named
from ..guidance.vectors import dot, flat, promoted, rms, wide
from .recorder import Recorded
from .steps import Level, Update, level

LIMITS = {"numbers": 0, "pictures": 24, "tensors": 1 << 30}  # captured steps at most
PICTURES = ("x", "uncond", "cond", "guided")
FIT = 1e-4  # residual below which a move counts as a multiple of D - x
PER_ITEM = ("m9", "m9a", "m10", "m10c", "m11", "m11s", "m12", "m13", "m14")


@dataclass
class Capture:
    """Tensors of some steps in half precision, within a budget: every k-th step, and always the first and the last.

    mode: numbers keeps none, pictures at most 24 steps of x, u, c and D, tensors every step and its move and noise too.
    budget: bytes.
    """

    mode: str = "pictures"
    budget: int = 256 << 20
    stride: int = 1
    kept: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    latest: tuple[int, dict[str, Tensor]] | None = None
    seen: int = 0

    def keep(self, step: Recorded) -> None:
        """Store a step, or thin out what is stored until it fits."""
        if self.mode == "numbers":
            return
        self.seen, self.latest = step.index + 1, (step.index, self._tensors(step))
        size = sum(t.numel() * t.element_size() for t in self.latest[1].values())
        limit = max(min(LIMITS[self.mode], self.budget // size - 1), 1)
        if step.index % self.stride == 0:
            self.kept[step.index] = self.latest[1]
        while len(self.kept) > limit:
            self.stride *= 2
            self.kept = {i: t for i, t in self.kept.items() if i % self.stride == 0}

    def _tensors(self, step: Recorded) -> dict[str, Tensor]:
        named = {"x": step.x, "uncond": step.uncond, "cond": step.cond, "guided": step.denoised}
        if self.mode == "tensors":
            named |= {"move": step.move, "noise": step.noise}
        return {name: t.half().cpu() for name, t in named.items() if t is not None}

    def stacked(self) -> tuple[list[int], dict[str, Tensor], str]:
        """Captured step numbers, {name: [k, B, ...] float16}, and a sentence on what was left out.

        A vector that some captured steps lack (a pass nobody evaluated) is nan there; one that all lack is absent.
        """
        if self.latest is not None:
            self.kept[self.latest[0]] = self.latest[1]
        steps = sorted(self.kept)
        names = list(dict.fromkeys(name for i in steps for name in self.kept[i]))
        tensors = {name: torch.stack([self._or_nan(self.kept[i], name) for i in steps]) for name in names}
        note = "" if len(steps) == self.seen else f"{len(steps)} of {self.seen} steps captured: " + self._reason()
        return steps, tensors, note

    def _reason(self) -> str:
        return f"every {self.stride} steps and the last, within {self.budget >> 20} MB"

    @staticmethod
    def _or_nan(tensors: dict[str, Tensor], name: str) -> Tensor:
        return tensors[name] if name in tensors else torch.full_like(tensors["x"], torch.nan)


@dataclass
class Ledger:
    """The columns of a trace, one row per step.

    flow: alpha = 1 - sigma instead of 1. formula: the step's move from its own statement, None where none is known.
    reads_uncond: that formula needs u. options: the sampler's own. dtype: of the network.
    bound: of M10, 1 for pixels, None for the 99.9 % quantile of |c|.
    """

    flow: bool
    capture: Capture
    formula: Callable[[Update], Tensor] | None = None
    reads_uncond: bool = False
    options: dict = field(default_factory=dict)
    bound: float | None = 1.0
    dtype: torch.dtype = torch.float32
    rows: list[dict[str, Tensor]] = field(default_factory=list)
    stage: list[str] = field(default_factory=list)
    before: Recorded | None = None
    update: Update | None = None
    predicted: Tensor | None = None

    def enter(self, step: Recorded) -> None:
        """Add one complete step; the numbers that compare it with the step before go into that one's row."""
        now, then = level(step.sigma, self.flow), level(step.sigma_next, self.flow)
        if self.before is not None:
            self.rows[-1].update(self._across(self.before, step))
        self.rows.append(_levels(step, now, then) | self._numbers(step) | self._identity(step, now, then))
        self.stage.append("cond_only" if step.delta is None else "step")
        self.capture.keep(step)
        self.predicted = self._expected(step, now, then)
        self.before = step

    def columns(self) -> dict[str, Tensor]:
        """{name: [n] or [n, B, ...] float64 on the CPU}, fetched from the device here; nan where undefined."""
        if not self.rows:
            return {}
        unknown = torch.full_like(self.rows[0]["m10"], torch.nan)
        names = dict.fromkeys([*self.rows[0], *PER_ITEM])
        stacked = {name: torch.stack([row.get(name, unknown) for row in self.rows]).cpu() for name in names}
        return stacked | {"kappa": _kappa(stacked["K"], stacked["gamma"])}

    def _numbers(self, step: Recorded) -> dict[str, Tensor]:
        cond = step.denoised if step.cond is None else promoted(step.cond)
        u = torch.full_like(cond, torch.nan) if step.uncond is None else promoted(step.uncond)
        a, delta = u - step.x, cond - u
        plain = cond if step.uncond is None else u + delta * step.gamma
        other = step.denoised - plain
        vectors: dict[str, Tensor | None] = {"u": u, "a": a, "delta": delta, "D-G": other, "move": step.move}
        bound = metrics.bound_of(cond) if self.bound is None else self.bound
        return {
            "K": gram(vectors | {"noise": step.noise}),
            "sum": torch.stack([wide(flat(v)).sum(dim=1) for v in (u, delta, other)], dim=-1),
            "m10": metrics.saturation(step.denoised, bound),
            "m10c": metrics.saturation_excess(step.denoised, cond, bound),
            "m11": metrics.out_of_plane(step.travel, a, delta),
            "m11s": metrics.out_of_span(step.travel, u, a, delta),
            "floor": torch.as_tensor(metrics.precision_floor(rms(a), self.dtype)).mean(),
        }

    def _identity(self, step: Recorded, now: Level, then: Level) -> dict[str, Tensor]:
        if self.formula is None or (self.reads_uncond and step.uncond is None):
            return {}
        uncond = None if step.uncond is None else wide(step.uncond)
        previous = self.update.alone() if self.update else None
        self.update = Update(wide(step.x), wide(step.denoised), now, then, uncond, previous, self.options)
        x_next = wide(step.x) + wide(step.travel)
        residual = metrics.identity_residual(step.x, x_next, self.formula(self.update), step.noise, now.sigma)
        return {"m12": residual}

    def _across(self, before: Recorded, step: Recorded) -> dict[str, Tensor]:
        """Numbers of the step before that needed this one."""
        found = {
            "m9": metrics.straightness(before.move, step.move),
            "m9a": dot(before.travel, step.denoised - step.x),
        }
        delta, earlier = step.delta, before.delta
        if delta is not None and earlier is not None:
            found["m13"] = metrics.direction_memory(earlier, delta, self.rows[-1]["floor"])
        if delta is not None and self.predicted is not None:
            found["m14"] = metrics.extrapolation_error(self.predicted, delta)
        return found

    def _expected(self, step: Recorded, now: Level, then: Level) -> Tensor | None:
        """The next difference, from this one and the one before (M14's predictor)."""
        delta, before = step.delta, self.before
        if delta is None or now.alpha == 0 or then.sigma == 0:
            return None
        ratio, ratio_next = _noise_over_signal(now), _noise_over_signal(then)
        if before is None or before.delta is None or (self.flow and before.sigma >= 1):
            return metrics.predicted_difference(delta, ratio, ratio_next)
        ratio_before = _noise_over_signal(level(before.sigma, self.flow))
        return metrics.predicted_difference(delta, ratio, ratio_next, before.delta, ratio_before)


def _noise_over_signal(at: Level) -> float:
    return float(at.sigma / at.alpha)


def _levels(step: Recorded, now: Level, then: Level) -> dict[str, Tensor]:
    values = {"sigma": now.sigma, "sigma_next": then.sigma, "alpha": now.alpha, "alpha_next": then.alpha}
    values |= {"gamma": step.gamma, "evals": step.evaluations}
    return {name: torch.as_tensor(v, dtype=torch.float64) for name, v in values.items()}


def _kappa(K: Tensor, gamma: Tensor) -> Tensor:  # K [n, B, 21], gamma [n] -> [n], nan where nothing fits
    """How far the next state follows the guided prediction: dx'/dD.  kappa = <move, D - x> / |D - x|^2"""
    record = GramRecord(VECTORS, K)
    towards = added(named("D", gamma[:, None]), named("x"), -1.0)
    kappa = record.combination({"move": 1.0}, towards) / record.square(towards)
    missed = record.square(added({"move": 1.0}, towards, -kappa)) / record.square({"move": 1.0})
    fits = (missed.sqrt() < FIT).all(dim=1)
    return torch.where(fits, kappa.mean(dim=1), torch.nan)
