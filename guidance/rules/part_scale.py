"""Gamma for each part of a sample: video and sound."""

from __future__ import annotations

from dataclasses import dataclass

from ..knobs import knob
from ..run import Run
from .kinds import Schedule


def factor_knob(what: str, main: bool = False) -> float:
    """The factor on the guidance of a part."""
    return knob(
        1.0,
        f"How many times as strong the guidance of {what} is. 1: the sampler's cfg. 0: no guidance. cfg 3 and factor "
        "3 act like cfg 7.",
        limits=(-10.0, 10.0, 0.05),
        off=1.0,
        main=main,
    )


@dataclass(frozen=True)
class PartScale(Schedule):
    """Another scale for video than for sound.

        gamma' = 1 + (gamma - 1) * factor     factor: of the part that is guided

    Video is a sample's first part, audio its second. Others keep gamma.
    """

    node_id = "GGPartScale"
    name = "Guidance per Part (video, audio)"
    search_words = ("video cfg", "audio cfg")
    phrase = "gamma per part, video x{video:g}, audio x{audio:g}"
    description = "Gives video and sound a cfg of their own, for models that make both at once. No paper."
    video: float = factor_knob("the video (or of a latent without sound)", main=True)
    audio: float = factor_knob("the sound")

    def scale(self, gamma: float, run: Run, sigma: float) -> float:
        """Gamma of the part at hand."""
        factors = (self.video, self.audio)
        return 1 + (gamma - 1) * factors[run.part] if run.part < len(factors) else gamma
