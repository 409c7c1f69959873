"""A scale for video and one for sound."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.part_scale import PartScale
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema


def factor(name: str, what: str) -> io.Float.Input:
    """The widget for the factor of a part."""
    return io.Float.Input(
        name,
        default=1.0,
        min=-10.0,
        max=10.0,
        step=0.05,
        tooltip=f"Factor on the guidance of {what}: gamma = 1 + (cfg - 1) factor. 1: the sampler's cfg. 0: no "
        "guidance. cfg 3 and factor 3 are gamma 7.",
    )


class GGPartScale(CheckedNode):
    """Gamma of each part of a latent."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGPartScale",
            "Guidance per Part (video, audio)",
            "Another guidance scale for video than for sound, in latents that hold both. Every other rule of the chain "
            "acts on each of them by itself in any case. No paper.",
            [
                factor("video", "the video, and of a latent of one part"),
                factor("audio", "the sound"),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, video, audio, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, PartScale(video, audio))
