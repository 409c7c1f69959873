"""From the steps of a run to the numbers and pictures of a trace.

Everything is taken on the device where the sampler works and fetched once at the end, so that watching never waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..guidance import metrics
from ..guidance.gram import HISTORY, VECTORS, GramRecord, added, gram, named, room_for
from ..guidance.vectors import flat, promoted
from .recorder import Recorded
from .steps import Level, Update, level

LIMITS = {"numbers": 0, "pictures": 24, "tensors": 1 << 30}  # captured steps at most
PICTURES = ("x", "uncond", "cond", "guided")
FIT = 1e-4  # residual below which a move counts as a multiple of D - x
RATIOS = ("ratio", "ratio-1", "ratio-2")  # noise over signal at a step and the two before
LEVELS = ("sigma", "sigma_next", "alpha", "alpha_next", "gamma", "evals", "count", *RATIOS)


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
    """The columns of a trace: inner products while the run goes on, metrics when they are asked for.

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
    before_that: Recorded | None = None
    update: Update | None = None
    room: Tensor | None = None

    def enter(self, step: Recorded) -> None:
        """Add one complete step."""
        now, then = level(step.sigma, self.flow), level(step.sigma_next, self.flow)
        self.rows.append({"levels": self._levels(step, now, then)} | self._numbers(step, now, then))
        self.stage.append("cond_only" if step.uncond is None else "step")
        self.capture.keep(step)
        self.before, self.before_that = step, self.before

    def columns(self) -> dict[str, Tensor]:
        """{name: [n] or [n, B, ...] float64 on the CPU}, fetched from the device here; nan where undefined."""
        if not self.rows:
            return {}
        rows = {name: torch.stack([row[name] for row in self.rows]).cpu() for name in self.rows[0]}
        rows |= dict(zip(LEVELS, rows.pop("levels").unbind(dim=1), strict=True))
        record, count = GramRecord((*VECTORS, *HISTORY), rows.pop("gram")), int(rows.pop("count")[0])
        sigma, gamma, unknown = (values[:, None] for values in (rows["sigma"], rows["gamma"], rows.pop("unknown")))
        ratios = [rows.pop(name)[:, None] for name in RATIOS]
        floor = torch.as_tensor(metrics.precision_floor((record.dot("a", "a") / count).sqrt(), self.dtype))
        across = {
            "m9": metrics.straightness(record),
            "m9a": metrics.progress_along(record, gamma),
            "m13": metrics.direction_memory(record, count, floor),
            "m14": metrics.extrapolation_error(record, metrics.predicted_difference(*ratios)),
        }
        K = record.part(VECTORS).K
        return {
            **rows,
            **{name: _of_the_step_before(values) for name, values in across.items()},
            "m11": metrics.out_of_plane(record),
            "m11s": metrics.out_of_span(record),
            "m12": metrics.identity_residual(record, sigma, count) + unknown,
            "K": K,
            "floor": floor.mean(dim=1),
            "kappa": _kappa(K, rows["gamma"]),
        }

    def _levels(self, step: Recorded, now: Level, then: Level) -> Tensor:  # -> [len(LEVELS)] float64
        """Numbers of the schedule, and noise over signal here and at the two steps before (nan where there is none)."""
        ratios = (self._noise_over_signal(at) for at in (step, self.before, self.before_that))
        numbers = (step.gamma, step.evaluations, step.x[0].numel(), *ratios)
        return torch.tensor((now.sigma, then.sigma, now.alpha, then.alpha, *numbers), dtype=torch.float64)

    def _noise_over_signal(self, step: Recorded | None) -> float:
        if step is None or step.uncond is None:
            return float("nan")
        alpha = 1 - step.sigma if self.flow else 1.0
        return step.sigma / alpha if alpha else float("inf")

    def _numbers(self, step: Recorded, now: Level, then: Level) -> dict[str, Tensor]:
        """Inner products of the step's vectors and of what the metrics compare them with, and the saturation."""
        cond = step.denoised if step.cond is None else promoted(step.cond)
        u = torch.full_like(cond, torch.nan) if step.uncond is None else promoted(step.uncond)
        delta = cond - u
        plain = cond if step.uncond is None else u + delta * step.gamma
        unexplained = self._unexplained(step, now, then)
        bound = metrics.bound_of(cond) if self.bound is None else self.bound
        reached = metrics.saturation(step.denoised, bound)
        if self.room is None:
            self.room = room_for(step.x, len(VECTORS) + len(HISTORY))
        other = step.denoised - plain
        vectors = (u, u - step.x, delta, other, step.move, step.noise, unexplained)
        trail = (_delta(self.before), _delta(self.before_that), *_parts(self.before))
        return {
            "gram": gram(dict(zip((*VECTORS, *HISTORY), (*vectors, *trail), strict=True)), self.room),
            "sum": torch.stack([flat(v).sum(dim=1, dtype=torch.float64) for v in (u, delta, other)], dim=-1),
            "m10": reached,
            "m10c": reached - metrics.saturation(cond, bound),
            "unknown": torch.tensor(torch.nan if unexplained is None else 0.0, dtype=torch.float64),
        }

    def _unexplained(self, step: Recorded, now: Level, then: Level) -> Tensor | None:
        """What the recorded move has that the step's formula has not; None where no formula is known."""
        if self.formula is None or (self.reads_uncond and step.uncond is None):
            return None
        previous = self.update.alone() if self.update else None
        self.update = Update(step.x, step.denoised, now, then, step.uncond, previous, self.options)
        return step.move - self.formula(self.update)


def _delta(step: Recorded | None) -> Tensor | None:
    return step.delta if step else None


def _parts(step: Recorded | None) -> tuple[Tensor | None, Tensor | None]:
    return (step.move, step.noise) if step else (None, None)


def _of_the_step_before(values: Tensor) -> Tensor:  # [n, B] -> [n, B]
    """Numbers that compare a step with the one before belong to the row of the earlier one; the last has none."""
    return torch.cat([values[1:], torch.full_like(values[:1], torch.nan)])


def _kappa(K: Tensor, gamma: Tensor) -> Tensor:  # K [n, B, 21], gamma [n] -> [n], nan where nothing fits
    """How far the next state follows the guided prediction: dx'/dD.  kappa = <move, D - x> / |D - x|^2"""
    record = GramRecord(VECTORS, K)
    towards = added(named("D", gamma[:, None]), named("x"), -1.0)
    kappa = record.combination({"move": 1.0}, towards) / record.square(towards)
    missed = record.square(added({"move": 1.0}, towards, -kappa)) / record.square({"move": 1.0})
    fits = (missed.sqrt() < FIT).all(dim=1)
    return torch.where(fits, kappa.mean(dim=1), torch.nan)
