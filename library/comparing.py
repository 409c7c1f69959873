"""Guidance rules at equal prompt strength, drawn and measured in this process."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..guidance.predictions import Predictions
from ..guidance.printing import count_of
from ..guidance.rules.kinds import Combine
from ..guidance.run import Run
from ..guidance.vectors import per_item
from ..measure.levels import COARSE, LEVELS
from ..measure.plane import UNGUIDED
from ..sweeps.axes import RULE, word_of
from ..sweeps.measures import OWN
from ..sweeps.plane import CONTROL, MeasuredRun, measured_run, plane_of
from .planes import Plane
from .recording import Denoiser
from .sweeping import PlannedRun, bar, judges_of, pairs_by_axis, plan_run, row_of
from .traces import Trace, require

if TYPE_CHECKING:
    from .sweep_folder import SweepFolder

PLAIN = "plain"
COND_ONLY, EVALUATED = "cond_only", "step"  # stages of a trace: c alone was D; both predictions were evaluated
JUDGES = judges_of([*OWN])
PAIRS = 2  # noise is added and taken off
ASKED = PAIRS * (len(LEVELS) + sum(level >= COARSE for level in LEVELS))  # evaluations of a picture for each draw


@dataclass(frozen=True, eq=False)
class EffectiveScale(Combine):
    """Plain guidance at a scale of its own for every step and sample: D = c + (gamma - 1) (c - u).

    gammas: [n, B].
    """

    name_of_rule: str
    gammas: Tensor

    @property
    def text(self) -> str:
        """Whose scale it is; the digest tells one run's from another's."""
        digest = hashlib.sha256(repr(self.gammas.tolist()).encode()).hexdigest()[:12]
        return f"plain guidance at the effective scale of {self.name_of_rule} ({digest})"

    def init(self, run: Run) -> int:
        """The first step."""
        return 0

    def step(self, state: int, p: Predictions, gamma: float) -> tuple[Tensor, int]:
        """Guided by the scales of this step."""
        uncond, cond = p.pair
        return cond + per_item(self.gammas[state].to(cond) - 1, cond) * (cond - uncond), state + 1


def compare_rules(  # noqa: PLR0913 - all but four are named by who calls it
    denoiser: Denoiser,
    shape: Sequence[int],
    sigmas: Sequence[float],
    cond: Any,
    *,
    rules: Mapping[str, Any],
    cfg: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0),
    seeds: Iterable[int] = range(8),
    sampler: str = "euler",
    control: bool = True,
    draws: int = 1,
    folder: Any = None,
    progress: bool = True,
    **facts: Any,
) -> Plane:
    """Rules beside plain guidance where their pictures show the prompt as strongly, measured by the denoiser itself.

    shape: [B, ...] of the samples of each seed. sigmas, cond: as for `record`; of several samples of one prompt the
    variety is known, too. rules: {name: rule}, of any form that `record` takes; one that is None is plain guidance,
    which takes part in any case. cfg: of which one is 1. control: draw plain guidance at the effective scale of every
    run of a rule, too, which tells what of its effect is a matter of scale. draws: pairs of noise at each level of the
    measure. folder: a path or an address, where every run is kept as soon as it ends and which is asked first, as for
    `sweep`; its page shows the plane. progress: say what it costs, and show a bar. facts: as for `record`.
    Raises ValueError, before any run, for what cannot be compared.
    """
    require("scipy", "studies")
    others = {name: rule for name, rule in rules.items() if rule is not None}
    plain = next((name for name, rule in rules.items() if rule is None), PLAIN)
    values = sorted({float(value) for value in cfg})
    check_comparison(others, plain, values)
    pairs = pairs_by_axis({"cfg": values, RULE: {plain: None, **others}, "sampler": [sampler], "seed": [*seeds]})
    bench = Bench(denoiser, shape, sigmas, cond, draws, facts, progress)
    runs = [bench.plan(dict(zip(pairs, cell, strict=True))) for cell in product(*pairs.values())]
    if progress:
        sys.stderr.write(f"{bench.cost(runs, plain, control)}\n")
    if folder is None:
        return bench.compare(runs, plain, control)
    from ..sweeps.addresses import place_at
    from ..sweeps.results import alone

    with alone(place_at(str(folder))):
        return bench.compare(runs, plain, control, FolderOfRuns(bench, folder, pairs))


def check_comparison(rules: Mapping[str, Any], plain: str, values: Sequence[float]) -> None:
    """Raise ValueError unless there are rules, two values of cfg, and 1 among them."""
    if not rules:
        raise ValueError("There is no rule beside plain guidance. Give one: rules={'APG': gg.AdaptiveProjected()}.")
    if UNGUIDED not in values or len(values) < 2:
        raise ValueError(
            f"cfg is {values}, but 1 and a value above it are needed: what rules change counts from cfg 1."
        )
    if wrong := [name for name in rules if name == plain or name.endswith(CONTROL)]:
        raise ValueError(f"A rule is called {wrong[0]!r}, a name that is used here already. Give it another.")


@dataclass(frozen=True)
class Bench:
    """What all runs of a comparison have in common; arguments as for `compare_rules`."""

    denoiser: Denoiser
    shape: Sequence[int]
    sigmas: Sequence[float]
    cond: Any
    draws: int
    facts: Mapping[str, Any]
    progress: bool

    def plan(self, at: Mapping[str, tuple[Any, Any]]) -> PlannedRun:
        """A run, ready to begin."""
        labels = {"labels": self.prompts} if self.prompts else {}
        return plan_run(at, self.denoiser, self.sigmas, self.cond, {**labels, **self.facts}, self.draws)

    @property
    def prompts(self) -> list[str]:
        """What every sample is of, where that is not the same for all."""
        several = isinstance(self.cond, list | tuple) and len(self.cond) == self.shape[0]
        return [str(one) for one in self.cond] if several else []

    def cost(self, runs: Sequence[PlannedRun], plain: str, control: bool) -> str:
        """What the runs will cost, before any of them."""
        pairs = [count * (1 + (run.at["cfg"] != UNGUIDED)) for run in runs for count in (len(self.sigmas) - 1,)]
        again = [spent for run, spent in zip(runs, pairs, strict=True) if control and run.place[RULE] != plain]
        count, steps = len(runs) + len(again), sum(pairs) + sum(again)
        asked = count * ASKED * self.draws
        return (
            f"{count:,} runs of {count_of(self.shape[0], 'picture')}: about {steps * self.shape[0]:,} evaluations of "
            f"the network for the pictures and {asked * self.shape[0]:,} to measure them."
        )

    def compare(
        self, runs: Sequence[PlannedRun], plain: str, control: bool, folder: FolderOfRuns | None = None
    ) -> Plane:
        """Draw and measure the runs, then their controls, and put them on the plane."""
        traces = self.draw(runs, folder)
        controls = [at_scale(run, trace) for run, trace in zip(runs, traces, strict=True) if run.place[RULE] != plain]
        of_scale = [self.plan(at) for at in controls if at] if control else []
        scaled = self.draw(of_scale, folder)
        if folder:
            folder.show()
        measured, beside = (
            [self.measured(run, trace) for run, trace in zip(several, those, strict=True)]
            for several, those in ((runs, traces), (of_scale, scaled))
        )
        return Plane.of(plane_of(measured, plain, beside))

    def draw(self, runs: Sequence[PlannedRun], folder: FolderOfRuns | None) -> list[Trace]:
        """The traces of runs, of which each is drawn and measured unless a folder has it."""
        stored = folder.open(runs) if folder and runs else None
        return [self.trace_of(run, stored) for run in bar(runs, self.progress)]

    def trace_of(self, run: PlannedRun, stored: SweepFolder | None) -> Trace:
        """The trace of one run."""
        if stored and stored.row(run):
            return stored.trace(run)
        row = row_of(run, self.shape, JUDGES)
        if stored:
            stored.write(run, row)
        return run.run.trace

    def measured(self, run: PlannedRun, trace: Trace) -> MeasuredRun:
        """What was measured of a run.  Raises ValueError where a folder's trace was not."""
        name = str(run.place[RULE]).removesuffix(CONTROL)
        measured = measured_run(trace, name, run.at["cfg"], run.at["seed"], self.prompts or [""] * self.shape[0])
        if measured is None:
            raise ValueError(f"The trace of {run.place} holds no measure. Choose another folder.")
        return measured


