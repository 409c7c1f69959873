"""Traces of graphs that stay as they are: a MODEL that is recorded by whichever KSampler uses it, and its reader."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import comfy.patcher_extension
from comfy_api.latest import io
from comfy_execution.utils import get_executing_context

from ..guidance.printing import Printed
from ..guidance.trace import Trace
from . import host
from .checks import checked, insist, validated, verdict
from .recording import Recording, record
from .sampling import CAPTURE, CAPTURE_MB, CATEGORY, MODEL, TRACE, bad_capture, provenance
from .sockets import HIDDEN
from .wires import RecorderWire

MOST_RUNS = 16


@dataclass
class RunRecorder(Printed):
    """The explicit state on a GG_RECORDER wire: the runs of the latest job that sampled with the recorded MODEL."""

    capture: str
    budget_mb: int
    job: str | None = None
    runs: list[Trace] = field(default_factory=list)

    def begin(self) -> Recording:
        """Settings for one run; what an earlier job left is dropped."""
        context = get_executing_context()
        job = context.prompt_id if context else None
        if job != self.job:
            self.job = job
            self.runs.clear()
        return Recording(self.capture, self.budget_mb)

    def keep(self, trace: Trace) -> None:
        """Add a finished run; the oldest goes once there are too many."""
        self.runs.append(trace)
        del self.runs[:-MOST_RUNS]

    def __repr__(self) -> str:
        return f"Recorder({len(self.runs)} runs, capture {self.capture})"

    __str__ = __repr__


def recorded(model, recorder: RunRecorder):
    """A clone of a MODEL whose runs are recorded; other packs' wrappers are still called, before and after this one."""

    def sampler_sample(executor, *arguments):
        def proceed(sampler, *rest):
            return host.ending_in(executor, sampler.sample, sampler)(*rest)

        recording = recorder.begin()
        samples = record(recording, executor.class_obj, proceed, *arguments)
        if recording.trace is not None:
            recorder.keep(recording.trace)
        return samples

    clone = model.clone()
    clone.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE, host.KEY, sampler_sample)
    return clone


class GGRecord(io.ComfyNode):
    """A MODEL that is recorded."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GGRecord",
            display_name="Record Guidance (any KSampler)",
            category=CATEGORY,
            description="Put it between the model and any sampler node; the picture stays the same, bit for bit. "
            "Read the record with Read Recorded Trace.",
            inputs=[MODEL, CAPTURE, CAPTURE_MB],
            outputs=[
                io.Model.Output(tooltip="The same model; sampling with it is recorded."),
                RecorderWire.Output(display_name="recorder", tooltip="For Read Recorded Trace."),
            ],
        )

    @classmethod
    @validated
    def validate_inputs(cls, capture=None):
        return verdict(bad_capture(capture))

    @classmethod
    @checked
    def execute(cls, model, capture="pictures", capture_mb=256) -> io.NodeOutput:
        insist(bad_capture(capture))
        recorder = RunRecorder(capture, capture_mb)
        return io.NodeOutput(recorded(model, recorder), recorder)


class GGReadTrace(io.ComfyNode):
    """The trace of a recorded run."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GGReadTrace",
            display_name="Read Recorded Trace",
            category=CATEGORY,
            description="Hands out the trace of a run that was sampled with a recorded model.",
            inputs=[
                RecorderWire.Input("recorder", tooltip="From Record Guidance."),
                io.Latent.Input("latent", tooltip="The sampler's output: the trace is read once that exists."),
                io.Int.Input(
                    "run",
                    default=-1,
                    min=-MOST_RUNS,
                    max=MOST_RUNS - 1,
                    optional=True,
                    tooltip="Which run of this job: 0 is the first, -1 the last. Two samplers in a row make two runs.",
                ),
            ],
            outputs=[TRACE, io.Latent.Output(display_name="latent", tooltip="The latent, passed on.")],
            hidden=HIDDEN,
        )

    @classmethod
    @checked
    def execute(cls, recorder, latent, run=-1) -> io.NodeOutput:
        count = len(recorder.runs)
        if not -count <= run < count:
            raise ValueError(
                f"Run {run} was asked for, but the recorder holds {count} runs of this job. Sample with the recorded "
                "MODEL, connect that sampler's latent here, and choose a run that exists (-1 is the last)."
            )
        trace = recorder.runs[run]  # this node runs with every new latent, so it knows the job's own workflow
        return io.NodeOutput(replace(trace, header={**trace.header, **provenance(cls)}), latent)


NODES = [GGRecord, GGReadTrace]
