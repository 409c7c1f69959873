"""From the steps of a run to the numbers and pictures of a trace.

Everything is taken on the device where the sampler works and fetched when somebody reads it, so that watching never
waits. A small run only keeps its steps while it goes on: its numbers are made when they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor

from ..guidance.extrapolation import predicted_difference
from ..guidance.vectors import promoted, rms
from ..samplers.steps import Level, Update, back, level
from . import metrics
from .faults import kept_out
from .gram import (
    VECTORS,
    GramRecord,
    added,
    counted,
    inner_products,
    named,
    room_for,
    triangle,
    with_history,
    with_zeros,
)
from .recorder import RECUR, Recorded
from .trace import PER_SAMPLE, PER_STEP

LIMITS = {"numbers": 0, "pictures": 24, "tensors": 1 << 30}  # captured steps at most
PICTURES = ("x", "uncond", "cond", "guided")
FIT = 1e-4  # residual below which a move counts as a multiple of D - x
WAITING = 1 << 20  # elements of states that wait until somebody reads the numbers, or there are more
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
        named = {"x": step.x, "uncond": step.plain, "cond": step.cond, "guided": step.denoised}
        if self.mode == "tensors":
            named |= {"move": step.move, "noise": step.noise}
        named |= step.gradients
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


class Row(NamedTuple):
    """What is taken of a step while the run goes on.

    products: inner products of the present vectors and gradients with themselves and with the present HISTORY,
    [B, P, P + Q] float64 on the run's device. rows, columns: which ones are present. unexplained: rms of what the move
    has that its formula has not, [B], nan where that is not known. beyond: shares of D and of c beyond the bound,
    [2, B]. log_probs: of the energies, [terms, B].
    """

    levels: tuple[float, ...]
    products: Tensor
    rows: list[bool]
    columns: list[bool]
    unexplained: Tensor
    beyond: Tensor
    log_probs: Tensor


@dataclass
class Ledger:
    """The columns of a trace: inner products while the run goes on, metrics when they are asked for.

    flow: alpha = 1 - sigma instead of 1. formula: the step's move from its own statement, None where none is known.
    reads_uncond: that formula needs u. options: the sampler's own. dtype: of the network.
    bound: of M10, 1 for pixels, None for the 99.9 % quantile of |c|. gradients: names of the shifts that steps
    may bring, appended to the vectors of the record. energies: names of the log-probabilities, one column each.
    unmeasured: levels of the last steps, whose numbers a fault took. fault: that fault in a sentence, or nothing.
    """

    flow: bool
    capture: Capture
    formula: Callable[[Update], Tensor] | None = None
    reads_uncond: bool = False
    options: dict = field(default_factory=dict)
    bound: float | None = 1.0
    dtype: torch.dtype = torch.float32
    gradients: tuple[str, ...] = ()
    energies: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    unmeasured: list[tuple[float, ...]] = field(default_factory=list)
    fault: str = ""
    evaluations: int = 0
    batch: int = 0
    stage: list[str] = field(default_factory=list)
    waiting: list[Recorded] = field(default_factory=list)
    before: Recorded | None = None
    deltas: tuple[Tensor | None, Tensor | None] = (None, None)  # of the two steps before
    ratios: tuple[float, float] = (math.nan, math.nan)
    update: Update | None = None
    room: Tensor | None = None

    @property
    def vectors(self) -> tuple[str, ...]:
        """Names of the vectors of the record."""
        return (*VECTORS, *self.gradients)

    def enter(self, step: Recorded) -> None:
        """Add one complete step."""
        self.stage.append(step.stage or ("cond_only" if step.uncond is None else "step"))
        self.waiting.append(step)
        self.evaluations, self.batch = self.evaluations + step.evaluations, len(step.x)
        self.capture.keep(step)
        if len(self.waiting) * step.x.numel() >= WAITING:
            self.settle()

    def settle(self) -> None:
        """Take the numbers of the steps that wait. After a fault there are none, only the noise levels."""
        steps, known = list(self.waiting), len(self.rows)
        self.waiting.clear()
        with kept_out(self._failed):
            self._measure([] if self.fault else steps)
        self.unmeasured += [self._levels(step, *self._ends(step)) for step in steps[len(self.rows) - known :]]

    def _measure(self, steps: list[Recorded]) -> None:
        for step, beyond in zip(steps, self._beyond(steps), strict=True):
            self.rows.append(self._row(step, *self._ends(step), beyond))
            self.before = step

    def _ends(self, step: Recorded) -> tuple[Level, Level]:
        return level(step.sigma, self.flow), level(step.sigma_next, self.flow)

    def _failed(self, fault: str) -> None:
        self.fault = f"no numbers from step {len(self.rows) + 1} on: {fault}"

    def columns(self, first: int = 0) -> dict[str, Tensor]:
        """{name: [n] or [n, B, ...] float64 on the CPU} of the steps from `first` on; nan where undefined."""
        self.settle()
        start = min(max(first - 2, 0), len(self.rows))  # numbers across steps need the two before
        parts = []
        with kept_out(self._forget):
            parts += [self._columns(self.rows[start:])] if self.rows[start:] else []
        parts += [self.unknown_columns()] if self.unmeasured else []
        from_here = first - min(start, len(self.rows))
        return {name: torch.cat([part[name] for part in parts])[from_here:] for name in (parts or [{}])[0]}

    def _forget(self, fault: str) -> None:
        """The numbers across steps cannot be told, so none are."""
        self.unmeasured[:0] = [row.levels for row in self.rows]
        self.rows.clear()
        self._failed(fault)

    def unknown_columns(self) -> dict[str, Tensor]:
        """The columns of the steps whose numbers nobody took: their noise levels and gamma, else nan."""
        names, n = LEVELS[: LEVELS.index("evals")], len(self.unmeasured)
        pairs = len(self.vectors) * (len(self.vectors) + 1) // 2
        samples = (*PER_SAMPLE, *(f"log_prob {name}" for name in self.energies))
        shapes = dict.fromkeys(PER_STEP, (n,)) | dict.fromkeys(samples, (n, self.batch))
        shapes |= {"K": (n, self.batch, pairs), "sum": (n, self.batch, 3)}
        levels = torch.tensor(self.unmeasured, dtype=torch.float64).reshape(n, len(LEVELS))
        unknown = {name: torch.full(shape, torch.nan, dtype=torch.float64) for name, shape in shapes.items()}
        return unknown | dict(zip(names, levels.unbind(dim=1), strict=False))

    def closed(self, notes: list[str]) -> Columns:
        """The columns of a run that has ended, without its pictures.  notes: where a fault of theirs is told."""
        return Columns(replace(self, capture=Capture("numbers")), notes)

    def _columns(self, taken: list[Row]) -> dict[str, Tensor]:
        """The columns of these steps, fetched from the device here."""
        levels = torch.tensor([row.levels for row in taken], dtype=torch.float64)
        rows = dict(zip(LEVELS, levels.unbind(dim=1), strict=True))
        alike = ((present, list(rows)) for present, rows in groupby(taken, lambda row: (row.rows, row.columns)))
        products = torch.cat([with_zeros(torch.stack([row.products for row in rows]), *p) for p, rows in alike]).cpu()
        record, count = with_history(self.vectors, products), int(rows.pop("count")[0])
        noisier, gamma = torch.maximum(rows["sigma"], rows["sigma_next"])[:, None], rows["gamma"][:, None]
        ratios = [rows.pop(name)[:, None] for name in RATIOS]
        beyond, beyond_of_cond = torch.stack([row.beyond for row in taken]).cpu().unbind(dim=1)
        unexplained = torch.stack([row.unexplained for row in taken]).cpu()
        floor = torch.as_tensor(metrics.precision_floor((record.dot("a", "a") / count).sqrt(), self.dtype))
        across = {
            "m9": metrics.straightness(record),
            "m9a": metrics.progress_along(record, gamma),
            "m13": metrics.direction_memory(record, count, floor),
            "m14": metrics.extrapolation_error(record, predicted_difference(*ratios)),
        }
        log_probs = torch.stack([row.log_probs for row in taken]).double().cpu()
        return {
            **rows,
            **{f"log_prob {name}": log_probs[:, i] for i, name in enumerate(self.energies)},
            **{name: _of_the_step_before(values) for name, values in across.items()},
            "sum": torch.stack([record.dot(name, "one") for name in ("u", "delta", "D-G")], dim=-1),
            "m10": beyond,
            "m10c": metrics.saturation_excess(beyond, beyond_of_cond),
            "m11": metrics.out_of_plane(record),
            "m11s": metrics.out_of_span(record),
            "m12": metrics.identity_residual(unexplained, noisier),
            "K": triangle(products[..., : len(self.vectors)]),
            "floor": floor.mean(dim=1),
            "kappa": _kappa(record, rows["gamma"]),
        }

    def _levels(self, step: Recorded, now: Level, then: Level) -> tuple[float, ...]:  # len(LEVELS)
        """Numbers of the schedule, and noise over signal here and at the two steps before (nan where there is none)."""
        before = self.ratios
        ratio = math.nan if step.uncond is None else now.sigma / now.alpha if now.alpha else math.inf
        self.ratios = (ratio, before[0])
        schedule = (now.sigma, then.sigma, now.alpha, then.alpha, step.gamma)
        return *schedule, step.evaluations, step.x.shape[1:].numel(), ratio, *before

    def _row(self, step: Recorded, now: Level, then: Level, beyond: Tensor) -> Row:
        cond = _cond_of(step)
        if step.uncond is None:
            plain, delta = cond, _unknown(cond)
            u = delta if step.plain is None else promoted(step.plain)
        else:
            u = promoted(step.uncond)
            delta = cond - u
            plain = u + delta * counted(step.gamma)
        found = step.gradients
        gradients = (found[name] if name in found else _unknown(cond) for name in self.gradients)
        vectors = (u, u - step.x, delta, step.denoised - plain, step.move, step.noise, *gradients)
        moved = (self.before.move, self.before.noise) if self.before else (None, None)
        history = (*self.deltas, *moved, step.x.new_ones(()).expand(step.x.shape))
        self.deltas = (None if step.uncond is None or step.cond is None else delta, self.deltas[0])
        if self.room is None:
            self.room = room_for(step.x, len(vectors) + len(history))
        present = [v is not None for v in vectors]
        return Row(
            self._levels(step, now, then),
            inner_products([v for v in vectors if v is not None], [v for v in history if v is not None], self.room),
            present,
            [*present, *(v is not None for v in history)],
            self._unexplained(step, now, then),
            beyond,
            self._log_probs(step),
        )

    def _log_probs(self, step: Recorded) -> Tensor:  # -> [terms, B]
        if not self.energies:
            return step.x.new_empty(0, len(step.x))
        unknown = step.x.new_full((len(step.x),), torch.nan)
        return torch.stack([step.log_probs.get(name, unknown).to(unknown) for name in self.energies])

    def _beyond(self, steps: list[Recorded]) -> list[Tensor]:  # -> n x [2, B]
        """Shares of D and of c beyond the bound, of several steps at once."""
        if not steps:
            return []
        conds = [_cond_of(step) for step in steps]
        bound = torch.cat([metrics.bound_of(c) for c in conds for _ in range(2)]) if self.bound is None else self.bound
        pairs = torch.cat([v for step, c in zip(steps, conds, strict=True) for v in (step.denoised, c)])
        return list(metrics.saturation(pairs, bound).reshape(len(steps), 2, -1))

    def _unexplained(self, step: Recorded, now: Level, then: Level) -> Tensor:  # -> [B] float64
        """Rms of what the recorded move has that the step's formula has not; nan where there is no formula or value."""
        formula = back if step.stage == RECUR else self.formula
        if formula is not None and (step.uncond is not None or not self.reads_uncond):
            facts = (step.x, step.denoised, now, then, step.uncond)
            before, self.update = self.update, Update(*facts, None, self.options)
            with suppress(ZeroDivisionError):  # from or to a level like the one before
                return rms(step.move - formula(Update(*facts, before, self.options)))
        return step.x.new_full((len(step.x),), torch.nan, dtype=torch.float64)


