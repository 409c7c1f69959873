"""What is taken of each step while a run goes on: inner products and a few numbers, on the run's own device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..guidance.vectors import promote, rms
from ..samplers.response import Response, StepResponse, Visit
from ..samplers.steps import level
from . import metrics
from .fit import Fit
from .gram import COND, HISTORY, MASKED, VECTORS, inner_products, reference_scale, room_for
from .recorder import Evaluation, Recorded
from .terms import LOG_PROB, WEIGHT, Term, vector_of_pass
from .trace import FROM_ZERO, SKIP

RATIOS = ("ratio", "ratio-1", "ratio-2")  # noise over signal at a step and the two before
LEVELS = ("sigma", "sigma_next", "alpha", "alpha_next", "gamma", "evals", "count", "predictions", *RATIOS)


@dataclass(frozen=True)
class Setting:
    """What the numbers of a run depend on besides its steps.

    flow: whether alpha = 1 - sigma instead of 1.
    response: of the sampler.
    bound: of M10, 1 for pixels, None for the 99.9 % quantile of |c|.
    dtype: of the network.
    terms: the energies that are asked, in the order of the chain.
    passes: names of the further passes that were seen so far.
    states_scales: whether gamma is the scale that a chain of ours was handed, so that D - G is what its rules did; else
        it is measured.
    has_frames: whether samples are films of more than one frame.
    """

    flow: bool = False
    response: Response = field(default_factory=Response)
    bound: float | None = 1.0
    dtype: torch.dtype = torch.float32
    terms: tuple[Term, ...] = ()
    passes: tuple[str, ...] = ()
    states_scales: bool = True
    has_frames: bool = False

    def with_frames(self, x: Tensor) -> Setting:  # x [B, ...]
        """The setting of a film, where samples are one."""
        return replace(self, has_frames=True) if metrics.has_frames(x) else self

    def with_passes(self, names: Iterable[str]) -> Setting:
        """The setting with these further passes, too."""
        fresh = [name for name in names if name not in self.passes]
        return replace(self, passes=(*self.passes, *fresh)) if fresh else self

    @property
    def gradients(self) -> tuple[str, ...]:
        """Names of the shifts that steps may bring."""
        return tuple(term.name for term in self.terms if term.guides)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that the terms fill."""
        return (*(term.column for term in self.terms), *(term.weight for term in self.terms if term.guides))

    @property
    def vectors(self) -> tuple[str, ...]:
        """Names of the vectors of the record."""
        return (*VECTORS, *self.gradients)

    @property
    def vector_names(self) -> tuple[str, ...]:
        """Names of the vectors whose products are taken."""
        return (*self.vectors, MASKED, COND, *map(vector_of_pass, self.passes))


class Row(NamedTuple):
    """What is taken of a step.

    levels: numbers of the schedule and of the step, by the names in LEVELS.
    products: inner products of the present vectors, gradients and differences of further passes with themselves and
        with the present HISTORY, [B, P, P + Q] float64 on the run's device.
    rows: names of the P present vectors.
    columns: names of these and of the Q of HISTORY.
    residual: rms of what the move has that the response has not, nan where that is not known, and of x, [2, B].
    kappa: of the response, nan without one.
    fit: what tells kappa where there is no response.
    beyond: shares of D and of c beyond the bound, [2, B].
    energy_values: what the terms fill, [columns, B].
    passes: function evaluations of each further pass.
    motion: shares of motion in delta and in D - c, [2, B]; None where samples are no films.
    """

    levels: tuple[float, ...]
    products: Tensor
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    residual: Tensor
    kappa: float
    fit: Fit | None
    beyond: Tensor
    energy_values: Tensor
    passes: Mapping[str, int]
    motion: Tensor | None = None


