"""One figure of the registry: its name, what it shows and says, who draws it, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from .caption import Caption
from .film import Film
from .order import Drawing, Order
from .words import SYMBOLS

IN_GALLERY, IN_STORY = ("gallery",), ("gallery", "story")


@dataclass(frozen=True)
class Figure:
    """What is known of a figure, in one place.

    name: the word in the node's menu.
    heading, sentence: of its caption, in which {x} stands for a symbol of SYMBOLS.
    alt: the picture in one line.
    parts: what is drawn.
    draw: makes a page of it.
    series: figures that share one layout, so that nothing moves from one to the next.
    places: of "gallery" and "story".
    by_classifier: its example is a run that a classifier guided.
    of_step: it shows one step, which its caption names.
    film: how an animation is made; None for a still.
    frames: the pages of an animation.
    """

    name: str
    heading: str = ""
    sentence: str = ""
    alt: str = ""
    parts: tuple[str, ...] = ()
    draw: Callable[[Order, Figure], Drawing] = field(kw_only=True)
    series: tuple[Figure, ...] = field(default=(), repr=False)
    places: tuple[str, ...] = IN_GALLERY
    by_classifier: bool = False
    of_step: bool = True
    film: Callable[[Order, Figure], Film] | None = None
    frames: tuple[Figure, ...] = field(default=(), repr=False)

    def caption(self, facts: Iterable[tuple[str, str]], beside: str = "") -> Caption:
        """The caption of a page, with these facts.  beside: the few that stand beside the heading"""
        return Caption(self.heading, self.sentence.format(**SYMBOLS), tuple(facts), beside)


def sharing(layout: tuple[Figure, ...], *figures: Figure) -> tuple[Figure, ...]:
    """The figures, each of which keeps room for the longest caption of a layout."""
    return tuple(replace(figure, series=layout) for figure in figures)


def series(*figures: Figure) -> tuple[Figure, ...]:
    """Figures that share one layout."""
    return sharing(figures, *figures)
