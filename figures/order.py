"""What to draw: which step of which image of which run, on a sheet of which size, on which paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from torch import Tensor

from ..trace.trace import Trace
from .canvas import Canvas
from .layout import SHEETS, Sheet
from .palette import THEMES
from .pictures import Greyed, Pictures, draw_on_grey, step_pictures
from .scene import Scene, scene_of


@dataclass(frozen=True)
class Order:
    """One figure's choices.

    trace: of the run.
    step: from 0; None picks the default step.
    sample: from 0; None picks the median sample.
    size: of SHEETS.
    theme: of THEMES.
    pictures: how to show tensors; None leaves thumbnails out.
    photo: noised in place of the run's own picture (noise levels), [H, W, 3] in 0..1.
    steady: keep room for the noise, so that nothing moves from one page to the next.
    """

    trace: Trace
    step: int | None = None
    sample: int | None = None
    size: str = "blog"
    theme: str = "light"
    pictures: Pictures | None = None
    photo: Tensor | None = None
    steady: bool = False

    def __post_init__(self):
        check_choices(size=(self.size, tuple(SHEETS)), theme=(self.theme, tuple(THEMES)))

    @property
    def sheet(self) -> Sheet:
        """Boxes of the page."""
        return SHEETS[self.size]

    @property
    def opaque(self) -> bool:
        """Whether the page has paper."""
        return THEMES[self.theme].paper is not None

    def canvas(self) -> Canvas:
        """An empty page."""
        return Canvas(self.sheet.width, self.sheet.height, THEMES[self.theme], self.sheet.unit)

    @cached_property
    def scene(self) -> Scene:
        """The step."""
        return scene_of(self.trace, self.step, self.sample)

    @cached_property
    def thumbnails(self) -> Mapping[str, np.ndarray]:
        """Thumbnails of the step, by role."""
        return self.at(self.scene.facts.step)

    @cached_property
    def change(self) -> Greyed | None:
        """What the gradient on record, or else the difference, changes in the picture; None where it was not kept."""
        trace, step, sample = self.trace, self.scene.facts.step, self.scene.facts.sample
        if self.pictures is None or not self.pictures.can_show(trace.latent_shape):
            return None
        guide = {term.name for term in trace.terms if term.guides}
        name = next((name for name in trace.tensors if name in guide), "cond")
        captured = [trace.captured_tensor(each, step) for each in ("uncond", name)]
        u, other = (None if tensor is None else tensor[sample][None].float() for tensor in captured)
        if u is None or other is None or not bool((u + other).isfinite().all()):
            return None
        return draw_on_grey(self.pictures.difference(u, other if name == "cond" else u + other))

    def at(self, step: int) -> Mapping[str, np.ndarray]:
        """Thumbnails of another step of the same image, by role."""
        return step_pictures(self.trace, step, self.scene.facts.sample, self.pictures) if self.pictures else {}

    def choose_step(self, step: int) -> Order:
        """The order for another step of the same image."""
        return replace(self, step=step, sample=self.scene.facts.sample)


@dataclass(frozen=True)
class Artwork:
    """A finished figure of whatever it shows: its canvas, and the caption in words."""

    canvas: Canvas
    caption: str

    def png(self) -> np.ndarray:  # -> [H, W, 4] uint8
        """The figure as pixels."""
        return self.canvas.png()

    def svg(self, embedded: Mapping | None = None) -> str:
        """The figure as SVG; embedded: JSON-able facts to reopen the graph from."""
        return self.canvas.svg("Guidance Geometry", self.caption, embedded)


@dataclass(frozen=True)
class Drawing(Artwork):
    """A finished figure of a run, with the step that it shows."""

    scene: Scene


def check_choices(**choices: tuple[str, tuple[str, ...]]):
    """Every value must be one of the known ones: name=(value, known)."""
    for what, (value, offers) in choices.items():
        if value not in offers:
            raise ValueError(f"Unknown {what} {value!r}. Choose one of: {', '.join(offers)}.")
