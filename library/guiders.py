"""Watching a diffusers pipeline through its guider: nothing of it is changed, and no diffusers is imported."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor

from ..guidance.run import Run
from ..guidance.vectors import widen
from ..samplers.steps import Level
from ..trace.accumulator import of_no_mode
from ..trace.faults import keep_out, line_of
from ..trace.recorder import Evaluation, Pass
from .probes import Coordinates, NotFollowed
from .recording import Recording
from .traces import Trace

NO_STEP = "The pipeline took no step with this guider and scheduler. Watch the ones that it uses."
NOT_ASKED = (
    "The pipeline took a step without asking this guider, so nothing tells its predictions apart. A pipeline of before "
    "modular diffusers guides by itself: record it through `guidance_geometry.record`, or use the modular one."
)
NEEDED = ("model_output", "timestep", "sample")  # of a scheduler's step


class Step(NamedTuple):
    """A step that has begun: copies of its state, of what the network put out, and of what was made of that.

    within: whether its state is one inside a step of the sampler, and this a further stage.
    """

    latents: Tensor
    output: Tensor
    predictions: Mapping[str, Tensor]
    gamma: float
    within: bool


class GuiderWatch:
    """The record of one run of a pipeline.

    fault: what ended the record before the run, else empty. arrival: where the last recorded step led, and its level.
    """

    def __init__(self, guider: Any, scheduler: Any, facts: Mapping[str, Any]):
        self.guider, self.scheduler, self.fault = guider, scheduler, ""
        self.facts = {"chain": type(guider).__name__, "sampler": type(scheduler).__name__, "cfg": self._gamma}
        self.facts |= {"split": "noise counts as part of the move", **facts}
        self.predictions: list[Mapping[str, Any]] = []
        self.at: Coordinates | None = None
        self.open_step: Step | None = None
        self.arrival: tuple[Tensor, float] | None = None
        self.latents: Tensor | None = None
        self.recording: Recording | None = None
        self.finished_trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        """The trace of the run.  Raises ValueError where no step of it was followed, with the reason."""
        if self.finished_trace is None:
            raise ValueError(self.fault or "The run has not ended yet: read its trace after the `with`.")
        return self.finished_trace

    def watch_forward(self, forward: Callable) -> Callable:
        """The guider's `forward`, whose predictions are noted."""
        return self._note(forward, lambda call: self.predictions.append(call.arguments), lambda found: None)

    def watch_step(self, step: Callable) -> Callable:
        """The scheduler's `step`, whose states are noted."""
        return self._note(step, self._begin, self._arrive)

    def _note(self, work: Callable, before: Callable, after: Callable) -> Callable:
        signature = inspect.signature(work)

        @functools.wraps(work)
        def work_and_note(*given: Any, **named: Any) -> Any:
            self._see(lambda: before(signature.bind(*given, **named)))
            result = work(*given, **named)
            self._see(lambda: after(result))
            return result

        return work_and_note

    def _see(self, work: Callable[[], Any]) -> None:
        """Do what belongs to the record: what fails in it ends the record, and nothing else."""
        if not self.fault:
            try:
                with keep_out(self._end, (NotFollowed,)):
                    of_no_mode(work)()
            except NotFollowed as reason:
                self._end(f"{type(self.scheduler).__name__} is not followed: {reason}")

    def _end(self, fault: str) -> None:
        self.fault = fault

    def _begin(self, call: inspect.BoundArguments) -> None:
        """Note a step that begins, and record the one before, whose end is known now."""
        if missing := [name for name in NEEDED if name not in call.arguments]:
            raise NotFollowed(f"its step takes no {missing[0]}")
        sample, when = call.arguments["sample"], call.arguments["timestep"]
        if not sample.is_floating_point():
            raise NotFollowed("its samples are tokens")
        within = not getattr(self.scheduler, "state_in_first_order", True)
        with asking_copy():
            at = self.at = self.at or Coordinates(self.scheduler, when, sample.ndim)
            level = at.level(when, sample.ndim)
        if self.open_step:
            self._conclude(at, self.open_step, None if within else level)
            self.arrival = None if within else (at.state(widen(sample), level), at.sigma(level))
        if not self.predictions:
            self._end(NOT_ASKED)
            return
        self.open_step = self._step(call.arguments, within)
        with asking_copy():
            at.step(call, level, within)

    def _step(self, given: Mapping[str, Any], within: bool) -> Step:
        calls, self.predictions = self.predictions, []
        if len(calls) != 1 or "pred_cond" not in calls[0]:
            raise NotFollowed(f"its guider was asked {len(calls)} times before a step, or gives no pred_cond")
        predictions = {name: value.clone() for name, value in calls[0].items() if isinstance(value, Tensor)}
        latents, output = given["sample"].clone(), given["model_output"].clone()
        if odd := [list(tensor.shape) for tensor in (output, *predictions.values()) if tensor.shape != latents.shape]:
            raise NotFollowed(f"the network puts out {odd[0]} for a state of {list(latents.shape)}")
        return Step(latents, output, predictions, self._gamma if "pred_uncond" in predictions else 1.0, within)

    def _arrive(self, result: Any) -> None:
        self.latents = result[0]

    def _conclude(self, at: Coordinates, step: Step, then: Level | None) -> None:
        """Record a step that led to a level, None inside a step of several stages."""
        if then is not None:
            at.settle(then)
        still = then is not None and at.sigma(then) >= at.sigma(at.best.at)
        self._record(at, step, stage=step.within or still)

    def _record(self, at: Coordinates, step: Step, stage: bool) -> None:
        """Record a step.  stage: it is a further evaluation of the one before."""
        reading, sigma, x, self.arrival = at.best, at.sigma(at.best.at), widen(step.latents), None
        if self.recording is None:
            self.recording = Recording(Run((sigma, 0.0), at.flow), None, "pictures", self.facts, step.output.dtype)
        clean = {name: reading.clean(widen(prediction), x) for name, prediction in step.predictions.items()}
        guided = reading.clean(widen(step.output), x)
        count, cond, uncond = len(clean), clean.pop("pred_cond"), clean.pop("pred_uncond", None)
        passes = {name.removeprefix("pred_cond_"): Pass(cond - other, 1) for name, other in clean.items()}
        seen = Evaluation(guided, uncond, cond, step.gamma, count, passes=passes)
        self.recording.observe(at.state(x, reading.at), sigma, seen, stage)

    @property
    def _gamma(self) -> float:
        """The scale at which 1 is c: the original formulation counts from c."""
        scale = getattr(self.guider, "guidance_scale", None)
        gamma = float(scale) if isinstance(scale, int | float) else math.nan
        return gamma + bool(getattr(self.guider, "use_original_formulation", False))

    def finish(self) -> None:
        """Take the trace of the run, or of as much of it as was followed."""
        self._see(self._finish)
        if self.fault and self.recording and (self.arrival or self.recording.steps):
            with keep_out(self._end):
                self.finished_trace = self.recording.stop(self.fault, self.arrival)

    def _finish(self) -> None:
        """The trace of a run that took all its steps."""
        if self.at is None or self.open_step is None or self.latents is None:
            self._end(NO_STEP)
            return
        end = self.at.end()
        self._record(self.at, self.open_step, stage=self.open_step.within)
        if self.recording:
            self.finished_trace = self.recording.finish(self.at.state(widen(self.latents), end), self.at.sigma(end))


