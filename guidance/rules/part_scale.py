"""Gamma for each part of a sample: video and sound."""

from __future__ import annotations

from dataclasses import dataclass

from ..run import Run
from .kinds import Schedule


@dataclass(frozen=True)
class PartScale(Schedule):
    """Another scale for video than for sound.

        gamma' = 1 + (gamma - 1) * factor     factor: of the part that is guided

    video: factor of a sample's first part, and of a sample of one part. audio: of the second. Others keep gamma.
    No paper.
    """

    video: float = 1.0
    audio: float = 1.0

    @property
    def neutral(self) -> bool:
        """The sampler's own scale for both."""
        return self.video == self.audio == 1

    def scale(self, gamma: float, run: Run, sigma: float) -> float:
        """Gamma of the part at hand."""
        factors = (self.video, self.audio)
        return 1 + (gamma - 1) * factors[run.part] if run.part < len(factors) else gamma

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"gamma per part, video x{self.video:g}, audio x{self.audio:g}"
