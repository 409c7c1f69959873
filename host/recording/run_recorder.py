"""The runs of a recorded MODEL, and which of them made a latent."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import comfy.patcher_extension
import comfy.utils
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrapperExecutor
from comfy_execution.utils import get_executing_context
from torch import Tensor

from ...guidance.printing import Printed, count_of
from ...trace.faults import keep_out
from ...trace.trace import Trace
from .. import server
from ..editor.wires import offering
from ..limits import MOST_RUNS
from ..models import adapter
from .watch import Recording, SamplerArguments, record

RECORDS = (comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE, server.KEY)  # kind and key of the wrapper
IS_PATCHER = offering("clone", "get_wrappers", "add_wrapper_with_key")
STRANGE = (
    "No single recorded run made all of these samples: they were changed after sampling, come from several runs or "
    "from another MODEL, or their run was dropped for newer ones."
)


@dataclass(frozen=True, eq=False)
class RecordedRun:
    """One recorded run.

    latent_marks: marks of the samples of each latent it made. node, job: whose execution it was in, as its run number
    `place`.
    """

    trace: Trace
    latent_marks: list[list[str]]
    node: str | None
    job: str | None
    place: int

    @property
    def size(self) -> int:
        """Bytes of captured tensors."""
        kept = (tensor for part in self.trace.every_part for tensor in part.tensors.values())
        return sum(tensor.numel() * tensor.element_size() for tensor in kept)

    def __str__(self) -> str:
        header, trace = self.trace.header, self.trace
        steps, images = count_of(trace.n, "step"), count_of(trace.batch, "image")
        return f"seed {header.get('seed')}, {steps} of {header.get('sampler')}, {images}"


@dataclass
class RunRecorder(Printed):
    """The explicit state on a GG_RECORDER wire: the runs that sampled with the recorded MODEL.

    A sampler that runs again replaces its run of an earlier job, one that the host has cached keeps it. What was
    replaced can still be found by its latent for a while, since a cache may bring that latent back.
    """

    capture: str
    budget_mb: int
    uncond_steps: int = 0
    measure: int = 0
    runs: list[RecordedRun] = field(default_factory=list)
    samplers: dict[str | None, tuple[str | None, int]] = field(default_factory=dict)  # node -> latest job, its runs

    def begin(self) -> Recording:
        """Settings for one run, which is kept when it has ended."""
        return Recording(
            self.capture, self.budget_mb, keep=self.keep, uncond_steps=self.uncond_steps, measure=self.measure
        )

    def keep(self, trace: Trace, latents: list[Tensor]) -> None:
        """Add a finished run, with the latents that the host makes of it."""
        context = get_executing_context()
        node, job = (context.node_id, context.prompt_id) if context else (None, None)
        before, made = self.samplers.get(node, (job, 0))
        made = made if before == job else 0
        self.runs.append(RecordedRun(trace, [marks_of(latent) for latent in latents], node, job, made))
        self.samplers[node] = (job, made + 1)
        for run in self._replaced_runs():
            for part in run.trace.every_part:
                len(part.steps)  # its numbers are made now, and what waits for that on the device is let go
        self._let_go()

    def _replaced_runs(self) -> list[RecordedRun]:
        return [run for run in self.runs if self.samplers[run.node][0] != run.job]

    def _let_go(self) -> None:
        """Keep at most MOST_RUNS within the budget; the budget alone never costs a node its latest run."""
        while len(self.runs) > MOST_RUNS or (self._spare() and sum(r.size for r in self.runs) > self.budget_mb << 20):
            self.runs.remove(self._spare() or self.runs[0])
        there = {run.node for run in self.runs}
        self.samplers = {node: ran for node, ran in self.samplers.items() if node in there}

    def _spare(self) -> RecordedRun | None:
        """The oldest run that was replaced, else the oldest of the node with most runs; None where each has one."""
        count = Counter(run.node for run in self.runs)
        several = [run for run in self.runs if count[run.node] == max(count.values()) > 1]
        return next(iter([*self._replaced_runs(), *several]), None)

    @property
    def latest(self) -> list[RecordedRun | None]:
        """The runs of every sampler's latest job, in the order in which the samplers first ran; None: it was let go."""
        held = {(run.node, run.job, run.place): run for run in self.runs}
        return [held.get((node, job, i)) for node, (job, made) in self.samplers.items() for i in range(made)]

    def find(self, latent: dict, run: int) -> Trace:
        """The run that made a latent, or the one of a number other than -1.  Raises ValueError where there is none."""
        marks, latest = marks_of(latent.get("samples")), self.latest
        if run == -1:
            made = [one for one in self.runs if marks and any(set(marks) <= set(latent) for latent in one.latent_marks)]
        else:
            made = [one for one in latest[run : run + 1 or None] if one] if -len(latest) <= run < len(latest) else []
        if made:
            return made[-1].trace
        if not latest:
            raise ValueError(
                "The recorder holds no run. Sample with the recorded MODEL, and connect that sampler's latent here."
            )
        there = "; ".join(f"{i} ({one})" for i, one in enumerate(latest) if one)
        wrong = f"There is no run {run}." if run != -1 else STRANGE
        raise ValueError(f"{wrong} Connect a recorded sampler's own latent, or set run to one of these: {there}.")

    def __repr__(self) -> str:
        return f"Recorder({count_of(len(self.runs), 'run')}, capture {self.capture})"

    __str__ = __repr__


