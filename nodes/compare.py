"""Two runs held against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .. import figures, host
from ..figures import BACKGROUNDS
from ..host.editor.view_node import ViewNode
from ..host.editor.widgets import HIDDEN, SEE, VAE_IN, choice_input, index_input
from ..host.editor.wires import TraceWire
from .see import MOST_SAMPLES, default_when_negative

if TYPE_CHECKING:
    from ..trace.trace import Trace

SAMPLE = "Which picture of the batch, from 0. -1 takes a typical one of A."


class GGCompareTraces(ViewNode):
    """Where two runs part."""

    name = "Compare Traces"
    search_words = ("difference of two runs", "before and after", "A B")
    category = SEE
    description = (
        "Two runs of one seed with another cfg, sampler, model or other setting: how far apart they are at every "
        "step, where they part, and both as pictures."
    )
    is_output_node = True
    inputs = (
        TraceWire.Input("trace_a", tooltip="The first run, A."),
        TraceWire.Input("trace_b", tooltip="The second run, B: the same seed, steps and scheduler."),
        index_input("sample", -1, MOST_SAMPLES, SAMPLE),
        choice_input("theme", BACKGROUNDS, "Background. transparent gives an image with an alpha channel."),
        VAE_IN,
    )
    outputs = (
        io.Image.Output(
            display_name="image", tooltip="How far apart they are at each step, and both runs as pictures."
        ),
        io.String.Output(display_name="text", tooltip="The same in numbers."),
    )
    hidden_inputs = HIDDEN

    @classmethod
    def execute(
        cls, trace_a: Trace, trace_b: Trace, sample: int, theme: str, vae: io.Vae.Type | None = None
    ) -> io.NodeOutput:
        pictures = [host.models.trace_pictures.pictures_of(trace, vae) for trace in (trace_a, trace_b)]
        canvas, text = figures.compare.draw_comparison(
            trace_a, trace_b, sample=default_when_negative(sample), theme=theme, pictures=pictures
        )
        image = host.editor.figure_files.image_of_page(canvas)
        return io.NodeOutput(
            image, text, ui=host.editor.saving.show_or_say(host.editor.saving.preview, image, cls, texts=[text])
        )
