"""Recording any run of the host: a Sampler around the user's Sampler, and nothing that outlives the run.

The sampler function is handed a stand-in for the model (which sees the sampler's own x and the D it uses), draws that
know they are noise, and a callback; u and c come from the host's batching. None of this changes a bit of the result,
and none of it can stop a run: what fails ends the record with a sentence.
"""

from __future__ import annotations

import copy
import inspect
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import torch
from torch import Tensor

from ..samplers.noise_tracking import untracked
from ..samplers.steps import FORMULAS, READS_UNCOND
from ..trace.accumulator import Capture, Ledger
from ..trace.faults import kept_out
from ..trace.recorder import RECUR, Call, Recorded, Recorder
from ..trace.trace import Trace
from . import adapter, run_facts
from .adapter import KEY
from .foreign_guiders import settle
from .live import Live, job_of_this_node
from .other_model import FURTHER

CAPTURES = ("numbers", "pictures", "tensors")  # each keeps what the one before does
TOLD_APART = "move and noise told apart by marking the noise"
UNSEEN = "noise not observable: {reason}; all of the move counts as step"
WATCH = f"{KEY}_watch"  # under which the observation of a run stands in the run's options
STOPS = (comfy.model_management.InterruptProcessingException,)  # of the user: no fault of anybody's


@dataclass
class Recording:
    """Settings and result of the recording of one run.

    capture: numbers, pictures or tensors. budget_mb: memory for captured tensors. facts: what the node knows about the
    run (seed, scheduler, workflow, ...) for the trace's header. keep(trace, latents): called when the run has ended,
    with the latents [B, ...] that the host makes of it. trace: set by then.
    """

    capture: str = "pictures"
    budget_mb: int = 256
    facts: dict = field(default_factory=dict)
    keep: Callable[[Trace, list[Tensor]], None] | None = None
    trace: Trace | None = None


class RecordingSampler(comfy.samplers.Sampler):
    """A SAMPLER that samples with another one and leaves a Trace in `recording`."""

    def __init__(self, inner, recording: Recording):
        self.inner, self.recording = inner, recording

    def sample(self, guider, sigmas, extra_args, callback, noise, latent=None, mask=None, disable_pbar=False):
        """Sample exactly as the inner SAMPLER does."""
        arguments = (guider, sigmas, extra_args, callback, noise, latent, mask, disable_pbar)
        return record(self.recording, self.inner, lambda sampler, *rest: sampler.sample(*rest), *arguments)


def record(recording, sampler, proceed, guider, sigmas, extra_args, callback, *rest):
    """Run a SAMPLER under observation and hand the Trace to the recording.

    proceed(sampler, guider, sigmas, extra_args, callback, *rest) samples; it is given a watched copy of the sampler.
    A run has one observation: whoever else wants to record it joins. The schedule is copied: some of the host's
    samplers write into it.
    """
    options = extra_args.get("model_options")
    if options and WATCH in options:
        options[WATCH].join(recording)
        return proceed(sampler, guider, sigmas, extra_args, callback, *rest)
    ours = isinstance(sampler, RecordingSampler)
    watched = sampler.inner if ours else sampler
    watch = Watch(recording, watched, guider, sigmas.clone(), extra_args, rest[2] is not None)
    if ours:
        watch.join(sampler.recording)
    watch.see(watch.listen, options)
    try:
        samples = watch.run(proceed, extra_args, callback, rest)
    finally:
        watch.close()
    watch.hand_out(samples)
    return samples


class StandIn:
    """Answers for a model: the same calls and attributes, each call noted."""

    def __init__(self, model, call: Callable):
        object.__setattr__(self, "_model", model)
        object.__setattr__(self, "_call", call)

    def __call__(self, x, sigma, *args, **kwargs):
        return self._call(self._model, x, sigma, *args, **kwargs)

    def __getattr__(self, name):
        return getattr(self._model, name)

    def __setattr__(self, name, value):
        setattr(self._model, name, value)


