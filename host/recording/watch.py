"""Recording any run of the host: a Sampler around the user's Sampler, and nothing that outlives the run.

The sampler function is handed a stand-in for the model (which sees the sampler's own x and the D it uses), draws that
know they are noise, and a callback; u and c come from the host's batching. None of this changes a bit of the result,
and none of it can stop a run: what fails ends the record with a sentence.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import comfy.patcher_extension
import comfy.samplers
import torch
from torch import Tensor

from ...guidance.parts import Packed
from ...guidance.printing import nth
from ...measure.measurement import Measurement
from ...samplers.noise_tracking import untrack
from ...samplers.stages import Stages
from ...trace.accumulator import Accumulator, Capture
from ...trace.faults import keep_out, line_of, log_fault
from ...trace.joined import join
from ...trace.recorder import MOST_CALLS, Recorded, Recorder, Visited
from ...trace.rows import Setting
from ...trace.trace import Trace
from ..editor.live import Live, job_of_this_node
from ..editor.run_store import publish
from ..models import adapter
from ..sampling.dry_run import response_of
from ..server import KEY
from .afterwards import Afterwards
from .evaluations import Evaluations, Predicted
from .host_run import HostRun, host_run
from .noise_handover import NoiseHandOver
from .pieces import Piece, keep_piece, piece_before
from .plain_predictions import ask_about
from .run_facts import EndedHostRun, trace_of

WATCH = f"{KEY}_watch"  # under which the observation of a run stands in the run's options
Result = TypeVar("Result")


@dataclass
class Recording:
    """Settings and result of the recording of one run.

    capture: numbers, pictures or tensors.
    budget_mb: memory for captured tensors, MB.
    facts: what the node knows about the run (seed, scheduler, workflow, ...) for the trace's header.
    keep: called as keep(trace, latents) when the run has ended, with the latents [B, ...] that the host makes of it.
    trace: the trace, None until the run has ended.
    uncond_steps: of a run at cfg 1, at how many steps u is evaluated after it.
    measure: pairs of noise with which the model is asked about the finished samples, at each level; 0: not asked.
    """

    capture: str = "pictures"
    budget_mb: int = 256
    facts: dict[str, Any] = field(default_factory=dict)
    keep: Callable[[Trace, list[Tensor]], None] | None = None
    trace: Trace | None = None
    uncond_steps: int = 0
    measure: int = 0

    def finish(self, trace: Trace, latents: Callable[[], list[Tensor]]) -> None:
        """Take the trace of the run, with the facts of the node."""
        self.trace = replace(trace, header={**trace.header, **self.facts})
        if self.keep:
            self.keep(self.trace, latents())


class SamplerArguments(NamedTuple):
    """What the host hands to a SAMPLER, by the host's own names and in its order.

    model_wrap: the guider.
    sigmas: the schedule [n + 1].
    extra_args: seed, model_options and what else every call of the model is given.
    callback: called after each step with its number, x0-hat, x and the number of steps.
    noise: [B, ...], from which the state is made.
    latent_image: [B, ...], the latent that the run begins from.
    denoise_mask: where noise is taken away, None for everywhere.
    disable_pbar: whether no progress bar is shown.
    """

    model_wrap: Any
    sigmas: Tensor
    extra_args: dict[str, Any]
    callback: Callable[..., Any] | None
    noise: Tensor
    latent_image: Tensor | None = None
    denoise_mask: Tensor | None = None
    disable_pbar: bool = False


class RecordingSampler(comfy.samplers.Sampler):
    """A SAMPLER that samples with another one and leaves a Trace in `recording`."""

    def __init__(self, inner: comfy.samplers.Sampler, recording: Recording):
        self.inner, self.recording = inner, recording

    def sample(self, *arguments: Any, **named: Any) -> Tensor:
        """Sample exactly as the inner SAMPLER does.  The arguments are those of SamplerArguments."""
        given = SamplerArguments(*arguments, **named)
        return record(self.recording, self.inner, lambda sampler, given: sampler.sample(*given), given)


Proceed = Callable[[Any, SamplerArguments], Tensor]  # samples with a SAMPLER


def record(
    recording: Recording, sampler: comfy.samplers.Sampler, proceed: Proceed, given: SamplerArguments
) -> Tensor:  # -> [B, ...]
    """Run a SAMPLER under observation and hand the Trace to the recording.

    proceed: samples; it is given a watched copy of the sampler. given: what the host handed to the sampler.
    A run has one observation: whoever else wants to record it joins. The schedule is copied: some of the host's
    samplers write into it.
    """
    extra_args = given.extra_args
    options = extra_args.get("model_options")
    if options and WATCH in options:
        options[WATCH].join(recording)
        return proceed(sampler, given)
    watched = sampler.inner if isinstance(sampler, RecordingSampler) else sampler
    given = given._replace(sigmas=given.sigmas.clone())
    has_mask = given.denoise_mask is not None
    watch = Watch(recording, host_run(watched, given.model_wrap, given.sigmas, extra_args, masked=has_mask))
    if isinstance(sampler, RecordingSampler):
        watch.join(sampler.recording)
    watch.see(watch.listen, options)
    try:
        samples = watch.sample(proceed, given)
    except BaseException as stop:
        watch.show_stopped(stop)
        raise
    finally:
        watch.close()
    watch.look_back(extra_args)
    watch.measure(samples, extra_args, given.denoise_mask)
    watch.hand_out(samples)
    return samples


class StandIn:
    """Answers for a model with all of its calls and attributes, and notes each call."""

    def __init__(self, model: Any, call: Callable[..., Any]):
        object.__setattr__(self, "_model", model)
        object.__setattr__(self, "_call", call)

    def __call__(self, x: Tensor, sigma: Tensor, *args: Any, **kwargs: Any) -> Any:
        return self._call(self._model, x, sigma, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._model, name, value)


class WindowsStandIn(StandIn):
    """Answers for a handler of context windows, as one of its class, and has its evaluation noted."""

    __class__ = property(lambda self: type(self._model))

    def execute(self, *given: Any) -> Any:
        """Evaluate window by window."""
        return self._call(self._model, *given)


class Watch:
    """The observation of one run.

    recordings: who is given the trace; the settings of the first began it.
    run: the run as it is known before its first step.
    accumulators: the numbers of each part of the sample.
    recorder: makes steps of calls, draws and reports.
    evaluations: what the host evaluated for each call.
    noise: hands the sampler draws that know they are noise.
    live: shows steps while the run goes on; None where that failed, or nothing could begin.
    faults: what ended the record, or a part of it, each in a sentence.
    has_ended: whether a fault has ended the whole record.
    end: the sampler's result [B, ...].
    clean: the last prediction it showed [B, ...].
    afterwards: keeps what is evaluated after the run; None where nothing began.
    before: the run that this one continues, if it is a piece of one.
    measured: what the model said of the end, for each part of the sample.
    is_evaluating: whether an evaluation of the host is in progress; what is evaluated meanwhile is a window of it.
    """

    def __init__(self, recording: Recording, run: HostRun):
        self.recordings, self.run = [recording], run
        self.accumulators = [Accumulator(Setting(), Capture("numbers"))]
        self.recorder, self.evaluations, self.noise = Recorder(self._enter_step, 0.0), Evaluations(run), NoiseHandOver()
        self.live: Live | None = None
        self.faults: list[str] = []
        self.has_ended = False
        self.end: Tensor | None = None
        self.clean: Tensor | None = None
        self.afterwards: Afterwards | None = None
        self.before: Piece | None = None
        self.measured: list[Measurement] = []
        self.is_evaluating = False
        self.see(self._begin)

    def _begin(self) -> None:
        run = self.run = self.run.identify(lambda: keep_out(self._end, adapter.STOPS))
        if self.has_ended:
            return
        setting, captures = _setting(run), _captures(self.recordings[0], run)
        self.accumulators = [Accumulator(setting, capture) for capture in captures]
        deviation = adapter.data_deviation(run.patcher)
        named = dict(zip(run.packing.names, self.accumulators, strict=True))
        self.before = piece_before(run)
        self.live = None if self.before else Live(named, run.id, run.steps, deviation, self._show(job_of_this_node))
        self.evaluations, levels = Evaluations(run), run.schedule.tolist()
        last = next((end for end in (setting.response.end, *levels[-1:]) if end is not None), 0.0)
        self.recorder = Recorder(self._enter_step, last, Stages(levels, setting.response))
        self._keep_for_later(self.recordings[0])

    def _keep_for_later(self, recording: Recording) -> None:
        if self.before is None and (self.afterwards is None or recording.uncond_steps > self.afterwards.count):
            self.afterwards = Afterwards(self.run, recording.uncond_steps)

    def listen(self, options: dict | None) -> None:
        """Hear of every evaluation of the run.  options: the run's own clone; what is put there is gone with it."""
        if options is None:
            raise ValueError("the guider gives its sampler no model_options")
        kinds = comfy.patcher_extension.WrappersMP
        wrappers = {kinds.CALC_COND_BATCH: self.on_conditions, kinds.APPLY_MODEL: self.on_network}
        if comfy.patcher_extension.get_all_wrappers(kinds.DIFFUSION_MODEL, options, is_model_options=True):
            wrappers[kinds.DIFFUSION_MODEL] = (
                self.on_layers
            )  # only behind others: else a compiled network is compiled anew
        for kind, wrapper in wrappers.items():
            comfy.patcher_extension.add_wrapper_with_key(kind, KEY, wrapper, options, is_model_options=True)
        options["sampler_pre_cfg_function"] = [self.on_pair, *options.get("sampler_pre_cfg_function", ())]
        if (handler := options.get("context_handler")) is not None:
            options["context_handler"] = WindowsStandIn(handler, self.on_windows)
        options[WATCH] = self

    def see(self, work: Callable[..., Result], *args: Any, default: Any = None) -> Result | Any:
        """Do what belongs to the record; a fault ends it, and from then on there is only the default."""
        if self.has_ended:
            return default
        try:
            return work(*args)
        except adapter.STOPS:
            raise
        except Exception as fault:  # noqa: BLE001  any fault: it is told
            self._end(log_fault(fault))
        return default

    def _end(self, fault: str) -> None:
        self.has_ended = True
        self.faults.append(f"not recorded from step {nth(self._steps_so_far)} on: {fault}")

    @property
    def _steps_so_far(self) -> int:
        return min(len(accumulator.stage) for accumulator in self.accumulators)

    def join(self, recording: Recording) -> None:
        """Record for somebody else too: what is captured is the more of what both asked for."""
        self.recordings.append(recording)
        if not self.has_ended:
            for accumulator, capture in zip(self.accumulators, _captures(recording, self.run), strict=True):
                accumulator.capture.widen(capture)
            self._keep_for_later(recording)

    def _enter_step(self, step: Recorded) -> None:
        parts = step.split(self.run.packing)
        for accumulator, part in zip(self.accumulators, parts, strict=True):
            accumulator.enter(part)
        if self.afterwards:
            self.afterwards.enter_step(step)
        if self.live:
            self._show(self.live.add_row, *(part.x.shape[1:].numel() for part in parts))

    def _show(self, work: Callable[..., Result], *args: Any) -> Result | None:
        """Send to whoever looks on; a fault there ends that alone."""
        try:
            return work(*args)
        except adapter.STOPS:
            raise
        except Exception as fault:  # noqa: BLE001  any fault: it is told
            self.live = None
            self.faults.append(f"not shown live from step {nth(self._steps_so_far)} on: {log_fault(fault)}")
        return None

    def _fault(self, what: str) -> Callable[[str], None]:
        """What notes a fault that costs the record nothing but this."""
        return lambda fault: self.faults.append(f"{what}: {fault}")

    def sample(self, proceed: Proceed, given: SamplerArguments) -> Tensor:
        """Sample through `proceed` with a watched copy of the sampler, or a watched guider if it is a foreign one."""
        run = self.run
        if not len(given.noise) and not self.has_ended:
            self._end("the batch is empty")
        if self.has_ended:
            return proceed(run.sampler, given)
        if run.function is None:
            self.noise.note_hidden("a sampler of another kind than the host's")
            guider = StandIn(run.guider, self._call)
            samples = proceed(
                run.sampler, given._replace(model_wrap=guider, callback=self._foreign_report(given.callback))
            )
            self.see(self._note_end, samples)
            return samples
        inner = self.see(self._watched_sampler)
        if inner is None:
            return proceed(run.sampler, given)
        callback = given.callback or (lambda *_: None)  # the host drops the recorder's if there is none
        attributes = getattr(inner, "__dict__", {})
        before = dict(attributes)
        try:
            return proceed(inner, given._replace(callback=callback))
        finally:  # what it wrote into itself; its function may have written into the original meanwhile
            written = {name: value for name, value in attributes.items() if value is not before.get(name, before)}
            written.pop("sampler_function", None)
            getattr(run.sampler, "__dict__", {}).update(written)

    def _watched_sampler(self) -> Any:
        """A copy of the SAMPLER, whose function is watched."""
        inner = copy.copy(self.run.sampler)
        object.__setattr__(inner, "sampler_function", self._watch(self.run.function))  # it may be frozen
        return inner

    def _watch(self, function: Callable) -> Callable:
        def sampler_function(
            model: Any,
            x: Tensor,
            sigmas: Tensor,
            extra_args: dict[str, Any] | None = None,
            callback: Callable[..., Any] | None = None,
            disable: bool | None = None,
            **options: Any,
        ) -> Tensor:
            options |= self.see(self._marked_noise, x, sigmas, options, default={})
            stand_in = StandIn(model, self._call)

            def report(info: Any) -> Any:
                unmarked = self._without_marks(info)
                if unmarked is not info and unmarked.get("back"):
                    return self.see(self._note_turn, info)
                self.see(self._note_step, unmarked)
                return callback(unmarked) if callback else None

            samples = function(stand_in, x, sigmas, extra_args=extra_args, callback=report, disable=disable, **options)
            self.see(self._note_end, samples)
            return untrack(samples)

        return sampler_function

    def _without_marks(self, info: Any) -> Any:
        """What a sampler reports, its tensors without marks; as it is where it is no table, which ends the record."""
        unmarked = info
        if isinstance(info, Mapping):
            unmarked = {name: untrack(value) for name, value in info.items()}
            self.clean = unmarked.get("denoised")
        elif not self.has_ended:
            self._end(f"{self.run.name} reports a {type(info).__name__}, but a table is needed")
        return unmarked

    def _note_turn(self, info: Mapping) -> None:
        self.recorder.keep_recurrence(info["x"], float(info["sigma"]))

    def _note_step(self, info: Mapping) -> None:
        level = info.get("sigma")
        self.recorder.end_step(level if isinstance(level, Tensor | float | int) else None)

    def _marked_noise(self, x: Tensor, sigmas: Tensor, options: Mapping) -> dict:
        """The noise sampler to hand over, whose draws are marked."""
        draw = self.noise.draws(self.run, self.recorder.stages.response, x, sigmas, options)
        if draw is None:
            return {}

        def noise_sampler(*levels: Any) -> Tensor:
            eps = draw(*levels)
            return self.see(self.recorder.mark, eps, default=eps)

        return {"noise_sampler": noise_sampler}

    def _call(self, model: Any, x: Tensor, sigma: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if len(self.recorder.pending) == MOST_CALLS and not self.has_ended:
            self._end(f"{self.run.name} called the model {MOST_CALLS} times and reported no step")
        call = self.see(self._note_call, x, sigma)
        try:
            with self._before_the_mask(model):
                denoised = model(untrack(x), sigma, *args, **kwargs)
        finally:
            self.evaluations.current = None
        self.see(self._note_answer, call, denoised)
        return denoised

    @contextmanager
    def _before_the_mask(self, model: Any) -> Iterator[None]:
        """What guided is noted where the host then mixes the original into it.  model: the host's, around the guider"""
        guider = getattr(model, "inner_model", None)
        if not self.run.has_mask or self.has_ended or guider is None:
            yield
            return

        def call(guider: Any, *args: Any, **kwargs: Any) -> Tensor:
            denoised = guider(*args, **kwargs)
            self.see(self.evaluations.note_guided, denoised)
            return denoised

        model.inner_model = StandIn(guider, call)
        try:
            yield
        finally:
            model.inner_model = guider

    def _note_call(self, x: Tensor, sigma: Tensor) -> tuple[Visited, Predicted]:
        visited = self.recorder.begin_call(x, sigma)
        return visited, self.evaluations.begin(visited.sigma)

    def _note_answer(self, call: tuple[Visited, Predicted], denoised: Tensor) -> None:
        visited, prediction = call
        evaluation = self.evaluations.complete(prediction, denoised)
        if self.afterwards and self.afterwards.chosen_steps:
            self.afterwards.note_evaluation(evaluation)
        visited.evaluation = evaluation

    def on_conditions(
        self,
        evaluate: Callable[..., list[Tensor]],
        model: Any,
        conds: list,
        x: Tensor,
        sigma: Tensor,
        model_options: dict[str, Any],
    ) -> list[Tensor]:
        """Around the host's batched evaluation: copies u and c before any rule may edit them."""
        if self.is_evaluating:  # a window of what is being evaluated
            return evaluate(model, conds, x, sigma, model_options)
        if self.evaluations.current and self.afterwards and self.afterwards.chosen_steps:
            self.see(self.afterwards.note_call, model, x, sigma)
        self.is_evaluating = True
        try:
            predictions = evaluate(model, conds, x, sigma, model_options)
        finally:
            self.is_evaluating = False
        self.see(self.evaluations.add, predictions, conds, x, model_options)
        return predictions

    def on_windows(self, handler: Any, evaluate: Callable[..., list[Tensor]], *given: Any) -> list[Tensor]:
        """Around an evaluation window by window: copies u and c of the whole."""
        return self.on_conditions(partial(handler.execute, evaluate), *given)

    def on_pair(self, given: Mapping[str, Any]) -> list[Tensor]:
        """Before the host's guidance: tells u and c where a pack has its own way of evaluating them."""
        facts = (given["conds_out"], given["conds"], given["input"], given["model_options"])
        self.see(partial(self.evaluations.add, late=True), *facts)
        return given["conds_out"]

    def on_network(self, executor: Callable[..., Result], *given: Any, **named: Any) -> Result:
        """Wrapper of the network: counts what it is asked."""
        answer = executor(*given, **named)
        self.see(self.evaluations.count, _options_in(given, named), False)
        return answer

    def on_layers(self, executor: Callable[..., Result], *given: Any, **named: Any) -> Result:
        """Wrapper of the network's layers, behind caches that answer for them: counts what these are asked."""
        answer = executor(*given, **named)
        self.see(self.evaluations.count, _options_in(given, named), True)
        return answer

    def look_back(self, extra_args: dict) -> None:
        """Evaluate what was left for after the run; a fault there costs that alone."""
        if self.afterwards is None or self.has_ended:
            return
        with keep_out(self._fault("not evaluated after the run"), adapter.STOPS):
            for step in self.afterwards.evaluate_chosen(extra_args.get("model_options") or {}):
                for accumulator, part in zip(self.accumulators, step.split(self.run.packing), strict=True):
                    accumulator.amend(part)

    def measure(self, samples: Tensor, extra_args: dict, mask: Tensor | None) -> None:
        """Ask the model about the finished samples, where a recording wants that; a fault there costs that alone."""
        draws = max(recording.measure for recording in self.recordings)
        if not draws or self.has_ended or float(self.run.schedule[-1]) > 0:  # what is left noisy is not finished
            return
        with keep_out(self._fault("not measured"), adapter.STOPS), torch.random.fork_rng():
            options = extra_args.get("model_options") or {}
            self.measured = ask_about(self.run.guider, options, samples, mask, draws, self.run.seed or 0)

    def _foreign_report(self, callback: Callable[..., Any] | None) -> Callable[..., Any]:
        """The callback of a sampler of another kind than the host's, whose order alone tells steps."""

        def report(i: int, denoised: Tensor, x: Tensor, total: int) -> Any:
            self.clean = untrack(denoised)
            self.see(self.recorder.end_step)
            return callback(i, denoised, x, total) if callback else None

        return report

    def _note_end(self, samples: Tensor) -> None:
        self.end = untrack(samples)
        self.recorder.end_run(samples)
        if call := self.recorder.stages.departure():
            self.faults.append(f"evaluation {call} was at another noise level than a dry run of {self.run.name} said")
        if calls := self.recorder.silent_calls:
            self.faults.append(f"no step recorded: {self.run.name} called the model {calls} times and reported no step")

    def close(self) -> None:
        """Send what has not been sent, also when the run did not end well."""
        if self.live:
            self._show(self.live.close)

    def hand_out(self, samples: Tensor) -> None:
        """Give every recording its trace."""
        trace = self.trace(samples)
        with keep_out(self._fault("not kept for what may continue it"), adapter.STOPS):
            keep_piece(self.run, self.before, trace)
        for recording in self.recordings:
            with keep_out(self._fault("not available to Read Recorded Trace"), adapter.STOPS):
                recording.finish(trace, lambda: self._latents(samples))
        self._show_tab(lambda: self.recordings[-1].trace or trace)

    def show_stopped(self, stop: BaseException) -> None:
        """Keep for the Guidance tab what there is of a run that did not reach its end."""
        words = "interrupted" if isinstance(stop, adapter.STOPS) else line_of(stop)
        step = self.recorder.current_step + (self.before.trace.n if self.before else 0)
        self._show_tab(lambda: self.trace(None), f"stopped at step {step}: {words}", step)

    def _show_tab(self, trace: Callable[[], Trace], *stopped: Any) -> None:
        fault = self._fault("not there for the Guidance tab")
        with keep_out(fault, adapter.STOPS):
            publish(trace, fault, *stopped)

    def _latents(self, samples: Tensor) -> list[Tensor]:
        """The latents that the host makes of a run: the sample, the last clean prediction, and the parts of both."""
        out, packed = self.run.guider.inner_model.process_latent_out, self.run.packing
        clean = [] if self.clean is None else [out(self.clean.cpu())]
        latents = [out(samples.to(torch.float32)), *clean]
        return latents + [part for latent in latents for part in packed.split(latent) if part is not latent]

    def trace(self, samples: Tensor | None) -> Trace:
        """All that was seen, as one Trace.  samples: the run's result, None where it has none."""
        packed = self.run.packing if len(self.accumulators) > 1 else Packed()
        ends: list[Tensor | None] = [None] * len(packed.names)
        end = untrack(samples) if self.end is None else self.end
        if end is not None:
            with keep_out(self._fault("the end of the run is not kept")):
                ends[:] = packed.split(end)
        faults = [self.faults, *(list(self.faults) for _ in packed.names[1:])]
        sums = [part.sums() for part in self.measured] if len(self.measured) == len(ends) else [{}] * len(ends)
        traces = [
            trace_of(
                EndedHostRun(
                    self.run.id,
                    accumulator,
                    self.run.schedule.tolist(),
                    end,
                    faults_of_part,
                    run=self.run,
                    split=self.noise.split,
                    lost_draws=self.recorder.lost_draws,
                    part=name,
                    afterwards=self.afterwards.summary if self.afterwards else {},
                    inside=self.evaluations.inside,
                    measured=measured,
                )
            )
            for accumulator, end, faults_of_part, name, measured in zip(
                self.accumulators, ends, faults, packed.names, sums, strict=True
            )
        ]
        whole = piece = replace(traces[0], parts=dict(zip(packed.names[1:], traces[1:], strict=True)))
        with keep_out(self._fault("not told as one with what it continues"), adapter.STOPS):
            whole = (join(self.before.trace, piece) if self.before else None) or piece
        return whole


def trace_without_steps(recording: Recording, sampler: Any, guider: Any, samples: Tensor, seed: int) -> Trace:
    """The trace of a run without steps (denoise 0): the host hands the latent back and calls no sampler."""
    watch = Watch(recording, host_run(sampler, guider, torch.zeros(0), {"seed": seed}, masked=False))
    return watch.trace(adapter.parts_of(samples)[0])


def _options_in(given: tuple, named: Mapping) -> Mapping:
    """The transformer's options among the arguments of a network."""
    tables = (value for value in (*given, *named.values()) if isinstance(value, dict) and "sigmas" in value)
    return next(tables, {})


def _setting(run: HostRun) -> Setting:
    pixels = run.patcher.get_model_object("latent_format").latent_channels == adapter.PIXELS
    return Setting(
        flow=run.flow,
        response=response_of(run.sampler, run.schedule, run.patcher),
        bound=1.0 if pixels else None,
        dtype=adapter.network_dtype(run.patcher),
        terms=run.terms,
        states_scales=run.states_scales,
    )


def _captures(recording: Recording, run: HostRun) -> list[Capture]:
    """What is captured of each part of the sample, which has its share of the memory."""
    budget = recording.budget_mb << 20
    return [Capture(recording.capture, int(share * budget), run.steps) for share in run.packing.shares]
