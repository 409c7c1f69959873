"""Every figure by its word: the stills of the post in order, the animations, and the strips of a run."""

from __future__ import annotations

from torch import Tensor

from .belief import BELIEF, draw_belief
from .film import MOVIES, Film, draw_film, still_film
from .order import Drawing, Order, check_choices
from .page import FIGURES, PULL
from .pull import draw_pull
from .step_figure import draw_step
from .strips import STRIPS, draw_strip
from .walk import WALK, draw_walk

WORDS = (*FIGURES[:5], STRIPS[0], *WALK, *PULL, FIGURES[5], *MOVIES, *STRIPS[1:], BELIEF)
STILLS = tuple(word for word in WORDS if word not in MOVIES)


def draw_figure(order: Order, figure: str, photo: Tensor | None = None) -> Film:
    """Draw any of WORDS; a still is a film of one frame. photo [H, W, 3]: for "noise levels"."""
    check_choices(figure=(figure, WORDS))
    if figure in MOVIES:
        return draw_film(order, figure)
    return still_film(draw_still(order, figure, photo), order.opaque)


def draw_still(order: Order, figure: str, photo: Tensor | None = None) -> Drawing:
    """Draw any of STILLS."""
    if figure in STRIPS:
        return draw_strip(order, figure, photo)
    if figure == BELIEF:
        return draw_belief(order)
    draw = draw_walk if figure in WALK else draw_pull if figure in PULL else draw_step
    return draw(order, figure)
