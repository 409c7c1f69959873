"""What a sampler does with its predictions, measured: its function runs dry, with probes in the place of a network.

A sampler is affine in its start, its predictions and its draws:

    x_n = a_n x_0 + sum_k b_nk D_k + sum_k e_nk u_k + noise

Every place of the dry state carries one probe: the start, one D, one u or one draw. So a state of the dry run is the
row of its coefficients. A few places carry none. Where they move, the sampler draws noise for itself; where the levels
are not those of the schedule, it may choose them by what is predicted. Then the run is made again without probes, under
the same random numbers, and taken away.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from ..guidance.printing import words_of
from .steps import level

MOST_CALLS = 1024  # of a model, in a dry run
MOST_SECONDS = 1.0  # of the processor, for a dry run: a sampler may be costly without a network too
MEMORY = 6  # steps that a sampler may look back
EXACT = {torch.float64: 1e-9, torch.float32: 1e-6}  # of a state, below which a coefficient is rounding
SPARE = 8  # places without a probe
SAME_LEVEL = 1e-3  # relative; some samplers move the ends of the schedule a little
SEED = 0


class Misfit(BaseException):
    """Why a sampler has no response, in a sentence; no fault that a sampler would take for its own."""


class Crowded(Misfit):
    """More is asked than the probes have places for."""


class Seen(NamedTuple):
    """A state that a sampler showed.

    row: its coefficients [places].
    sigma: its noise level.
    calls: calls of the model made before.
    draws: draws of noise made before.
    number: states shown before.
    asks: whether the model is called with it.
    """

    row: Tensor
    sigma: float
    calls: int
    draws: int
    number: int
    asks: bool


class Report(NamedTuple):
    """A callback.  row: of the prediction that it shows, None where there is none. calls: made before it."""

    row: Tensor | None
    sigma: float | None
    calls: int


class Probes:
    """A dry run: answers for the network and for the noise with unit vectors, and notes what is asked.

    room: for so many calls, and as many draws. size: of the probe of the start, as long as the noise there. live:
    whether the probes are there, else all of them are zeros. result: [places], None before it is there.
    """

    def __init__(self, room: int, size: float, dtype: torch.dtype = torch.float64, live: bool = True):
        self.room, self.size, self.dtype, self.live = room, size, dtype, live
        self.calls = self.draws = self.state_count = 0
        self.events: list[Seen | Report] = []
        self.result: Tensor | None = None
        self.until = time.thread_time() + MOST_SECONDS
        self.start = self._unit(0) * size

    @property
    def places(self) -> int:
        """Places of a state: the start, D and u of every call, every draw, and those without a probe."""
        return 1 + 3 * self.room + SPARE

    def _unit(self, place: int) -> Tensor:  # [1, 1, 1, places]
        unit = torch.zeros(1, 1, 1, self.places, dtype=self.dtype)
        unit[..., place] = float(self.live)
        return unit

    def answer(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """D and u of a call of the model."""
        self._show_state(x, float(sigma.flatten()[0]), True)
        self.calls += 1
        if self.calls > self.room:
            raise Crowded
        if time.thread_time() > self.until:
            raise Misfit(f"a dry run of it takes longer than {MOST_SECONDS:g} s")
        return self._unit(2 * self.calls - 1), self._unit(2 * self.calls)

    def draw(self, *levels: Tensor) -> Tensor:
        """A draw of the sampler's noise."""
        self.draws += 1
        if self.draws > self.room:
            raise Crowded
        return self._unit(2 * self.room + self.draws)

    def note_report(self, info: dict) -> None:
        """Note the sampler's callback."""
        if len(self.events) > 4 * self.room:
            raise Crowded
        sigma, shown = info.get("sigma"), info.get("denoised")
        level = float(torch.as_tensor(sigma).flatten()[0]) if isinstance(sigma, Tensor | float | int) else None
        if info.get("back"):
            self._show_state(info["x"], level or 0.0, False)
        else:
            row = self._row(shown) if isinstance(shown, Tensor) and shown.numel() == self.places else None
            self.events.append(Report(row, level, self.calls))

    def note_result(self, x: Tensor, sigma: float) -> None:
        """Note the sampler's result."""
        self._show_state(x, sigma, False)
        self.result = self.states[-1].row

    @property
    def states(self) -> list[Seen]:
        """All that was shown."""
        return [event for event in self.events if isinstance(event, Seen)]

    def _show_state(self, x: Tensor, sigma: float, asks: bool) -> None:
        self.events.append(Seen(self._row(x), sigma, self.calls, self.draws, self.state_count, asks))
        self.state_count += 1

    def _row(self, x: Tensor) -> Tensor:
        if x.numel() != self.places:
            raise Misfit(f"it changes the shape of the sample to {[*x.shape]}")
        return x.detach().flatten().to(torch.float64, copy=True)