class Watch:
    """The observation of one run.

    faults: what ended the record, or a part of it, each in a sentence. clean: the last prediction the sampler showed.
    begun: whether there are a ledger, a recorder and a live view.
    """

    ledger: Ledger
    recorder: Recorder
    live: Live

    def __init__(self, recording: Recording, sampler, guider, sigmas: Tensor, extra_args: dict, masked: bool):
        self.recordings, self.faults, self.run_id = [recording], [], uuid.uuid4().hex[:12]
        self.sampler, self.guider, self.sigmas, self.masked = sampler, guider, sigmas, masked
        self.seed = extra_args.get("seed")
        self.patcher: Any = None  # until `_begin` has found it
        self.run_of_chain = (extra_args.get("model_options") or {}).get(KEY)  # None where no chain of ours is at work
        self.function = getattr(sampler, "sampler_function", None)
        self.name, self.options, self.flow, self.foreign = type(sampler).__name__, {}, False, False
        self.begun, self.ended, self.evaluated, self.split = False, False, False, TOLD_APART
        self.current: Call | None = None
        self.end: Tensor | None = None
        self.clean: Tensor | None = None
        self.scales: list[float] = []  # gamma, by step
        self.see(self._begin)

    def _begin(self) -> None:
        self.patcher = self.guider.model_patcher
        self.options = {**getattr(self.sampler, "extra_options", {}), **getattr(self.function, "options", {})}
        self.name = adapter.sampler_name(self.function or self.sampler)
        self.flow, self.foreign = adapter.is_flow(self.patcher), adapter.combines_itself(self.guider)
        self.ledger = self._ledger()
        counted = getattr(self.function, "count", None)
        steps = max(len(self.sigmas) - 1, 0) if counted is None else counted(self.sigmas)
        self.live = Live(self.ledger, self.run_id, steps, adapter.data_deviation(self.patcher), job=None)
        self._show(self._find_viewers)
        late, last = self.name == "dpm_adaptive", adapter.last_sigma(self.name, self.sigmas)
        self.recorder = Recorder(self._entered, last, reports_late=late)
        self.begun = True

    def listen(self, options: dict | None) -> None:
        """Hear of every evaluation of the run.  options: the run's own clone; what is put there is gone with it."""
        if options is None:
            raise ValueError("the guider hands its sampler no model_options")
        kind = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH
        comfy.patcher_extension.add_wrapper_with_key(kind, KEY, self.on_conditions, options, is_model_options=True)
        options[WATCH] = self

    def _find_viewers(self) -> None:
        self.live.job = job_of_this_node()

    def see(self, work: Callable, *args, default=None) -> Any:
        """Do what belongs to the record; a fault ends it, and from then on there is only the default."""
        if not self.ended:
            with kept_out(self._end, STOPS):
                return work(*args)
        return default

    def _end(self, fault: str) -> None:
        self.ended = True
        done = len(self.ledger.stage) if self.begun else 0
        self.faults.append(f"not recorded from step {done + 1} on: {fault}")

    def _ledger(self) -> Ledger:
        recording = self.recordings[0]
        pixels = self.patcher.get_model_object("latent_format").latent_channels == adapter.PIXELS
        return Ledger(
            self.flow,
            Capture(recording.capture, recording.budget_mb << 20),
            formula=None if self.options.get("s_churn") else FORMULAS.get(self.name),
            reads_uncond=self.name in READS_UNCOND,
            options=self.options,
            bound=1.0 if pixels else None,
            dtype=adapter.network_dtype(self.patcher),
            gradients=tuple(name for name in self.terms() if name.startswith("gradient")),
            energies=tuple(self.terms()),
        )

    def terms(self) -> dict[str, str]:
        """Names and texts of the gradient terms and watched energies of our chain."""
        terms = self.run_of_chain.gradients.names if self.run_of_chain else {}
        return {name: term.text for term, name in terms.items()}

    def join(self, recording: Recording) -> None:
        """Record for somebody else too: what is captured is the more of what both asked for."""
        self.recordings.append(recording)
        if self.begun:
            capture = self.ledger.capture
            capture.mode = max(capture.mode, recording.capture, key=CAPTURES.index)
            capture.budget = max(capture.budget, recording.budget_mb << 20)

    def _entered(self, step: Recorded) -> None:
        self.ledger.enter(step)
        self.scales += [] if step.stage == RECUR else [step.gamma]
        self._show(self.live.stepped, step.x.shape[1:].numel())

    def _show(self, work: Callable, *args) -> None:
        """Send to whoever looks on; a fault there ends that alone."""
        with kept_out(self._blind, STOPS):
            work(*args)

    def _blind(self, fault: str) -> None:
        self.live.job = None
        self.faults.append(f"not shown live from step {len(self.ledger.stage)} on: {fault}")

    def run(self, proceed: Callable, extra_args: dict, callback, rest: tuple) -> Tensor:
        """Sample through `proceed` with a watched copy of the sampler, or a watched guider if it is a foreign one."""
        if not len(rest[0]) and not self.ended:
            self._end("the batch is empty")
        if self.ended:
            return proceed(self.sampler, self.guider, self.sigmas, extra_args, callback, *rest)
        if self.function is None:
            self.split = UNSEEN.format(reason="a sampler of another kind than the host's")
            guider = StandIn(self.guider, self._call)
            samples = proceed(self.sampler, guider, self.sigmas, extra_args, self._reported(callback), *rest)
            self.see(self._returned, samples)
            return samples
        inner = copy.copy(self.sampler)
        inner.sampler_function = self._watched(self.function)
        return proceed(inner, self.guider, self.sigmas, extra_args, callback or _silent, *rest)

    def _watched(self, function: Callable) -> Callable:
        def sampler_function(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
            options |= self.see(self._marked_noise, function, x, sigmas, options, default={})
            stand_in = StandIn(model, self._call)

            def report(info):
                told = self._told(info)
                if told is not info and told.get("back"):
                    return self.see(self._turned, info)
                self.see(self._stepped, told)
                return callback(told) if callback else None

            samples = function(stand_in, x, sigmas, extra_args=extra_args, callback=report, disable=disable, **options)
            self.see(self._returned, samples)
            return untracked(samples)

        return sampler_function

    def _told(self, info: Any) -> Any:
        """What a sampler reports, its tensors without marks; as it is where it is no table, which ends the record."""
        told = info
        if isinstance(info, Mapping):
            told = {name: untracked(value) for name, value in info.items()}
            self.clean = told.get("denoised")
        elif not self.ended:
            self._end(f"{self.name} reports a {type(info).__name__}, and a table is needed")
        return told

    def _turned(self, info: Mapping) -> None:
        self.recorder.turned(info["x"], float(info["sigma"]))

    def _stepped(self, told: Mapping) -> None:
        """The host's samplers are known; of any other's calls the one at the level that it names was the step's."""
        level = None if adapter.is_hosts_own(self.function) else told.get("sigma")
        known = isinstance(level, Tensor | float | int)
        self.recorder.stepped(float(torch.as_tensor(level).flatten()[0]) if known else None)

    def _marked_noise(self, function: Callable, x: Tensor, sigmas: Tensor, options: dict) -> dict:
        """The noise sampler to hand over: the user's, or the one the function would have made, with marked draws."""
        if len(sigmas) < 2:
            return {}
        if "noise_sampler" not in inspect.signature(function).parameters:
            self._say_what_hides(function, options)
            return {}
        draw = options.get("noise_sampler") or self._own_noise(function, x, sigmas)
        if draw is None:
            self.split = UNSEEN.format(reason=f"{self.name} makes its own")
            return {}

        def noise_sampler(*levels):
            eps = draw(*levels)
            return self.see(self.recorder.mark, eps, default=eps)

        return {"noise_sampler": noise_sampler}

    def _own_noise(self, function: Callable, x: Tensor, sigmas: Tensor) -> Callable | None:
        """What the function would draw from if left alone; None if nobody can say."""
        if adapter.is_hosts_own(function):
            return adapter.default_noise(self.name, x, sigmas, self.seed)
        makes = getattr(function, "noise", None)
        return makes(x, self.seed) if makes else None

    def _say_what_hides(self, function: Callable, options: dict) -> None:
        if not adapter.is_hosts_own(function):
            self.split = UNSEEN.format(reason=f"{self.name} takes no noise_sampler")
        elif options.get("s_churn"):
            self.split = UNSEEN.format(reason="s_churn draws it before the model call")

    def _call(self, model, x, sigma, *args, **kwargs):
        call = self.current = self.see(self._asked, x, sigma)
        try:
            denoised = model(untracked(x), sigma, *args, **kwargs)
        finally:
            self.current = None
        self.see(self._answered, call, denoised)
        return denoised

    def _asked(self, x: Tensor, sigma: Tensor) -> Call:
        return self.recorder.called(x, sigma)

    def _answered(self, call: Call, denoised: Tensor) -> None:
        call.denoised = denoised.clone()
        if self.foreign:
            settle(call, denoised)
        call.stage = self._stage(call)
        if self.run_of_chain:
            asked = self.run_of_chain.gradients.latest
            call.gradients = {a.name: a.shift for a in asked if a.shift is not None}
            call.log_probs = {a.name: a.log_prob for a in asked}

    def _stage(self, call: Call) -> str:
        """What was left out of a call, empty if u and c tell it.  skip: another pack handed out a stored prediction."""
        self.evaluated = self.evaluated or call.evaluations > 0
        if self.evaluated and call.evaluations == 0:
            return "skip"
        return self.run_of_chain.stage if self.run_of_chain and call.uncond is None else ""

    def on_conditions(self, executor, model, conds, x, sigma, model_options):
        """Wrapper of the host's batched evaluation: copies u and c before any rule may edit them."""
        predictions = executor(model, conds, x, sigma, model_options)
        self.see(self._evaluated, predictions, conds, sigma, model_options)
        return predictions

    def _evaluated(self, predictions: list[Tensor], conds: list, sigma: Tensor, model_options: dict) -> None:
        call = self.current
        if call is None:
            return  # an evaluation outside the sampler's calls belongs to no step
        active = [adapter.is_active(cond, float(sigma.flatten()[0])) for cond in conds]
        call.evaluations += sum(active)
        call.gamma = self._scale()
        if model_options.get(FURTHER):
            return
        roles = self._roles(conds)
        for role, position in roles.items():
            if getattr(call, role) is None and active[position]:
                setattr(call, role, predictions[position].detach().clone())
        unnamed = set(range(len(conds))) - set(roles.values())
        call.unnamed += [predictions[i].detach().clone() for i in unnamed if self.foreign and active[i]]

    def _scale(self) -> float:
        """The scale in force, as far as somebody states it."""
        if self.run_of_chain:
            return float(self.run_of_chain.gamma)
        return math.nan if self.foreign else float(self.guider.cfg)  # a node may set it for this evaluation alone

    def _roles(self, conds: list) -> dict[str, int]:
        """Which of the evaluated conditions are u and c: the guider's own by identity, else the host's order [c, u]."""
        known = getattr(self.guider, "conds", {})
        own = (("cond", known.get("positive")), ("uncond", known.get("negative")))
        found = {role: i for i, c in enumerate(conds) if c is not None for role, cond in own if c is cond}
        if found or (self.foreign and len(conds) != 2):
            return found
        return dict(zip(("cond", "uncond"), range(len(conds)), strict=False))

    def _reported(self, callback) -> Callable:
        def report(i, denoised, x, total):
            self.clean = untracked(denoised)
            self.see(self.recorder.stepped)
            return callback(i, denoised, x, total) if callback else None

        return report

    def _returned(self, samples: Tensor) -> None:
        self.end = untracked(samples)
        self.recorder.returned(samples)
        if self.recorder.unreported:
            asked = self.recorder.unreported
            self.faults.append(f"no step recorded: {self.name} called the model {asked} times and reported no step")

    def close(self) -> None:
        """Send what has not been sent, also when the run did not end well."""
        if self.begun:
            self._show(self.live.flush)

    def hand_out(self, samples: Tensor) -> None:
        """Give every recording its trace."""
        self.end = untracked(samples) if self.end is None else self.end
        trace = self.trace()
        for recording in self.recordings:
            recording.trace = replace(trace, header={**trace.header, **recording.facts})
            with kept_out(self._unkept, STOPS):
                if recording.keep:
                    recording.keep(recording.trace, self._latents(samples))

    def _unkept(self, fault: str) -> None:
        self.faults.append(f"not there for Read Recorded Trace: {fault}")

    def _latents(self, samples: Tensor) -> list[Tensor]:
        """The latents that the host makes of a run: the sample, and the last clean prediction."""
        out = self.guider.inner_model.process_latent_out
        clean = [] if self.clean is None else [out(self.clean.cpu())]
        return [out(samples.to(torch.float32)), *clean]

    def trace(self) -> Trace:
        """All that was seen, as one Trace."""
        return run_facts.trace_of(self)


def unsampled(recording: Recording, sampler, guider, samples: Tensor, seed: int) -> Trace:
    """The trace of a run without steps (denoise 0): the host hands the latent back and calls no sampler."""
    watch = Watch(recording, sampler, guider, torch.zeros(0), {"seed": seed}, masked=False)
    watch.end = samples
    return watch.trace()


def _silent(*_) -> None:
    """A callback that does nothing: the host drops the recorder's if there is none."""
