"""The caption: a heading and a sentence at the foot of a sheet; the numbers that keep it honest are its text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..guidance.printing import nth
from .canvas import Box, Canvas, extent
from .palette import LIGHT, Theme
from .scene import Facts, Positions
from .typeset import SMALL, SPACE, Row, Run, few_lines, set_rows, words_size
from .words import number, percent, spell_out

HEADING, SENTENCE = 20.0, 16.5
RULE = 10.0  # from the hairline above to the heading
APART = 24.0  # least gap between the heading and what stands beside it
MOST_LINES = 4  # of a sentence: a model, a chain or a classifier may have any name
TO_SCALE = "to scale, the same on both axes, in rms"


@dataclass(frozen=True)
class Caption:
    """Heading, one sentence, the facts as (name, value), and the few words of them that stand beside the heading.

    A sentence of several lines begins a new one at each, which fills two at most.
    """

    heading: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    beside: str = ""

    @property
    def text(self) -> str:
        """Heading and facts as plain text."""
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


def axes_fact(gain: int, what: str) -> tuple[str, str]:
    """What is drawn larger than it is, and how much.  what: that guidance adds"""
    larger = f"; only {what} is drawn {gain} times as large, and to scale in the line on top" if gain > 1 else ""
    return ("axes", TO_SCALE + larger)


def step_words(step: Facts) -> str:
    """Which step this is, as it stands beside a heading."""
    words = [f"step {nth(step.step)} of {step.steps}"] if step.steps else []
    if math.isfinite(step.sigma):
        words.append(f"\u03c3 {number(step.sigma)} \u2192 {number(step.sigma_next)}")
    if math.isfinite(step.gamma):
        words.append(f"\u03b3 {number(step.gamma)}")
    return "  \u00b7  ".join(words)


def caption_box(place: Box, caption: Caption) -> Box:
    """The box that the caption needs: as wide as its place, at its lower edge."""
    height = RULE + words_size(_rows(LIGHT, place.w, caption))[1] + 2
    return Box(place.x, place.bottom - height, place.w, height)


def set_caption(canvas: Canvas, box: Box, caption: Caption):
    """Set the heading, what stands beside it, and the sentence under a hairline."""
    canvas.rectangle(box, None, name="caption")
    canvas.line([(box.x, box.y), (box.right, box.y)], canvas.theme.hair, 1.0)
    set_rows(canvas, _rows(canvas.theme, box.w, caption), (box.x, box.y + RULE), halo=False)


def _rows(theme: Theme, width: float, caption: Caption) -> tuple[Row, ...]:
    """The heading with what stands beside it, on one line where both fit, and the lines of the sentence."""
    heading = few_lines(caption.heading, HEADING, 0.85 * width, MOST_LINES)
    room = width - extent(heading[-1], HEADING, True)[0] - extent(caption.beside or " ", SMALL)[0]
    rows: list[Row] = [(Run(line, HEADING, theme.ink, bold=True),) for line in heading]
    if caption.beside and room >= APART:
        column = width - extent(caption.beside, SMALL)[0] - SPACE
        rows[-1] = (
            Run(heading[-1], HEADING, theme.ink, bold=True, column=column),
            Run(caption.beside, SMALL, theme.muted),
        )
    elif caption.beside:
        rows += [(Run(line, SMALL, theme.muted),) for line in few_lines(caption.beside, SMALL, width, 1)]
    parts = caption.sentence.splitlines()
    most = MOST_LINES // min(max(len(parts), 1), 2)
    return (
        *rows,
        *((Run(line, SENTENCE, theme.ink),) for part in parts for line in few_lines(part, SENTENCE, width, most)),
    )
