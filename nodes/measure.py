"""What the model that made them says of finished pictures."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .. import host, trace
from ..host.editor.checks import CheckedNode
from ..host.editor.widgets import SEE
from ..host.limits import MOST_DRAWS


class GGMeasure(CheckedNode):
    """Prompt strength and denoising ratio of a latent."""

    name = "Measure Pictures"
    search_words = ("prompt strength", "denoising ratio", "best of N", "burn", "over-guided", "which picture")
    category = SEE
    description = (
        "Asks the model about finished pictures: how strongly they show the prompt, and how strange they are to it. "
        "The model sees noisy copies of them, as in sampling, and nothing guides it. It is no measure of quality: a "
        "smooth or a plain picture can have the best numbers."
    )
    is_output_node = True
    inputs = (
        io.Model.Input("model", tooltip="The model that made the pictures, with its LoRAs."),
        io.Conditioning.Input("positive", tooltip="The prompt of the pictures."),
        io.Conditioning.Input("negative", tooltip="Their negative prompt: prompt strength is counted from there."),
        io.Latent.Input("latent", tooltip="The finished pictures. Four or more: one alone says little."),
        io.Int.Input(
            "noise_seed",
            default=0,
            min=0,
            max=2**63 - 1,
            tooltip="Seed of the noise that the model is asked with. Keep it, to compare two latents.",
        ),
        io.Int.Input(
            "draws",
            default=4,
            min=1,
            max=MOST_DRAWS,
            optional=True,
            tooltip="How often each picture is asked about. Four times the draws halve the noise of a single picture, "
            "and take four times as long: one draw is about 24 evaluations of the model for each picture.",
        ),
        io.Latent.Input(
            "plain",
            optional=True,
            tooltip="The same seeds at cfg 1, otherwise as the pictures. Then the report says whether the measure "
            "applies to this model at all, and how many times as strange guidance made the pictures.",
        ),
    )
    outputs = (
        io.String.Output(display_name="report", tooltip="What the model says, in words."),
        io.String.Output(display_name="json", tooltip="The numbers with their 95 % intervals, for scripts and agents."),
        io.Float.Output(
            display_name="prompt strength", tooltip="0: as without the prompt. 1: as the model draws it unguided."
        ),
        io.Float.Output(
            display_name="denoising ratio", tooltip="1: as strange as the model's own pictures. More: stranger."
        ),
        io.Latent.Output(display_name="ordered", tooltip="The pictures, the one that shows the prompt most first."),
        io.Latent.Output(display_name="best", tooltip="The picture that shows the prompt most: the best of N."),
    )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        latent: dict[str, Any],
        noise_seed: int,
        draws: int = 4,
        plain: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        report = host.recording.measuring.measure_pictures(
            model, positive, negative, latent, plain=plain, draws=draws, seed=noise_seed
        )
        text, as_text = report.text(), trace.portable.ascii_json(report.as_json())
        numbers = (report.measurement.strength.value, report.measurement.ratio.value)
        ordered = host.recording.measuring.in_order(latent, report.order)
        best = host.recording.measuring.in_order(latent, report.order[:1])
        return io.NodeOutput(text, as_text, *numbers, ordered, best, ui={"text": [text]})
