"""Recording any run of the host: a Sampler around the user's Sampler, and nothing that outlives the run.

The sampler function is handed a stand-in for the model (which sees the sampler's own x and the D it uses), draws that
know they are noise, and a callback; u and c come from the host's batching. None of this changes a bit of the result.
"""

from __future__ import annotations

import copy
import inspect
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import comfy.patcher_extension
import comfy.samplers
import folder_paths
import safetensors.torch
import torch
from torch import Tensor

from ..guidance.trace import PER_SAMPLE, PER_STEP, VERSION, Trace
from ..samplers.ledger import Capture, Ledger
from ..samplers.recorder import RECUR, Call, Recorded, Recorder
from ..samplers.steps import FORMULAS, READS_UNCOND
from ..samplers.tagged import plain
from . import host
from .host import KEY
from .live import Live
from .other_model import FURTHER

CAPTURES = ("numbers", "pictures", "tensors")
IN_MEMORY = 32 << 20  # bytes of captured tensors; more are mapped from a file
TOLD_APART = "move and noise told apart by marking the noise"
UNSEEN = "noise not observable: {reason}; all of the move counts as step"


@dataclass
class Recording:
    """Settings and result of the recording of one run.

    capture: numbers, pictures or tensors. budget_mb: memory for captured tensors. facts: what the node knows about the
    run (seed, scheduler, workflow, ...) for the trace's header. trace: set when the run has ended.
    """

    capture: str = "pictures"
    budget_mb: int = 256
    facts: dict = field(default_factory=dict)
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
    """Run a SAMPLER under observation and store the Trace.

    proceed(sampler, guider, sigmas, extra_args, callback, *rest) samples; it is given a watched copy of the sampler.
    The schedule is copied: some of the host's samplers write into it.
    """
    watch = Watch(recording, sampler, guider, sigmas.clone(), extra_args, masked=rest[2] is not None)
    kind = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH
    options = extra_args["model_options"]  # this run's own clone: the wrapper is gone with it
    comfy.patcher_extension.add_wrapper_with_key(kind, KEY, watch.on_conditions, options, is_model_options=True)
    try:
        samples = watch.run(proceed, extra_args, callback, rest)
    finally:
        watch.live.flush()
    recording.trace = watch.trace()
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
    """The observation of one run."""

    def __init__(self, recording: Recording, sampler, guider, sigmas: Tensor, extra_args: dict, masked: bool):
        self.recording, self.sampler, self.guider, self.sigmas = recording, sampler, guider, sigmas
        self.seed, self.masked = extra_args.get("seed"), masked
        self.run_of_chain = extra_args.get("model_options", {}).get(KEY)  # None where no chain of ours is at work
        self.function = getattr(sampler, "sampler_function", None)
        self.options = {**getattr(sampler, "extra_options", {}), **getattr(self.function, "options", {})}
        self.name = host.sampler_name(self.function or sampler)
        self.patcher = guider.model_patcher
        self.flow = host.is_flow(self.patcher)
        self.cfg, self.evaluated = float(getattr(guider, "cfg", "nan")), False
        self.current: Call | None = None
        self.end: Tensor | None = None
        self.split = TOLD_APART
        self.ledger = self._ledger()
        self.run_id, counted = uuid.uuid4().hex[:12], getattr(self.function, "count", None)
        steps = max(len(sigmas) - 1, 0) if counted is None else counted(sigmas)
        self.live = Live(self.ledger, self.run_id, steps, host.data_deviation(self.patcher))
        late = self.name == "dpm_adaptive"
        self.recorder = Recorder(self._entered, host.last_sigma(self.name, sigmas), reports_late=late)

    def _ledger(self) -> Ledger:
        capture = Capture(self.recording.capture, self.recording.budget_mb << 20)
        pixels = self.patcher.get_model_object("latent_format").latent_channels == host.PIXELS
        return Ledger(
            self.flow,
            capture,
            formula=None if self.options.get("s_churn") else FORMULAS.get(self.name),
            reads_uncond=self.name in READS_UNCOND,
            options=self.options,
            bound=1.0 if pixels else None,
            dtype=host.network_dtype(self.patcher),
            gradients=tuple(name for name in self._terms() if name.startswith("gradient")),
            energies=tuple(self._terms()),
        )

    def _terms(self) -> dict[str, str]:
        """Names and texts of the gradient terms and watched energies of our chain."""
        terms = self.run_of_chain.gradients.names if self.run_of_chain else {}
        return {name: term.text for term, name in terms.items()}

    def _entered(self, step: Recorded) -> None:
        self.ledger.enter(step)
        self.live.stepped(step.x[0].numel())

    def run(self, proceed: Callable, extra_args: dict, callback, rest: tuple) -> Tensor:
        """Sample through `proceed` with a watched copy of the sampler, or a watched guider if it is a foreign one."""
        if self.function is None:
            self.split = UNSEEN.format(reason="a sampler of another kind than the host's")
            guider = StandIn(self.guider, self._call)
            samples = proceed(self.sampler, guider, self.sigmas, extra_args, self._reported(callback), *rest)
            self._returned(samples)
            return samples
        inner = copy.copy(self.sampler)
        inner.sampler_function = self._watched(self.function)
        return proceed(inner, self.guider, self.sigmas, extra_args, callback or _silent, *rest)

    def _watched(self, function: Callable) -> Callable:
        def sampler_function(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
            options |= self._marked_noise(function, x, sigmas, options)
            stand_in = StandIn(model, self._call)

            def report(info):
                if info.get("back"):
                    return self.recorder.turned(info["x"], float(info["sigma"]))
                self.recorder.stepped()
                return callback({name: plain(value) for name, value in info.items()}) if callback else None

            samples = function(stand_in, x, sigmas, extra_args=extra_args, callback=report, disable=disable, **options)
            self._returned(samples)
            return plain(samples)

        return sampler_function

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
        return {"noise_sampler": self.recorder.marked(draw)}

    def _own_noise(self, function: Callable, x: Tensor, sigmas: Tensor) -> Callable | None:
        """What the function would draw from if left alone; None if nobody can say."""
        if host.is_hosts_own(function):
            return host.default_noise(self.name, x, sigmas, self.seed)
        makes = getattr(function, "noise", None)
        return makes(x, self.seed) if makes else None

    def _say_what_hides(self, function: Callable, options: dict) -> None:
        if not host.is_hosts_own(function):
            self.split = UNSEEN.format(reason=f"{self.name} takes no noise_sampler")
        elif options.get("s_churn"):
            self.split = UNSEEN.format(reason="s_churn draws it before the model call")

    def _call(self, model, x, sigma, *args, **kwargs):
        self.current = self.recorder.called(x, sigma)
        denoised = model(plain(x), sigma, *args, **kwargs)
        self.current.denoised = denoised.clone()
        self.current.stage = self._stage(self.current)
        if self.run_of_chain:
            asked = self.run_of_chain.gradients.latest
            self.current.gradients = {a.name: a.shift for a in asked if a.shift is not None}
            self.current.log_probs = {a.name: a.log_prob for a in asked}
        return denoised

    def _stage(self, call: Call) -> str:
        """What was left out of a call, empty if u and c tell it.  skip: another pack handed out a stored prediction."""
        self.evaluated = self.evaluated or call.evaluations > 0
        if self.evaluated and call.evaluations == 0:
            return "skip"
        return self.run_of_chain.stage if self.run_of_chain and call.uncond is None else ""

    def on_conditions(self, executor, model, conds, x, sigma, model_options):
        """Wrapper of the host's batched evaluation: copies u and c before any rule may edit them."""
        predictions = executor(model, conds, x, sigma, model_options)
        call, level = self.current, float(sigma.flatten()[0])
        if call is None:
            return predictions  # an evaluation outside the sampler's calls belongs to no step
        active = [host.is_active(cond, level) for cond in conds]
        roles = {} if model_options.get(FURTHER) else self._roles(conds)
        for role, position in roles.items():
            if getattr(call, role) is None and active[position]:
                setattr(call, role, predictions[position].detach().clone())
        call.evaluations += sum(active)
        call.gamma = getattr(self.run_of_chain or self.guider, "gamma", self.cfg)
        return predictions

    def _roles(self, conds: list) -> dict[str, int]:
        """Which of the evaluated conditions are u and c: the guider's own by identity, else the host's order [c, u]."""
        known = getattr(self.guider, "conds", {})
        own = (("cond", known.get("positive")), ("uncond", known.get("negative")))
        found = {role: i for i, c in enumerate(conds) if c is not None for role, cond in own if c is cond}
        return found or dict(zip(("cond", "uncond"), range(len(conds)), strict=False))

    def _reported(self, callback) -> Callable:
        def report(i, denoised, x, total):
            self.recorder.stepped()
            return callback(i, denoised, x, total) if callback else None

        return report

    def _returned(self, samples: Tensor) -> None:
        self.end = plain(samples)
        self.recorder.returned(samples)

    def trace(self) -> Trace:
        """All that was seen, as one Trace."""
        captured, tensors, note = self.ledger.capture.stacked()
        if self.ledger.capture.mode != "numbers" and self.end is not None:
            tensors["end"] = self.end.half().cpu()
        tensors = mapped(tensors)
        capture = {"mode": self.recording.capture, "budget_mb": self.recording.budget_mb}
        columns = self._columns()
        header = self._header() | {"capture": capture | {"steps": captured, "note": note}} | self.recording.facts
        return Trace(header, columns, list(self.ledger.stage), tensors)

    def _columns(self) -> Mapping[str, Tensor]:
        batch = 0 if self.end is None else len(self.end)
        return self.ledger.closed() if self.ledger.stage else no_steps(batch, self.ledger)

    def _header(self) -> dict:
        shape = [] if self.end is None else list(self.end.shape[1:])
        checked = "checked by the step's formula" if self.ledger.formula else "not verified by a formula"
        return {
            "version": VERSION,
            "run": self.run_id,
            "space": "flow" if self.flow else "ve",
            "vectors": list(self.ledger.vectors),
            "terms": self._terms(),
            "sampler": self.name,
            "options": {name: v for name, v in self.options.items() if isinstance(v, int | float | str)},
            "scheduler": None,
            "cfg": self.cfg,
            "seed": self.seed,
            "sigmas": [float(s) for s in self.sigmas],
            "labels": host.labels_of(self.guider, 0 if self.end is None else len(self.end)),
            "chain": self._chain(),
            "model": host.describe_model(self.patcher),
            "host": host.describe_host(self.patcher),
            "latent": {"shape": shape, "format": type(self.patcher.get_model_object("latent_format")).__name__},
            "sigma_data": host.data_deviation(self.patcher),
            "split": f"{self.split}; {checked}",
            "evaluations": self.ledger.evaluations,
            "notes": self._notes(),
        }

    def _chain(self) -> str:
        guidance = self.run_of_chain.chain if self.run_of_chain else getattr(self.guider, "guidance", None)
        return getattr(guidance, "text", type(self.guider).__name__)

    def _notes(self) -> list[str]:
        notes = []
        if self.masked:
            notes.append("a noise mask was set: D is the original outside it, so D - G is not a rule's doing there")
        if self.flow and self.name in host.WRONG_ON_FLOW:
            notes.append(f"{self.name} adds VE noise to a flow state: its samples are wrong on flow models")
        asked = [stage for stage in self.ledger.stage if stage != RECUR]
        skipped = sum(stage != "step" for stage in asked)
        if skipped:
            notes.append(f"uncond was not evaluated in {skipped} of {len(asked)} steps")
        return [*notes, *(self.run_of_chain.told() if self.run_of_chain else ())]


def unsampled(recording: Recording, sampler, guider, samples: Tensor, seed: int) -> Trace:
    """The trace of a run without steps (denoise 0): the host hands the latent back and calls no sampler."""
    watch = Watch(recording, sampler, guider, torch.zeros(0), {"seed": seed}, masked=False)
    watch.end = samples
    return watch.trace()


def mapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, in a memory-mapped file of the host's temp folder if they are large.

    The file goes at once where an open file may be deleted; elsewhere the host empties that folder when it starts.
    """
    if sum(t.numel() * t.element_size() for t in tensors.values()) <= IN_MEMORY:
        return tensors
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{KEY}-{uuid.uuid4().hex}.safetensors"
    safetensors.torch.save_file(tensors, path)
    again = safetensors.torch.load_file(path)
    with suppress(PermissionError):
        path.unlink()
    return again


def no_steps(batch: int, ledger: Ledger) -> dict[str, Tensor]:
    """The columns of a run without steps."""
    pairs = len(ledger.vectors) * (len(ledger.vectors) + 1) // 2
    shapes = dict.fromkeys(PER_STEP, (0,)) | dict.fromkeys(PER_SAMPLE, (0, batch))
    shapes |= {"K": (0, batch, pairs), "sum": (0, batch, 3)}
    shapes |= dict.fromkeys((f"log_prob {name}" for name in ledger.energies), (0, batch))
    return {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}


def _silent(*_) -> None:
    """A callback that does nothing: the host drops the recorder's if there is none."""
