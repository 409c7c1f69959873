"""The taps that the Guidance tab puts behind the MODELs of a job, and behind what has MODELs inside."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .. import host
from ..host.editor.checks import CheckedNode
from .records import uncond_steps_input
from .sampling import CAPTURE, MEASURE

MOST_EPOCHS = 2**31 - 1
SETTINGS = [  # inputs of every tap beside what it passes on
    CAPTURE,
    uncond_steps_input(3),
    io.Int.Input(
        "epoch",
        default=0,
        min=0,
        max=MOST_EPOCHS,
        optional=True,
        tooltip="Changed by the tab when a cached sampler has to run again to be recorded.",
    ),
    MEASURE,
]


def _recording(capture: str, uncond_steps: int, measure: int) -> host.recording.watch.Recording:
    return host.recording.watch.Recording(capture, uncond_steps=uncond_steps, measure=measure)


class GGTap(CheckedNode):
    """A MODEL whose runs the Guidance tab shows; whatever else comes in goes on to the sampler as it is."""

    is_dev_only = True
    unread_inputs = ("model",)

    name = "Tap of the Guidance Tab"
    search_words = ("record", "monitor")
    category = "guidance geometry/lab"
    description = (
        "The Guidance tab puts this behind the models of a job, so that their runs are recorded. You "
        "never need to add it: switch recording on in the tab. Samples stay the same, bit for bit."
    )
    inputs = (
        io.Model.Input("model", tooltip="The model that is sampled with; it is passed on, and recorded."),
        *SETTINGS,
    )
    outputs = (io.Model.Output(tooltip="The same model."),)

    @classmethod
    def execute(
        cls, model: Any, capture: str = "pictures", uncond_steps: int = 3, epoch: int = 0, measure: int = 0
    ) -> io.NodeOutput:
        return io.NodeOutput(
            host.recording.run_recorder.tap_model(model, lambda: _recording(capture, uncond_steps, measure))
        )


class GGPipeTap(CheckedNode):
    """A pipe with the MODELs in it recorded; whatever else comes in goes on to the sampler as it is."""

    is_dev_only = True
    unread_inputs = ("pipe",)

    name = "Pipe Tap of the Guidance Tab"
    search_words = ("record", "monitor")
    category = "guidance geometry/lab"
    description = (
        "The Guidance tab puts this behind the pipes of a job that carry a model to a sampler, so that "
        "its runs are recorded. You never need to add it: switch recording on in the tab. Samples stay the same, "
        "bit for bit."
    )
    inputs = (
        io.AnyType.Input("pipe", tooltip="What has the model inside; it is passed on, its model recorded."),
        *SETTINGS,
    )
    outputs = (io.AnyType.Output(display_name="pipe", tooltip="The same pipe."),)

    @classmethod
    def execute(
        cls, pipe: Any, capture: str = "pictures", uncond_steps: int = 3, epoch: int = 0, measure: int = 0
    ) -> io.NodeOutput:
        return io.NodeOutput(
            host.recording.run_recorder.tap_pipe(pipe, lambda: _recording(capture, uncond_steps, measure))
        )