def marks_of(samples: Tensor | None) -> list[str]:
    """A mark of the content of each sample of a latent [B, ...], in the precision that all hosts keep.

    Nodes that pass a latent on, pick from its batch or repeat it leave the marks as they are.
    """
    if samples is None:
        return []
    packed = comfy.utils.pack_latents(adapter.parts_of(samples))[0] if adapter.is_nested(samples) else samples
    rows = packed.detach().half().cpu().contiguous()
    shape = str(tuple(rows.shape[1:])).encode()
    return [hashlib.sha256(shape + row.numpy().tobytes()).hexdigest() for row in rows]


def record_model(model: ModelPatcher, begin: Callable[[], Recording]) -> ModelPatcher:
    """A clone of a MODEL whose runs are recorded; other packs' wrappers are still called, before and after this one.

    begin: gives the settings of one run.
    """

    def sampler_sample(executor: WrapperExecutor, *arguments: Any):
        known = len(SamplerArguments._fields)  # a later host may hand over more

        def proceed(sampler: Any, given: SamplerArguments) -> Tensor:
            return adapter.ending_in(executor, sampler.sample, sampler)(*given, *arguments[known:])

        sampler: Any = executor.class_obj
        return record(begin(), sampler, proceed, SamplerArguments(*arguments[:known]))

    clone = model.clone()
    clone.add_wrapper_with_key(*RECORDS, sampler_sample)
    return clone


def is_recorded(model: ModelPatcher) -> bool:
    """Whether runs of this MODEL are recorded already."""
    return bool(model.get_wrappers(*RECORDS))


def without_recording(model: ModelPatcher) -> ModelPatcher:
    """A MODEL whose runs are not recorded; the same where they are not."""
    if not is_recorded(model):
        return model
    clone = model.clone()
    clone.remove_wrappers_with_key(*RECORDS)
    return clone


def tap_model(model: ModelPatcher, begin: Callable[[], Recording]) -> ModelPatcher:
    """The MODEL with its runs recorded; the same as came in where they are already, and where nothing can be."""
    tapped = model
    with keep_out(lambda fault: None):
        if IS_PATCHER(model) and not is_recorded(model):
            tapped = record_model(model, begin)
    return tapped


def tap_pipe(pipe: Any, begin: Callable[[], Recording]) -> Any:
    """What a pipe carries, with the runs of every MODEL in its lists, tuples and tables recorded.

    Where one is, the containers around it are copies, anything else the same object: other nodes read the pipe as it
    was. What is no plain container is never opened.
    """
    result = pipe
    with keep_out(lambda fault: None):
        result = _replace_models(pipe, lambda model: tap_model(model, begin), {})
    return result


def _replace_models(value: Any, change: Callable, memo: dict[int, object]):
    """memo: what was looked at, by its id, and what takes its place; a circle stays as it is."""
    plain = type(value) in (list, tuple, dict)
    if id(value) in memo or not (plain or IS_PATCHER(value)):
        return memo.get(id(value), value)
    memo[id(value)] = value
    memo[id(value)] = _copy_container(value, change, memo) if plain else change(value)
    return memo[id(value)]


def _copy_container(value: Any, change: Callable, memo: dict[int, object]):
    parts = list(value.values()) if isinstance(value, dict) else value
    after = [_replace_models(part, change, memo) for part in parts]
    if all(new is old for new, old in zip(after, parts, strict=True)):
        return value
    return dict(zip(value, after, strict=True)) if isinstance(value, dict) else type(value)(after)