class FolderOfRuns:
    """The folder of a comparison, which is opened for its runs and for their controls."""

    def __init__(self, bench: Bench, folder: Any, pairs: Mapping[str, Sequence[tuple[Any, Any]]]):
        self.bench, self.folder, self.pairs = bench, folder, pairs

    def open(self, runs: Sequence[PlannedRun]) -> SweepFolder:
        """The folder as that of these runs."""
        from .sweep_folder import SweepFolder

        bench, rules = self.bench, dict.fromkeys(run.place[RULE] for run in runs)
        known = {**getattr(bench.denoiser, "facts", {}), **bench.facts}
        call = {"denoiser": bench.denoiser, "shape": [*bench.shape], "facts": known, "draws": bench.draws}
        pairs = {**self.pairs, RULE: [(name, None) for name in rules]}
        self.stored = SweepFolder(self.folder, call, pairs, runs, JUDGES, (bench.sigmas, bench.cond))
        return self.stored

    def show(self) -> None:
        """Write the page of all runs."""
        self.stored.show()


def at_scale(run: PlannedRun, trace: Trace) -> dict[str, tuple[Any, Any]] | None:
    """The place of the control of a run; None where the scale of a step is not known.

    Of a step where u was not evaluated, or differed from c by rounding alone, it was that of plain cfg 1.
    """
    gammas, alone = trace.column("M19"), torch.tensor([stage in (COND_ONLY, EVALUATED) for stage in trace.stage])
    gammas = torch.where(gammas.isfinite() | ~alone[:, None], gammas, UNGUIDED)
    if not gammas.isfinite().all():
        return None
    name = str(run.place[RULE])
    words = {name: (word, run.at[word_of(name)]) for name, word in run.place.items()}
    return {**words, RULE: (name + CONTROL, EffectiveScale(name, gammas))}
