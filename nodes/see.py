"""Seeing a run: figures, difference images and metrics; traces on disk are next door."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from comfy_api.latest import io

from .. import figures, host
from .. import trace as traces
from ..figures import BACKGROUNDS, MENU
from ..host.editor.view_node import ViewNode
from ..host.editor.widgets import (
    HIDDEN,
    SEE,
    TRACE_IN,
    TRACE_OUT,
    VAE_IN,
    bad_prefix,
    choice_input,
    index_input,
    prefix_input,
)
from ..host.limits import SAVES

if TYPE_CHECKING:
    from ..trace.trace import Trace

SIZE_WORDS = {"blog 960x540": "blog", "slide 1920x1080": "slide", "column 600": "column"}
MOST_STEPS, MOST_SAMPLES, MOST_GAIN = 9999, 4095, 1024.0
STEP = "Step to draw. Counted from 0, in captions from 1: 7 draws step 8. -1 chooses one at two fifths of the run."
FIGURE = (
    "step plane: a whole step in one picture. The next four build it up. Then the figures of the post in order: noise "
    "levels; sampling; with a classifier; noise added; the animations, the last one over all steps. filmstrip and heat "
    "map show the whole run. classifier curves: how confident each classifier is, step by step. effective scale: what "
    "cfg acts like at each step."
)
SAVE = (
    "What to write into output; each file reopens the workflow. all: every format. webp, apng: animations, with a "
    "sheet of their frames (png writes the sheet only)."
)
SAMPLE = "Which picture of the batch, from 0. -1 takes a typical one."


def default_when_negative(index: int) -> int | None:
    """-1 stands for the automatic choice."""
    return None if index < 0 else index


class GGFigure(ViewNode):
    """The post's figures and some more, drawn to scale from a run."""

    checks: ClassVar = {"filename_prefix": bad_prefix}

    name = "Guidance Figure (blog)"
    search_words = ("plot", "diagram", "vectors", "noise level")
    category = SEE
    description = (
        "Draws a run to scale: one step with all that happens in it, or the figures and animations of the blog post. "
        "Also the run as pictures, and where in the picture the prompt acts."
    )
    is_output_node = True
    inputs = (
        TRACE_IN,
        choice_input("figure", MENU, FIGURE),
        index_input("step", -1, MOST_STEPS, STEP),
        index_input("sample", 0, MOST_SAMPLES, SAMPLE),
        choice_input("size", SIZE_WORDS, "For a post, for a slide, or for a narrow column."),
        choice_input("theme", BACKGROUNDS, "Background. transparent gives an image with an alpha channel."),
        choice_input("save", SAVES, SAVE),
        prefix_input("figure", "saved figures"),
        VAE_IN,
        io.Image.Input("image", optional=True, tooltip="noise levels only: a photo of your own to add noise to."),
    )
    outputs = (
        io.Image.Output(
            display_name="image",
            tooltip="The figure, or all frames of an animation; with alpha if the theme is transparent.",
        ),
        io.String.Output(display_name="caption", tooltip="The numbers under the figure, as text."),
    )
    hidden_inputs = HIDDEN

    @classmethod
    def execute(
        cls,
        trace: Trace,
        figure: str,
        step: int,
        sample: int,
        size: str,
        theme: str,
        save: str,
        filename_prefix: str,
        vae: io.Vae.Type | None = None,
        image: io.Image.Type | None = None,
    ) -> io.NodeOutput:
        order = figures.order.Order(
            trace,
            default_when_negative(step),
            default_when_negative(sample),
            SIZE_WORDS[size],
            theme,
            host.models.trace_pictures.pictures_of(trace, vae),
            None if image is None else figures.strips.photo_of(image[0]),
        )
        film = figures.registry.draw_figure(order, figure)
        frames = host.editor.figure_files.image_of(film)
        drawing = (cls, film, frames)
        unsaved = partial(host.editor.figure_files.save_figure, *drawing, "none", "")
        shown = host.editor.saving.show_or_say(
            host.editor.figure_files.save_figure, *drawing, save, filename_prefix, instead=unsaved
        )
        return io.NodeOutput(frames, film.caption, ui=shown)


class GGDifferenceImages(ViewNode):
    """What the condition adds, as pictures."""

    name = "Difference Images"
    search_words = ("heat map", "compare images")
    category = SEE
    description = (
        "Shows what the prompt adds, step by step. At each step the model guesses the finished picture with the "
        "prompt and without it; the difference of the two is shown on grey, enlarged. The node itself shows one "
        "page: a column for each step, a row for each picture."
    )
    is_output_node = True
    inputs = (
        TRACE_IN,
        VAE_IN,
        io.String.Input(
            "steps",
            default="auto",
            optional=True,
            tooltip="auto: up to 8 captured steps, evenly. all: every captured one. Or numbers, counted "
            "from 0: 0, 5, 8-12.",
        ),
        io.Float.Input(
            "gain",
            default=0.0,
            min=0.0,
            max=MOST_GAIN,
            step=0.5,
            optional=True,
            tooltip="Factor of the difference. 0 takes the largest power of two that clips at most 1 %.",
        ),
    )
    outputs = (
        io.Image.Output(display_name="uncond", tooltip="The model's guesses without the prompt, step by step."),
        io.Image.Output(display_name="cond", tooltip="The guesses with the prompt."),
        io.Image.Output(display_name="guided", tooltip="What guidance made of the two."),
        io.Image.Output(
            display_name="difference", tooltip="0.5 + gain times the difference; grey means no difference."
        ),
    )
    hidden_inputs = HIDDEN

    @classmethod
    def execute(
        cls, trace: Trace, vae: io.Vae.Type | None = None, steps: str = "auto", gain: float = 0.0
    ) -> io.NodeOutput:
        images = figures.difference.difference_images(
            trace, host.models.trace_pictures.pictures_of(trace, vae), steps, gain
        )
        grid = host.editor.figure_files.image_of_page(figures.difference_grid.draw_differences(trace, images, gain))
        shown = host.editor.saving.show_or_say(host.editor.saving.preview, grid, cls, texts=[images.note])
        return io.NodeOutput(images.uncond, images.cond, images.guided, images.difference, ui=shown)


class GGMetrics(ViewNode):
    """The run's numbers."""

    checks: ClassVar = {"filename_prefix": bad_prefix}

    name = "Guidance Metrics"
    search_words = ("numbers", "table", "csv", "noise level")
    category = SEE
    description = (
        "The run as numbers: a table of one sample; all samples as CSV and JSON in the output folder. "
        "The table counts steps from 1, the files from 0."
    )
    is_output_node = True
    inputs = (
        TRACE_IN,
        prefix_input("metrics", "the CSV and the JSON file"),
        index_input("sample", -1, MOST_SAMPLES, SAMPLE + " The files contain all samples."),
    )
    outputs = (TRACE_OUT, io.String.Output(display_name="table", tooltip="The table as text."))

    @classmethod
    def execute(cls, trace: Trace, filename_prefix: str, sample: int) -> io.NodeOutput:
        problems = traces.checks.check(trace) or ["nothing wrong found"]
        table = figures.table.as_text(trace, default_when_negative(sample)) + "\n\nrecord check: " + " ".join(problems)
        table += f"\n{note}" if (note := figures.table.left_out(trace)) else ""
        return io.NodeOutput(
            trace,
            table,
            ui=host.editor.saving.show_or_say(
                host.editor.figure_files.save_tables, trace, filename_prefix, texts=[table]
            ),
        )
