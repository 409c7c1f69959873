"""From the steps of a run to the numbers and pictures of a trace.

Everything is taken on the device where the sampler works and fetched when somebody reads it, in one copy, so that
watching never waits. A small run only keeps its steps while it goes on: its numbers are made when they are asked for.
So does a run on a Mac's GPU, which has no float64: its steps come over together, once for every WAITING elements of its
states; and a device other than CUDA is waited for when the tensors of a step are captured.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import torch
from torch import Tensor

from ..guidance.printing import nth, quote
from ..guidance.vectors import gradient_mode, has_float64, where_float64_is
from . import CAPTURES
from .columns import columns_of, unknown_columns
from .faults import keep_out
from .fit import Fits
from .recorder import RECUR, Recorded
from .rows import Measurement, Row, Setting

WAITING = 1 << 20  # elements of states that wait until somebody reads the numbers, or there are more

Work = TypeVar("Work", bound=Callable)
Remarks = Callable[[Mapping[str, Tensor]], list[str]]


def of_no_mode(work: Work) -> Work:
    """Work with ordinary tensors and no graph, in whichever mode of autograd it is called.

    A run and whoever reads its record may be in different modes, and what inference mode makes is read-only outside it.
    """
    return gradient_mode(recording=False)(work)


@dataclass
class Capture:
    """Tensors of some steps in half precision, within a budget: every k-th step, and always the first and the last.

    mode: numbers keeps none, pictures at most 24 steps of x, u, c and D, tensors every step and its move and noise too.
    budget: of all captured tensors, bytes.
    steps: how many the run plans, 0 where nobody knows; so what is thinned out later need not leave the device.
    stride: every so many steps one is kept.
    tensors: of the kept steps, {step: {name: [B, ...] float16}}.
    latest: number and tensors of the latest step, which may be the last.
    step_count: steps that were seen.
    """

    mode: str = "pictures"
    budget: int = 256 << 20
    steps: int = 0
    stride: int = 1
    tensors: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    latest: tuple[int, dict[str, Tensor]] | None = None
    step_count: int = 0

    def __post_init__(self):
        if self.mode not in CAPTURES:
            raise ValueError(f"capture is {quote(self.mode)}, but must be one of {', '.join(CAPTURES)}.")

    def widen(self, other: Capture) -> None:
        """Keep what another one would keep too."""
        self.mode = max(self.mode, other.mode, key=list(CAPTURES).index)
        self.budget = max(self.budget, other.budget)

    def keep(self, step: Recorded) -> None:
        """Store a step, or thin out what is stored until it fits."""
        if self.mode == "numbers":
            return
        taken = self._tensors(step)
        self.step_count, self.latest = step.index + 1, (step.index, taken)  # any step may be the last
        size = sum(t.numel() * t.element_size() for t in taken.values())
        limit = max(min(CAPTURES[self.mode], self.budget // size - 1), 1)
        while math.ceil(self.steps / self.stride) > limit:
            self.stride *= 2
        if step.index % self.stride == 0:
            self.tensors[step.index] = to_host(taken)
        while len(self.tensors) > limit:
            self.stride *= 2
            self.tensors = {i: t for i, t in self.tensors.items() if i % self.stride == 0}

    def amend(self, step: Recorded) -> None:
        """Keep a step's u beside the rest of it."""
        self._keep_latest()
        if step.index in self.tensors:
            self.tensors[step.index] |= to_host(self._tensors(step))

    def _keep_latest(self) -> None:
        if self.latest is not None and self.latest[0] not in self.tensors:
            self.tensors[self.latest[0]] = to_host(self.latest[1])

    def _tensors(self, step: Recorded) -> dict[str, Tensor]:
        evaluation = step.evaluation
        named = {"x": step.x, "uncond": evaluation.unguided, "cond": evaluation.cond, "guided": evaluation.denoised}
        if self.mode == "tensors":
            named |= {"move": step.move, "noise": step.noise}
        named |= evaluation.gradients
        return {name: t.to(torch.float16, copy=True) for name, t in named.items() if t is not None}

    def stack(self) -> tuple[list[int], dict[str, Tensor], str]:
        """Captured step numbers, {name: [k, B, ...] float16}, and a sentence on what was left out.

        A vector that some captured steps lack (a pass nobody evaluated) is nan there; one that all lack is absent.
        """
        self._keep_latest()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # the copies of `to_host` are there
        steps = sorted(self.tensors)
        names = list(dict.fromkeys(name for i in steps for name in self.tensors[i]))
        tensors = {}
        for name in names:
            captured = [self.tensors[i] for i in steps]
            rows = [step[name] if name in step else torch.full_like(step["x"], torch.nan) for step in captured]
            tensors[name] = torch.stack(rows).cpu()
        note = ""
        if len(steps) < self.step_count:
            reason = f"every {self.stride} steps and the last, within {self.budget >> 20} MB"
            note = f"{len(steps)} of {self.step_count} steps captured: {reason}"
        return steps, tensors, note