@contextmanager
def asking_copy() -> Iterator[None]:
    """What goes wrong with a copy of a scheduler is a reason not to follow it.  Raises NotFollowed."""
    try:
        yield
    except NotFollowed:
        raise
    except Exception as fault:
        raise NotFollowed(f"a copy of it cannot be asked: {line_of(fault)}") from fault


@contextmanager
def watch_guider(guider: Any, scheduler: Any, **facts: Any) -> Iterator[GuiderWatch]:
    """Watch one run of a diffusers pipeline with this guider and this scheduler; its `trace` is there afterwards.

    Both are as they were when it has ended, and no number of the run changes. What cannot be followed never stops it:
    the record ends there, and `fault` says why. A scheduler's noise counts as part of the move. facts: of the trace's
    header. `trace` raises ValueError where no step was recorded.
    """
    watch = GuiderWatch(guider, scheduler, facts)
    watched = ((guider, "forward", watch.watch_forward), (scheduler, "step", watch.watch_step))
    watched = [(owner, name, noted) for owner, name, noted in watched if hasattr(owner, name)]
    before = [(vars(owner), name, vars(owner).get(name)) for owner, name, _ in watched]
    for owner, name, noted in watched:
        setattr(owner, name, noted(getattr(owner, name)))
    try:
        yield watch
    finally:
        for attributes, name, work in before:
            attributes.pop(name, None)
            attributes.update({name: work} if work else {})
    watch.finish()