Play = Callable[[Probes], Tensor]  # runs a sampler from `start` on these probes; returns its result


class Visit(NamedTuple):
    """A step of a real run.  x: [B, ...]. answers: D and u [B, ...] of each of its evaluations; u None if not made."""

    x: Tensor
    answers: tuple[tuple[Tensor, Tensor | None], ...]


@dataclass(frozen=True)
class StepResponse:
    """One step: x' = sum_j states[j] x_j + sum_jk guided[j][k] D_jk + sum_jk uncond[j][k] u_jk + noise.

    j: 0 is this step, 1 the one before, ...; k: evaluations of that step, in order. draws: sizes of the fresh draws.
    hidden: rms of noise that the sampler draws for itself.
    """

    states: tuple[float, ...]
    guided: tuple[tuple[float, ...], ...]
    uncond: tuple[tuple[float, ...], ...]
    draws: tuple[float, ...] = ()
    hidden: float = 0.0

    @property
    def kappa(self) -> float:
        """dx'/dD: how far the next state follows a shift of the predictions of its step."""
        return sum(self.guided[0])

    @property
    def gain(self) -> float:
        """The largest weight of the step, 1 at least: how far it enlarges the rounding of what it reads."""
        return max(1.0, *map(abs, (*self.states, *chain(*self.guided, *self.uncond))))

    @property
    def memory(self) -> int:
        """Steps before this one that it reads."""
        return len(self.states) - 1

    @property
    def reads_uncond(self) -> bool:
        """Whether u enters beside D."""
        return any(map(any, self.uncond))

    @property
    def noisy(self) -> bool:
        """Whether fresh noise enters."""
        return any(self.draws) or self.hidden > 0

    def move(self, visits: Sequence[Visit]) -> Tensor | None:  # -> [B, ...]
        """x' - x without fresh noise.  visits: this step, then those before; None where one lacks what is read."""
        if len(visits) < len(self.states):
            return None
        terms: list[tuple[float, Tensor | None]] = [(self.states[0] - 1, visits[0].x)]
        terms += ((weight, visit.x) for weight, visit in zip(self.states[1:], visits[1:], strict=False))
        for guided, uncond, visit in zip(self.guided, self.uncond, visits, strict=False):
            if len(guided) != len(visit.answers):
                return None
            for weights, answer in zip(zip(guided, uncond, strict=True), visit.answers, strict=True):
                terms += zip(weights, answer, strict=True)
        moved = torch.zeros_like(visits[0].x)
        for weight, vector in terms:
            if weight:
                if vector is None:
                    return None
                moved += weight * vector  # `alpha` takes no infinite weight, which two equal levels bring
        return moved


class State(NamedTuple):
    """A state in the terms of a whole run: start x_0 + predicted D + uncond u + noise, where all D and all u are one.

    sigma: its noise level. noise: rms of all draws in it.
    """

    sigma: float
    start: float
    predicted: float
    uncond: float
    noise: float


