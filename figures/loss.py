"""How a classifier learned: its loss step by step, against what guessing would cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..guidance.printing import count_of
from .canvas import Box, Canvas
from .palette import THEMES, Theme
from .step_curves import Plot
from .typeset import set_level, set_lines

SIZE = (600, 320)
FRAME = Box(64, 48, 508, 216)
SMOOTH = 0.05  # share of the run that the strong line averages over


def draw_loss(losses: Sequence[float], labels: int, theme: Theme = THEMES["light"]) -> Canvas:
    """A sheet with every step's loss, a running mean, and ln(labels), the loss of guessing.

    losses: mean -log p of each step, at least one. The scale starts at 0 and holds every value.
    """
    canvas = Canvas(*SIZE, theme, unit=2.0)
    chance = math.log(labels)
    top, mean = max(chance, *losses) * 1.05, running_mean(losses)
    plot = Plot(FRAME, 0.0, top, len(losses), margin=0.0)
    canvas.text((FRAME.x, 14), f"loss over {count_of(len(losses), 'step')}: {mean[-1]:.2f} at the end", 14, bold=True)
    for value, words in ((0.0, "0"), (chance, f"{chance:.2f}")):
        set_level(canvas, FRAME, plot.at(0, value)[1], words, 12)
    set_lines(canvas, (FRAME.right, plot.at(0, chance)[1] - 22), [f"guessing among {labels} labels"], 1.0)
    lines = (("loss", losses, theme.uncond, 1.0, 0.35), ("mean", mean, theme.guided, 2.0, None))
    for name, values, colour, width, alpha in lines:
        points = [plot.at(step, value) for step, value in enumerate(values)]
        canvas.line(points if len(points) > 1 else points * 2, colour, width, name=name, alpha=alpha)
    set_lines(canvas, (FRAME.x, FRAME.bottom + 10), ["step 1"], 0.0)
    set_lines(canvas, (FRAME.right, FRAME.bottom + 10), [f"step {len(losses)}"], 1.0)
    return canvas


def running_mean(losses: Sequence[float]) -> list[float]:
    """Mean over the last twentieth of the run up to each step."""
    width = max(1, round(SMOOTH * len(losses)))
    return [math.fsum(part) / len(part) for part in (losses[max(0, i - width + 1) : i + 1] for i in range(len(losses)))]