def to_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that the run does not wait for.

    From CUDA they go into pinned memory, and a reader waits. On a Mac they stay: its GPU has the same memory.
    """
    return {name: t if t.is_mps else t.to("cpu", non_blocking=t.is_cuda) for name, t in tensors.items()}


class Accumulator:
    """The numbers of a run: inner products while it goes on, columns when they are asked for.

    setting: what they depend on besides the steps.
    capture: the tensors that are kept.
    measurement: takes the row of each step.
    stage: one word a step.
    waiting: steps that were not measured yet.
    rows: of the steps that were.
    solved: the fits of the rows.
    fault_levels: levels of the last steps, whose numbers a fault took.
    fault: that fault in a sentence, or "".
    scales: gamma of each step that has one.
    passes: evaluations of each further pass.
    evaluations: of the network.
    batch: samples.
    """

    def __init__(self, setting: Setting, capture: Capture):
        self.setting, self.capture, self.measurement = setting, capture, Measurement(setting)
        self.stage: list[str] = []
        self.waiting: list[Recorded] = []
        self.rows: list[Row] = []
        self.solved = Fits()
        self.fault_levels: list[tuple[float, ...]] = []
        self.fault = ""
        self.scales: list[float] = []
        self.passes: Counter[str] = Counter()
        self.evaluations = self.batch = 0

    @of_no_mode
    def enter(self, step: Recorded) -> None:
        """Add one complete step."""
        self.stage.append(step.evaluation.stage or ("cond_only" if step.evaluation.uncond is None else "step"))
        self.waiting.append(step)
        self.scales += [] if step.evaluation.stage == RECUR else [step.evaluation.gamma]
        self.setting = self.setting.with_frames(step.x)
        if step.pass_nfe:
            self.setting = self.setting.with_passes(step.pass_nfe)
            self.passes.update(step.pass_nfe)
        self.evaluations, self.batch = self.evaluations + step.nfe, len(step.x)
        self.capture.keep(step)
        if len(self.waiting) * step.x.numel() >= WAITING:  # large states are not kept: their sums are worth the time
            self.settle()

    @of_no_mode
    def amend(self, step: Recorded) -> None:
        """Take the numbers of a step anew, now that its u is known; those across steps stay unknown there."""
        self.settle()
        if step.index < len(self.rows):
            row = Measurement(self.setting).row(where_float64_is(step))
            before = self.rows[step.index]
            self.rows[step.index] = row._replace(residual=before.residual, fit=before.fit)
            self.stage[step.index] = step.evaluation.stage
            self.capture.amend(step)

    @of_no_mode
    def settle(self) -> None:
        """Take the numbers of the steps that wait. After a fault there are none, only the noise levels.

        Together the steps leave a device without float64, where nothing can be summed for them.

        Steps after a fault stay without numbers even if it was a passing one: those across steps would skip a step.
        """
        steps, count = list(self.waiting), len(self.rows)
        self.waiting.clear()
        with keep_out(self._note_fault):
            self._measure([] if self.fault else steps)
        self.fault_levels += [self.measurement.levels(step) for step in steps[len(self.rows) - count :]]

    def _measure(self, steps: list[Recorded]) -> None:
        """Steps of a device without float64, where nothing can be summed for them, come here all at once.

        The device is asked once: to walk through all tensors of a step costs 3 % of what its numbers do.
        """
        gone = any(not has_float64(step.x.device) for step in steps)
        for step in where_float64_is(tuple(steps)) if gone else steps:
            self.rows.append(self.measurement.row(step))

    def _note_fault(self, fault: str) -> None:
        self.fault = f"no numbers from step {nth(len(self.rows))} on: {fault}"

    @of_no_mode
    def columns(self, first: int = 0) -> dict[str, Tensor]:
        """{name: [n] or [n, B, ...] float64 on the CPU} of the steps from `first` on; nan where undefined."""
        self.settle()
        start = min(max(first - 2, 0), len(self.rows))  # numbers across steps need the two before
        parts = []
        with keep_out(self._forget):
            parts += [columns_of(self.rows, self.setting, start, self.solved)] if self.rows[start:] else []
        parts += [self.unknown_columns(self.batch)] if self.fault_levels else []
        from_here = first - min(start, len(self.rows))
        return {name: torch.cat([part[name] for part in parts])[from_here:] for name in (parts or [{}])[0]}

    def _forget(self, fault: str) -> None:
        """The numbers across steps cannot be told, so none are."""
        self.fault_levels[:0] = [row.levels for row in self.rows]
        self.rows.clear()
        self._note_fault(fault)

    def unknown_columns(self, batch: int) -> dict[str, Tensor]:
        """The columns of the steps whose numbers nobody took; without any step, empty ones of so many samples."""
        return unknown_columns(self.fault_levels, self.setting, batch)

    def close_columns(self, *lists: list[str], remarks: Remarks = lambda columns: []) -> Columns:
        """The columns of a run that has ended, without its pictures.

        lists: where a fault of theirs is told. remarks: sentences on the columns, for the first list.
        """
        ended = copy.copy(self)
        ended.capture = Capture("numbers")
        return Columns(ended, remarks, *lists)


class Columns(Mapping):
    """The columns of a run, made when the first of them is read; what waited for that is let go then."""

    def __init__(self, accumulator: Accumulator, remarks: Remarks, *lists: list[str]):
        self._accumulator, self._remarks, self._lists, self._one_reader = accumulator, remarks, lists, Lock()
        self._columns: dict[str, Tensor] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing waits any more."""
        return self._columns is not None

    def _read(self) -> dict[str, Tensor]:
        with self._one_reader:  # of two at once the second waits, since the accumulator goes
            if self._columns is None:
                self._columns = self._accumulator.columns()
                fault = self._accumulator.fault
                for faults in self._lists:
                    faults += [fault] if fault and fault not in faults else []
                with keep_out(lambda fault: None):
                    self._lists[0].extend(self._remarks(self._columns))
                del self._accumulator, self._remarks
            return self._columns

    def __getitem__(self, name: str) -> Tensor:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())
