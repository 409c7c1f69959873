"""Animations: a figure built up page by page, and one figure at every step of the run.

Nothing is interpolated between frames: a state between two steps was never computed.
"""

from __future__ import annotations

import math
from dataclasses import replace

from .figure import Figure
from .film import Film, film_of
from .order import Order
from .scene import insist_on_steps

FIGURE_MS, LAST_FIGURE_MS = 2000, 4000
STEP_MS, LAST_STEP_MS = 500, 2000
MOST_FRAMES = 40


def build_up(order: Order, figure: Figure) -> Film:
    """The figure's frames one after another, in one layout."""
    steady = replace(order, steady=True)
    durations = [FIGURE_MS] * (len(figure.frames) - 1) + [LAST_FIGURE_MS]
    return film_of((figure.draw(steady, frame) for frame in figure.frames), durations, order.opaque)


def over_the_run(order: Order, figure: Figure) -> Film:
    """The figure's first frame at every step, in equal strides where there are more than 40."""
    insist_on_steps(order.trace)
    steps, note = _strides(order.trace.n)
    durations = [STEP_MS] * (len(steps) - 1) + [LAST_STEP_MS]
    pages = (figure.draw(order.choose_step(step), figure.frames[0]) for step in steps)
    return film_of(pages, durations, order.opaque, note)


def _strides(count: int) -> tuple[list[int], str]:
    stride = math.ceil(count / MOST_FRAMES) or 1
    steps = list(range(0, count, stride))
    return steps, "" if stride == 1 else f"every {stride} steps of {count}"