@dataclass(frozen=True)
class Response:
    """What a sampler does in a run over one schedule.

    steps: empty where they could not be told by coefficients.
    states: one more than steps, the result last.
    firsts: the number of the call with which each step begins, None for one that asks for no prediction; further calls
        up to the next one are stages of it.
    reports: the calls made before each report of a step.
    late: whether the reports follow the stages of their step.
    end: noise level of the result, None where there was none.
    levels: noise level of every call.
    why: there are no steps, in a sentence.
    """

    steps: tuple[StepResponse, ...] = ()
    states: tuple[State, ...] = ()
    firsts: tuple[int | None, ...] = ()
    reports: tuple[int, ...] = ()
    late: bool = False
    end: float | None = None
    levels: tuple[float, ...] = ()
    why: str = ""

    @property
    def memory(self) -> int:
        """Steps before a step that it reads, at most."""
        return max((step.memory for step in self.steps), default=0)

    @property
    def moves(self) -> tuple[tuple[float, float, float], ...]:
        """dx'/dx, dx'/dD and dx'/du of every step."""
        return tuple((step.states[0], step.kappa, sum(step.uncond[0])) for step in self.steps)

    def excess_signal(self, flow: bool) -> float:
        """How much more of the clean sample a state holds than belongs to its noise level, at most; below 0 for less.

        Were all predictions that sample. flow: x = (1 - sigma) x0 + sigma eps instead of x0 + sigma eps.
        """
        states = self.states[:-1]  # the level of the result is not told
        alphas = [level(state.sigma, flow).alpha for state in states]
        excess = (s.start * alphas[0] + s.predicted + s.uncond - a for a, s in zip(alphas, states, strict=True))
        return max(excess, key=abs, default=0.0)


def measure_response(play: Play, sigmas: Sequence[float]) -> Response:
    """The response of a sampler over a schedule.  Nothing is raised: where there is none, `why` says so."""
    return _measure(play, sigmas, Probes(4 * len(sigmas), max(1.0, *sigmas)))


