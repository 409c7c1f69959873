"""How a classifier learned: its loss step by step, against what guessing would cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .canvas import Box, Canvas, extent
from .palette import THEMES, Theme

SIZE = (600, 320)
FRAME = Box(64, 48, 508, 216)
SMOOTH = 0.05  # share of the run that the strong line averages over


def draw_loss(losses: Sequence[float], labels: int, theme: Theme = THEMES["light"]) -> Canvas:
    """A sheet with every step's loss, a running mean, and ln(labels), the loss of guessing.

    losses: mean -log p of each step, at least one. The scale starts at 0 and holds every value.
    """
    canvas = Canvas(*SIZE, theme, unit=2.0)
    chance = math.log(labels)
    top = max(chance, *losses) * 1.05
    canvas.text((FRAME.x, 14), f"loss over {len(losses)} steps: {mean_end(losses):.2f} at the end", 14, bold=True)
    for value, words in ((0.0, "0"), (chance, f"{chance:.2f}")):
        y = height_of(value, top)
        canvas.line([(FRAME.x, y), (FRAME.right, y)], theme.hair, 1.0, dash=(4, 4) if value else None)
        canvas.text((FRAME.x - 12 - extent(words, 12)[0], y - 7), words, 12, theme.muted)
    guessing, last = f"guessing among {labels} labels", f"step {len(losses)}"
    canvas.text((right_of(guessing, 11), height_of(chance, top) - 18), guessing, 11, theme.muted)
    canvas.line(points_of(losses, top), theme.uncond, 1.0, alpha=0.35, name="loss")
    canvas.line(points_of(running_mean(losses), top), theme.guided, 2.0, name="mean")
    canvas.text((FRAME.x, FRAME.bottom + 10), "step 1", 12, theme.muted)
    canvas.text((right_of(last, 12), FRAME.bottom + 10), last, 12, theme.muted)
    return canvas


def right_of(words: str, size: float) -> float:
    """Where words start that end at the right edge of the frame."""
    return FRAME.right - extent(words, size)[0]


def height_of(value: float, top: float) -> float:
    """Where a loss lies on the sheet."""
    return FRAME.bottom - FRAME.h * value / top


def points_of(losses: Sequence[float], top: float) -> list[tuple[float, float]]:
    """The curve: the first step at the left edge, the last at the right one."""
    last = max(1, len(losses) - 1)
    points = [(FRAME.x + FRAME.w * step / last, height_of(loss, top)) for step, loss in enumerate(losses)]
    return points if len(points) > 1 else points * 2


def running_mean(losses: Sequence[float]) -> list[float]:
    """Mean over the last twentieth of the run up to each step."""
    width = max(1, round(SMOOTH * len(losses)))
    return [math.fsum(part) / len(part) for part in (losses[max(0, i - width + 1) : i + 1] for i in range(len(losses)))]


def mean_end(losses: Sequence[float]) -> float:
    """Mean over the last twentieth of the run."""
    return running_mean(losses)[-1]
