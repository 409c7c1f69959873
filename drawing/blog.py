"""Every figure by its word: the stills of the post in order, the animations, and the strips of a run."""

from __future__ import annotations

from torch import Tensor

from ..guidance.trace import Trace
from .film import MOVIES, Film, draw_film, still_film
from .page import FIGURES, PULL
from .pictures import Pictures, step_pictures
from .pull import draw_pull
from .scene import scene_of
from .step_figure import Drawing, check_choices, draw_step
from .strips import STRIPS, draw_strip
from .walk import WALK, draw_walk

WORDS = (*FIGURES[:5], STRIPS[0], *WALK, *PULL, FIGURES[5], *MOVIES, *STRIPS[1:])


def draw_figure(
    trace: Trace,
    figure: str,
    *,
    step: int | None = None,
    sample: int | None = None,
    size: str = "blog",
    theme: str = "light",
    pictures: Pictures,
    photo: Tensor | None = None,
) -> Film:
    """Draw any of WORDS; a still is a film of one frame. photo [H, W, 3]: for "noise levels"."""
    check_choices(figure=(figure, WORDS))
    style = {"size": size, "theme": theme}
    if figure in MOVIES:
        return draw_film(trace, figure, step=step, sample=sample, pictures=pictures, **style)
    if figure in STRIPS:
        drawing = draw_strip(trace, figure, sample=sample, pictures=pictures, photo=photo, **style)
    else:
        drawing = _still(trace, figure, (step, sample), pictures, style)
    return still_film(drawing, theme != "transparent")


def _still(trace: Trace, figure: str, where: tuple, pictures: Pictures, style: dict) -> Drawing:
    scene = scene_of(trace, *where)
    chosen = {"step": scene.step, "sample": scene.sample, **style}
    if figure in WALK:
        return draw_walk(trace, figure, pictures=pictures, **chosen)
    shown = step_pictures(trace, scene.step, scene.sample, pictures)
    return (draw_pull if figure in PULL else draw_step)(trace, figure, pictures=shown, **chosen)