class Columns(Mapping):
    """The columns of a ledger, made when the first of them is read; what waited for that is let go then."""

    def __init__(self, ledger: Ledger, notes: list[str]):
        self._ledger, self._notes, self._one_reader = ledger, notes, Lock()
        self._columns: dict[str, Tensor] | None = None

    @property
    def _made(self) -> dict[str, Tensor]:
        with self._one_reader:
            if self._columns is None:
                self._columns = self._ledger.columns()
                if self._ledger.fault and self._ledger.fault not in self._notes:
                    self._notes.append(self._ledger.fault)
                del self._ledger
            return self._columns

    def __getitem__(self, name: str) -> Tensor:
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def _cond_of(step: Recorded) -> Tensor:
    """The conditional prediction; where none was seen, the guided one stands for it."""
    return step.denoised if step.cond is None else promoted(step.cond)


def _unknown(like: Tensor) -> Tensor:
    return torch.full_like(like, torch.nan)


def _of_the_step_before(values: Tensor) -> Tensor:  # [n, B] -> [n, B]
    """Numbers that compare a step with the one before belong to the row of the earlier one; the last has none."""
    return torch.cat([values[1:], torch.full_like(values[:1], torch.nan)])


def _kappa(record: GramRecord, gamma: Tensor) -> Tensor:  # record [n, B], gamma [n] -> [n], nan where nothing fits
    """How far the next state follows the guided prediction: dx'/dD.  kappa = <move, D - x> / |D - x|^2"""
    known = record.dot("u", "u").isfinite()[..., None]  # a delta that is not, was never asked for: D is u + D - G
    record = GramRecord(record.vectors, torch.where(known & record.K.isnan(), 0.0, record.K))
    towards = added(named("D", gamma[:, None]), named("x"), -1.0)
    kappa = record.combination({"move": 1.0}, towards) / record.square(towards)
    missed = record.square(added({"move": 1.0}, towards, -kappa)) / record.square({"move": 1.0})
    fits = (missed.sqrt() < FIT).all(dim=1)
    return torch.where(fits, kappa.mean(dim=1), torch.nan)