class Measurement:
    """Takes the rows of one run, in order; it keeps what the next row needs of the steps before it.

    setting: what the numbers depend on besides the steps.
    before: the last step.
    deltas: delta of the two steps before [B, ...], None where it was not evaluated.
    ratios: noise over signal at these two steps.
    visits: the latest steps, as many as the response reads, and two without one.
    room: where vectors are widened [B, count, n] float64.
    """

    def __init__(self, setting: Setting):
        self.setting = setting
        self.before: Recorded | None = None
        self.deltas: tuple[Tensor | None, Tensor | None] = (None, None)
        self.ratios = (math.nan, math.nan)
        self.visits: tuple[Visit, ...] = ()
        self.room: Tensor | None = None

    def row(self, step: Recorded) -> Row:
        """The numbers of the next step."""
        rows = self._vectors(step)
        others = self._history(step, rows["delta"])
        rows, others = ({name: v for name, v in group.items() if v is not None} for group in (rows, others))
        count = len(rows) + len(others)
        if self.room is None or self.room.shape[1] < count:
            self.room = room_for(step.x, count)
        row = Row(
            levels=self.levels(step),
            products=inner_products(  # in float64: a metric is a small difference of large sums
                list(rows.values()), list(others.values()), self.room
            ),
            rows=tuple(rows),
            columns=(*rows, *others),
            residual=torch.stack([self._unexplained_rms(step), rms(step.x)]),
            kappa=math.nan if (response := self._response(step)) is None else response.kappa,
            fit=Fit.of(step.move, self.visits) if step.calls and not self.setting.response.steps else None,
            beyond=self._shares_beyond(step),
            energy_values=self._energy_values(step),
            passes=step.pass_nfe,
            motion=_shares_of_motion(step, rows["delta"]) if metrics.has_frames(step.x) else None,
        )
        self.before = step
        return row

    def levels(self, step: Recorded) -> tuple[float, ...]:  # len(LEVELS)
        """Numbers of the schedule, and noise over signal here and at the two steps before (nan where there is none)."""
        now, then = level(step.sigma, self.setting.flow), level(step.sigma_next, self.setting.flow)
        before = self.ratios
        ratio = now.sigma / now.alpha if now.alpha else math.inf
        ratio = ratio if _has_difference(step.evaluation) else math.nan
        self.ratios = (ratio, before[0])
        schedule = (now.sigma, then.sigma, now.alpha, then.alpha, step.evaluation.gamma)
        seen = step.evaluation
        predictions = 0 if seen.cond is None else 1 + (seen.uncond is not None)
        return *schedule, step.nfe, step.x.shape[1:].numel(), predictions, ratio, *before

    def _vectors(self, step: Recorded) -> dict[str, Tensor | None]:
        """The vectors of the record.  Differences are formed here, before the dots: see `gram`."""
        seen = step.evaluation
        cond = cond_of(seen)
        if seen.uncond is None:
            delta, plain = absent_vector(cond), cond
            u = delta if seen.unguided is None else promote(seen.unguided)
        else:
            u = promote(seen.uncond)
            delta = cond - u
            plain = (delta * reference_scale(seen.gamma)).add_(u)
        six = (u, u - step.x, delta, seen.denoised - plain, step.move, step.noise)
        shifts = seen.gradients
        gradients = {name: shifts[name] if name in shifts else absent_vector(cond) for name in self.setting.gradients}
        passes = {vector_of_pass(name): one.difference for name, one in seen.passes.items()}
        beside = {MASKED: seen.mask_change, COND: cond if passes or seen.uncond is None else None}
        return dict(zip(VECTORS, six, strict=True)) | gradients | beside | passes

    def _history(self, step: Recorded, delta: Tensor | None) -> dict[str, Tensor | None]:
        """The vectors of HISTORY.  A difference that was never evaluated is no history for the steps after it."""
        moved = (None, None) if self.before is None else (self.before.move, self.before.noise)
        history = (*self.deltas, *moved, step.x.new_ones(()).expand(step.x.shape))
        self.deltas = (delta if _has_difference(step.evaluation) else None, self.deltas[0])
        return dict(zip(HISTORY, history, strict=True))

    def _response(self, step: Recorded) -> StepResponse | None:
        steps = self.setting.response.steps
        return steps[step.index] if step.index < len(steps) else None

    def _unexplained_rms(self, step: Recorded) -> Tensor:  # -> [B] float64
        """Rms of what the recorded move has that the sampler's response has not, in units of the step's largest weight.

        nan where that is not known. The move was read off the states, and the response measured before the run: each is
        held against the other.
        """
        answers = tuple((one.denoised, one.uncond) for one in step.calls)
        memory = self.setting.response.memory if self.setting.response.steps else 1
        self.visits = (Visit(step.x, answers), *self.visits)[: memory + 1]
        response = self._response(step)
        move = response.move(self.visits) if response and not response.hidden else None
        if response is None or move is None:
            return step.x.new_full((len(step.x),), torch.nan, dtype=torch.float64)
        return rms(move.sub_(step.move)) / response.gain

    def _shares_beyond(self, step: Recorded) -> Tensor:  # -> [2, B]
        """Shares of D and of c beyond the bound."""
        guided, cond = step.evaluation.denoised, cond_of(step.evaluation)
        bound = metrics.bound_of(cond) if self.setting.bound is None else self.setting.bound
        of_guided, of_cond = (metrics.saturation(v, bound) for v in (guided, cond))
        if step.evaluation.cond is None:  # what stood for it has no share of its own, and bounds nothing
            of_cond = torch.full_like(of_cond, torch.nan)
            of_guided = of_cond if self.setting.bound is None else of_guided
        return torch.stack([of_guided, of_cond])

    def _energy_values(self, step: Recorded) -> Tensor:  # -> [columns, B]
        seen, unknown = step.evaluation, step.x.new_full((len(step.x),), torch.nan)
        values = {LOG_PROB + name: value for name, value in seen.log_probs.items()}
        values |= {WEIGHT + name: value for name, value in seen.weights.items()}
        columns = [values.get(column, unknown).to(unknown) for column in self.setting.columns]
        return torch.stack(columns) if columns else step.x.new_empty(0, len(step.x))


def _shares_of_motion(step: Recorded, delta: Tensor) -> Tensor:  # -> [2, B]
    """How much of the difference, and of the push beyond c, changes from frame to frame."""
    push = promote(step.evaluation.denoised) - cond_of(step.evaluation)
    return torch.stack([metrics.share_of_motion(v) for v in (delta, push)])


def _has_difference(seen: Evaluation) -> bool:
    """Whether u and c are what the network said of this state, so that their difference compares with others."""
    return seen.uncond is not None and seen.cond is not None and seen.stage not in (SKIP, FROM_ZERO)


def cond_of(seen: Evaluation) -> Tensor:
    """The conditional prediction; where none was seen, the guided one stands for it."""
    return seen.denoised if seen.cond is None else promote(seen.cond)


def absent_vector(like: Tensor) -> Tensor:
    """nan in the place of a vector that was not evaluated."""
    return torch.full_like(like, torch.nan)
