"""The caption box: what the figure shows, and the numbers that keep it honest."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .canvas import Box, Canvas
from .palette import LIGHT, Theme
from .scene import Scene
from .typeset import Row, Run, set_rows, words_size, wrapped
from .words import number, percent, spoken

PAD = 14.0
KEY = 60.0  # width of the column of names
SMALL = 11.5


@dataclass(frozen=True)
class Caption:
    """Heading, one sentence, and the facts as (name, value)."""

    heading: str
    sentence: str
    facts: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The same as plain text."""
        facts = "; ".join(f"{name} {value}" for name, value in self.facts)
        return spoken(f"{self.heading}: {facts}.")


def basic_facts(scene: Scene) -> list[tuple[str, str]]:
    """Model and sampler, step, scale and sample: the lines of every caption."""
    units = " (VE)" if scene.space == "flow" else ""
    levels = f"\u03c3 {number(scene.sigma)} \u2192 {number(scene.sigma_next)}"
    strength = "" if math.isnan(scene.strength) else f",  strength M1 = {number(scene.strength)}{units}"
    return [
        ("run", scene.run),
        ("step", f"{scene.step} (0\u2013{scene.steps - 1}),  {levels}"),
        ("scale", f"\u03b3 = {number(scene.gamma)}{strength}"),
        sample_fact(scene),
    ]


def sample_fact(scene: Scene) -> tuple[str, str]:
    """Which image of the batch, and its size."""
    if scene.samples == 1:
        return ("sample", f"the only one,  N = {scene.elements}")
    median = ", median" if scene.median else ""
    return ("sample", f"{scene.sample} (0\u2013{scene.samples - 1}{median}),  N = {scene.elements}")


def residual_words(scene: Scene) -> str:
    """How much of the whole step lies outside the plane."""
    if scene.residual > 1e-3:
        return f"{percent(scene.residual)} of x\u2032 \u2212 x is out of the plane"
    return f"{number(scene.residual)}, x\u2032 lies in the plane"


def caption_box(place: Box, caption: Caption) -> Box:
    """The box that the caption needs: as wide as its place, at its lower edge."""
    parts = _paragraphs(LIGHT, place.w, caption)
    height = 2 * PAD + sum(words_size(rows)[1] for rows, _ in parts) + sum(after for _, after in parts)
    return Box(place.x, place.bottom - height, place.w, height)


def set_caption(canvas: Canvas, box: Box, caption: Caption):
    """Set heading, wrapped sentence and facts into the box."""
    canvas.rectangle(box, None, canvas.theme.hair, 1.0, name="caption")
    y = box.y + PAD
    for rows, after in _paragraphs(canvas.theme, box.w, caption):
        y = set_rows(canvas, rows, (box.x + PAD, y), halo=canvas.theme.paper is None) + after


def _paragraphs(theme: Theme, width: float, caption: Caption) -> list[tuple[tuple[Row, ...], float]]:
    """Heading, sentence lines and facts as rows, each with the space after it."""
    room = width - 2 * PAD
    heading = tuple((Run(line, 15, theme.ink, bold=True),) for line in wrapped(caption.heading, 15, 0.85 * room))
    lines = tuple((Run(line, 12.5, theme.ink),) for line in wrapped(caption.sentence, 12.5, room))
    facts = []
    for name, value in caption.facts:
        for k, line in enumerate(wrapped(value, SMALL, room - KEY)):
            key = Run("" if k else name, SMALL, theme.muted, column=KEY)
            facts.append((key, Run(line, SMALL, theme.ink)))
    return [(heading, 7.0), *([(lines, 9.0)] if lines else []), (tuple(facts), 0.0)]
