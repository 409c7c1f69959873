"""Traces of graphs that stay as they are: a MODEL that is recorded by whichever KSampler uses it, and its reader."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from .. import host
from ..host.editor.checks import CheckedNode
from ..host.editor.widgets import HIDDEN
from ..host.editor.wires import RecorderWire
from ..host.limits import MOST_RUNS, MOST_UNCOND
from .sampling import CAPTURE, CAPTURE_MB, CATEGORY, MEASURE, MODEL, TRACE

if TYPE_CHECKING:
    from ..host.recording.run_recorder import RunRecorder


def uncond_steps_input(default: int) -> io.Int.Input:
    """How often u is evaluated after a run at cfg 1."""
    return io.Int.Input(
        "uncond_steps",
        default=default,
        min=0,
        max=MOST_UNCOND,
        optional=True,
        tooltip="At cfg 1: at how many steps the model is also run without the prompt, after the run, to show what "
        "guidance would do. Each runs the model twice; no pixel changes. 0: none.",
    )


class GGRecord(CheckedNode):
    """A MODEL that is recorded."""

    name = "Record Guidance (any KSampler)"
    search_words = ("record", "monitor", "log cfg")
    category = CATEGORY
    description = (
        "Records every sampling with this model. Put it between the model and any sampler node; the picture stays "
        "the same, bit for bit. Read Recorded Trace gives you the record."
    )
    inputs = (MODEL, CAPTURE, CAPTURE_MB, uncond_steps_input(0), MEASURE)
    outputs = (
        io.Model.Output(tooltip="The same model; sampling with it is recorded."),
        RecorderWire.Output(display_name="recorder", tooltip="For Read Recorded Trace."),
    )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        capture: str = "pictures",
        capture_mb: int = 256,
        uncond_steps: int = 0,
        measure: int = 0,
    ) -> io.NodeOutput:
        recorder = host.recording.run_recorder.RunRecorder(capture, capture_mb, uncond_steps, measure)
        return io.NodeOutput(host.recording.run_recorder.record_model(model, recorder.begin), recorder)


class GGReadTrace(CheckedNode):
    """The trace of a recorded run."""

    name = "Read Recorded Trace"
    search_words = ("recorded run", "monitor")
    category = CATEGORY
    description = "Outputs the trace of a run that was sampled with a recorded model."
    inputs = (
        RecorderWire.Input("recorder", tooltip="From Record Guidance."),
        io.Latent.Input("latent", tooltip="The sampler's output: the trace of the run that made it is read."),
        io.Int.Input(
            "run",
            default=-1,
            min=-MOST_RUNS,
            max=MOST_RUNS - 1,
            optional=True,
            tooltip="-1: the run that made this latent. Any other number selects a run by position, for nodes "
            "that sample several times: 0 is the first, -2 the second to last.",
        ),
    )
    outputs = (TRACE, io.Latent.Output(display_name="latent", tooltip="The latent, passed on."))
    hidden_inputs = HIDDEN

    @classmethod
    def execute(cls, recorder: RunRecorder, latent: dict[str, Any], run: int = -1) -> io.NodeOutput:
        trace = recorder.find(latent, run)  # this node runs with every new latent, so it knows the job's own workflow
        trace_of_job = replace(trace, header={**trace.header, **host.editor.saving.provenance(cls)})
        return io.NodeOutput(trace_of_job, latent, **host.recording.run_facts.on_the_node(trace))