def _measure(play: Play, sigmas: Sequence[float], probes: Probes) -> Response:
    """Some samplers ask more often than others, and some refuse a sample of more digits than the host's own."""
    try:
        return _response(play, probes, sigmas)
    except Crowded:
        answer = Response(late=is_late(probes), why=f"it asks or reports more than {MOST_CALLS} times")
        if probes.room < MOST_CALLS:
            answer = _measure(play, sigmas, Probes(min(4 * probes.room, MOST_CALLS), probes.size, probes.dtype))
    except Misfit as why:
        answer = Response(late=is_late(probes), end=end_of(probes, sigmas), why=str(why))
    except BaseException as fault:  # a dry run may not stop a real one
        if isinstance(fault, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise  # of the keyboard
        answer = Response(late=is_late(probes), why=f"{type(fault).__name__}: {words_of(fault)[:200]}")
        if probes.dtype == torch.float64:
            answer = _measure(play, sigmas, Probes(probes.room, probes.size, torch.float32))
    return answer


def play_dry(play: Play, probes: Probes) -> None:
    """Run a sampler on probes; the random numbers of everybody else stay as they are."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.default_generator.manual_seed(SEED)
        probes.note_result(play(probes), 0.0)


class Start(NamedTuple):
    """A step's state, and the call that was made there; None where nothing was asked."""

    at: Seen
    call: int | None


def starts_of(probes: Probes) -> list[Start]:
    """The states of a dry run, in order, the result last.

    The call of a step is the one whose prediction its report shows, else the last one at the level it names, else the
    last one before it.
    """
    starts, pending = [], []
    for event in probes.events:
        if isinstance(event, Report):
            if pending:
                starts.append(_find_start(pending, event))
            pending = []
        elif event.asks:
            pending.append(event)
        else:
            starts.append(Start(event, None))
    return starts


def _find_start(pending: list[Seen], report: Report) -> Start:
    shown = None if report.row is None else report.row.abs()
    named = [s for s in pending if shown is not None and abs(float(shown[2 * s.calls + 1]) - 1) < 1e-3]
    level = [s for s in pending if report.sigma is not None and abs(s.sigma - report.sigma) <= 1e-4 * abs(s.sigma)]
    start = (named or level or pending)[-1]
    return Start(start, start.calls)


def is_late(probes: Probes) -> bool:
    """Whether the reports of a dry run follow the stages of their step."""
    calls = [start.call for start in starts_of(probes) if start.call is not None]
    return any(call + 1 < made for call, made in zip(calls, reports_of(probes), strict=False))


def end_of(probes: Probes, sigmas: Sequence[float]) -> float | None:
    """The noise level of a dry run's result: the schedule's last, or the one before it where as much noise is left.

    left^2 = (a sigma_0)^2 + sum of e^2    a: weight of the start, whose noise has sigma_0; e: of each draw
    """
    if (row := probes.result) is None:
        return None
    drawn = float(row[2 * probes.room + 1 : -SPARE].square().sum())
    left = math.sqrt((float(row[0]) / probes.size * sigmas[0]) ** 2 + drawn)
    return sigmas[-2] if math.isclose(sigmas[-2], left, rel_tol=SAME_LEVEL) else sigmas[-1]


def reports_of(probes: Probes) -> tuple[int, ...]:
    """The calls made before each report of a step; a second report of the same step is none."""
    calls = [event.calls for event in probes.events if isinstance(event, Report)]
    return tuple(n for n, before in zip(calls, [0, *calls], strict=False) if n > before)


def _response(play: Play, probes: Probes, sigmas: Sequence[float]) -> Response:
    """The response that a dry run shows.  Raises Misfit."""
    play_dry(play, probes)
    steps = starts_of(probes)
    if steps[0].call is None:  # the result, or a step back
        raise Misfit("it reports no step")
    rows = torch.stack([start.at.row for start in steps])
    hidden = torch.zeros_like(rows)
    if bool(rows[:, -SPARE:].any()) or not _on_schedule(steps, sigmas):
        hidden = _blank(play, probes, steps)
    rows = rows - hidden
    if not rows.isfinite().all():
        raise Misfit("its states are not finite")
    table = Table(rows, hidden, steps, probes)
    firsts, end = tuple(start.call for start in steps[:-1]), end_of(probes, sigmas)
    levels = tuple(state.sigma for state in probes.states if state.asks)
    answer = Response((), table.states, firsts, reports_of(probes), is_late(probes), end, levels)
    try:
        return replace(answer, steps=table.steps)
    except Misfit as why:
        return replace(answer, why=str(why))


def _on_schedule(steps: list[Start], sigmas: Sequence[float]) -> bool:
    """Whether the levels of all steps are those of the schedule."""
    there, levels = torch.tensor(sigmas), torch.tensor([start.at.sigma for start in steps[:-1]])
    return bool(((levels[:, None] - there).abs() <= SAME_LEVEL * levels[:, None]).any(dim=1).all())


def _blank(play: Play, probes: Probes, steps: list[Start]) -> Tensor:
    """The states of a dry run without probes, under equal random numbers.  Raises Misfit where its steps are others."""
    blank = Probes(probes.room, probes.size, probes.dtype, live=False)
    play_dry(play, blank)
    asked, asked_before = ([(state.sigma, state.calls) for state in run.states] for run in (blank, probes))
    if asked != asked_before:
        raise Misfit("its steps depend on what is predicted")
    return torch.stack([blank.states[start.at.number].row for start in steps])


@dataclass(frozen=True, eq=False)
class Table:
    """Coefficients of the states of a dry run, a row each: [states, places].

    hidden: what of each state the sampler drew for itself, likewise.
    """

    rows: Tensor
    hidden: Tensor
    starts: list[Start]
    probes: Probes

    @property
    def states(self) -> tuple[State, ...]:
        """Every state in the terms of the whole run."""
        calls = self.probes.room
        sums = (
            self.rows[:, 0] / self.probes.size,
            *(self.rows[:, kind : 2 * calls + 1 : 2].sum(dim=1) for kind in (1, 2)),
        )
        noise = (self.rows[:, 2 * calls + 1 : -SPARE].square().sum(dim=1) + self.hidden.square().mean(dim=1)).sqrt()
        levels = [start.at.sigma for start in self.starts]
        return tuple(map(State, levels, *(column.tolist() for column in (*sums, noise))))

    @property
    def steps(self) -> tuple[StepResponse, ...]:
        """Every step, with the shortest memory that explains the next state.

        A step reads its state and those of `back` steps before, and of predictions and draws only those since then. So
        the row of the next state is

            r_n+1 = sum_j s_j r_n-j + b,        b = 0 at every place that the step does not read

        Those places alone tell s, by least squares under the mask m, which is 1 there and 0 elsewhere:

            s = argmin |m (r_n+1 - sum_j s_j r_n-j)|^2

        What is left at the other places is b, the weights of its own predictions and draws. Without the mask s would
        take on what belongs to b. Where more than rounding is left under the mask, the memory is too short.
        """
        by_step: dict[int, StepResponse] = {}
        count, size = len(self.rows) - 1, self.rows.abs().amax(dim=1)
        limit = EXACT[self.probes.dtype] * torch.maximum(size[1:], size[:-1])
        for back in range(min(count, MEMORY + 1)):
            past = self._past(self.rows, back)
            mask = self._unread(back)
            weights = torch.linalg.lstsq((past * mask[:, None]).mT, (self.rows[1:] * mask)[..., None]).solution
            left = self.rows[1:] - (weights.mT @ past)[:, 0]
            fits = ((left * mask).abs().amax(dim=1) <= limit).tolist()
            hidden = self.hidden[1:] - (weights.mT @ self._past(self.hidden, back))[:, 0]
            no_rounding = (torch.where(v.abs() <= 0.01 * limit[:, None], 0.0, v) for v in (weights[..., 0], left))
            columns = [column.tolist() for column in (*no_rounding, hidden.square().mean(dim=1).sqrt())]
            fresh = (n for n, fit in enumerate(fits) if fit and n not in by_step)
            by_step |= {n: self._step(n, min(back, n), *(column[n] for column in columns)) for n in fresh}
            if len(by_step) == count:
                return tuple(by_step[n] for n in range(count))
        raise Misfit(f"its next state reads more than the {MEMORY} steps before, or earlier noise")

    def _past(self, table: Tensor, back: int) -> Tensor:  # [states, places] -> [steps, back + 1, places]
        """The state of every step and those before it; zeros before the first."""
        padded = torch.cat([table.new_zeros(back, table.shape[1]), table[:-1]])
        return padded.unfold(0, back + 1, 1).flip(-1).mT

    def _unread(self, back: int) -> Tensor:  # [steps, places] of 0 and 1
        """Places that a step with so long a memory does not read: the start, earlier predictions and earlier draws."""
        calls = draws = self.probes.room
        ends = [start.at.calls for start in self.starts]
        first = torch.tensor([ends[max(n - back, 0)] for n in range(len(ends) - 1)])
        drawn = torch.tensor([start.at.draws for start in self.starts[:-1]])
        calls_of_rows = torch.arange(calls).repeat_interleave(2)  # D and u of each call lie side by side
        of_start = drawn.new_ones(len(drawn), 1).bool()
        earlier = (calls_of_rows < first[:, None], torch.arange(draws) < drawn[:, None])
        return torch.cat([of_start, *earlier, ~of_start.expand(-1, SPARE)], dim=1).double()

    def _calls(self, n: int) -> range:
        """The evaluations of a step."""
        first, following = self.starts[n], self.starts[n + 1].at.calls
        return range(0) if first.call is None else range(first.call, following)

    def _step(self, n: int, back: int, states: list[float], weights: list[float], hidden: float) -> StepResponse:
        """One step.  weights: of the probes at all places, by which the predictions and draws of the step are found."""
        draws = 2 * self.probes.room + 1
        calls = [self._calls(n - j) for j in range(back + 1)]
        before, after = (self.starts[i].at.draws for i in (n, n + 1))
        return StepResponse(
            states=tuple(states[: back + 1]),
            guided=tuple(tuple(weights[2 * k + 1] for k in ks) for ks in calls),
            uncond=tuple(tuple(weights[2 * k + 2] for k in ks) for ks in calls),
            draws=tuple(weights[draws + before : draws + after]),
            hidden=hidden,
        )
