"""The caption box: what the figure shows, and the numbers that keep it honest."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..guidance.printing import nth
from .canvas import Box, Canvas
from .palette import LIGHT, Theme
from .scene import Facts, Positions
from .typeset import SMALL, Row, Run, few_lines, set_rows, words_size, wrap_lines
from .words import SYMBOLS, number, percent, spell_out

PAD = 14.0
KEY = 60.0  # width of the column of names
MOST_LINES = 4  # of a fact: a model, a chain or a classifier may have any name
AXES = ("axes", f"drawn to scale, in rms; turned so that the line to {SYMBOLS['u']} lies level")


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
        return spell_out(f"{self.heading}: {facts}.")


def basic_facts(step: Facts) -> list[tuple[str, str]]:
    """Model and sampler, step, scale and sample: the lines of every caption."""
    units = " (VE)" if step.space == "flow" else ""
    levels = f"\u03c3 {number(step.sigma)} \u2192 {number(step.sigma_next)}"
    strength = "" if math.isnan(step.strength) else f",  strength M1 = {number(step.strength)}{units}"
    return [
        ("run", step.run),
        ("step", f"{nth(step.step)} of {step.steps},  {levels}"),
        ("scale", f"\u03b3 = {number(step.gamma)}{strength}"),
        sample_fact(step),
    ]


def sample_fact(step: Facts) -> tuple[str, str]:
    """Which image of the batch, and its size."""
    if step.samples == 1:
        return ("sample", f"the only one,  N = {step.elements}")
    median = ", median" if step.median else ""
    return ("sample", f"{step.sample} (0\u2013{step.samples - 1}{median}),  N = {step.elements}")


def residual_words(positions: Positions) -> str:
    """How much of the whole step lies outside the plane."""
    if positions.residual > 1e-3:
        return f"{percent(positions.residual)} of the step is out of the plane"
    return f"{number(positions.residual)}, x\u2032 lies in the plane"


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
        y = set_rows(canvas, rows, (box.x + PAD, y), halo=False) + after


def _paragraphs(theme: Theme, width: float, caption: Caption) -> list[tuple[tuple[Row, ...], float]]:
    """Heading, sentence lines and facts as rows, each with the space after it."""
    room = width - 2 * PAD
    heading = tuple((Run(line, 15, theme.ink, bold=True),) for line in wrap_lines(caption.heading, 15, 0.85 * room))
    lines = tuple((Run(line, 12.5, theme.ink),) for line in wrap_lines(caption.sentence, 12.5, room))
    facts = []
    for name, value in caption.facts:
        for k, line in enumerate(few_lines(value, SMALL, room - KEY, MOST_LINES)):
            key = Run("" if k else name, SMALL, theme.muted, column=KEY)
            facts.append((key, Run(line, SMALL, theme.ink)))
    return [(heading, 7.0), *([(lines, 9.0)] if lines else []), (tuple(facts), 0.0)]
