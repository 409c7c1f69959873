"""The tap that the Guidance tab puts behind the MODELs of a job."""

from __future__ import annotations

from comfy_api.latest import io

from ..host.checks import CheckedNode
from ..host.recording import Recording
from ..host.run_recorder import tapped
from .records import uncond_steps_input
from .sampling import CAPTURE

MOST_EPOCHS = 2**31 - 1


class GGTap(CheckedNode):
    """A MODEL whose runs the Guidance tab shows; whatever else comes in goes on to the sampler as it is."""

    unread = ("model",)

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GGTap",
            display_name="Tap of the Guidance Tab",
            category="guidance geometry/lab",
            description="The Guidance tab puts this behind the models of a job, so that their runs are recorded. You "
            "never need to add it: switch recording on in the tab. Samples stay the same, bit for bit.",
            inputs=[
                io.Model.Input("model", tooltip="The model that is sampled with; it is passed on, and recorded."),
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
            ],
            outputs=[io.Model.Output(tooltip="The same model.")],
        )

    @classmethod
    def execute(cls, model, capture="pictures", uncond_steps=3, epoch=0) -> io.NodeOutput:
        return io.NodeOutput(tapped(model, lambda: Recording(capture, uncond_steps=uncond_steps)))
