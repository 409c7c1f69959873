"""What a figure in the making consists of: sheet, scene, the parts to draw, and the places already taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .canvas import Box, Canvas, Point
from .layout import Arrangement, Lens, Placer, Plane, Sheet
from .palette import PENS, Theme, role_colour
from .scene import Scene

FIGURES = ("step plane", "two predictions", "difference", "scaled difference", "step")
_PARTS: Mapping[str, tuple[str, ...]] = {
    "two predictions": (),
    "difference": ("delta",),
    "scaled difference": ("delta", "scaled"),
    "step": ("delta", "scaled", "step"),
    "step plane": ("delta", "scaled", "step", "noise", "other"),
}
MARK = 12.0  # side of the square that a marker keeps free of labels


@dataclass
class Page:
    """One figure being drawn.  pictures: thumbnails by role; side: side length of the large ones."""

    canvas: Canvas
    sheet: Sheet
    scene: Scene
    figure: str
    pictures: Mapping[str, np.ndarray]
    side: float
    placer: Placer
    arrangement: Arrangement
    parts: frozenset[str] = field(init=False)

    def __post_init__(self):
        self.parts = frozenset(_PARTS[self.figure])

    @property
    def theme(self) -> Theme:
        """Colours of the page."""
        return self.canvas.theme

    @property
    def plane(self) -> Plane:
        """The overview."""
        return self.arrangement.plane

    @property
    def lens(self) -> Lens | None:
        """The lens, if the fan needs one."""
        return self.arrangement.lens

    @property
    def near_plane(self) -> Plane:
        """Where the fan is drawn in full: in the lens, or in the overview without one."""
        return self.lens.plane if self.lens else self.plane

    @property
    def overview(self) -> Box:
        """Where words about the overview may stand: above the lens, if there is one."""
        area = self.placer.area
        return Box(area.x, area.y, area.w, self.lens.frame.y - 8 - area.y) if self.lens else area

    @property
    def points(self) -> list[str]:
        """Predictions that this figure shows."""
        names = ["u", "c", *(["G"] if "scaled" in self.parts else [])]
        return [*names, "D"] if "other" in self.parts and self.scene.other > 0 else names

    @property
    def end(self) -> Point | None:
        """Pixel of the next state, None where this figure does not reach it."""
        hinge = self.arrangement.hinge
        if "step" not in self.parts or (self.scene.noise > 0 and not hinge):
            return None
        return self.plane.at(hinge.end if hinge else self.scene.points["tip"])

    def colour(self, role: str) -> str:
        """Colour of a role on this page."""
        return role_colour(self.theme, role)

    def mark(self, at: Point, role: str, name: str, within: Box | None = None):
        """A point's marker, kept free of labels."""
        self.canvas.marker(at, PENS[role].marker, self.colour(role), PENS[role].size, name=name, within=within)
        self.placer.taken.append(Box(at[0] - MARK / 2, at[1] - MARK / 2, MARK, MARK))

    def stroke(self, ends: tuple[Point, Point], role: str, name: str, within: Box | None = None):
        """A line in the role's pen, which labels avoid."""
        pen = PENS[role]
        self.canvas.line(ends, self.colour(role), pen.width, pen.dash, name=name, within=within)
        self.placer.lines.append(ends)

    def arrow(self, ends: tuple[Point, Point], role: str, name: str, within: Box | None = None):
        """An arrow in the role's pen, which labels avoid."""
        pen = PENS[role]
        self.canvas.arrow(*ends, self.colour(role), pen.width, pen.dash, name=name, within=within)
        self.placer.lines.append(ends)

    def hairline(self, ends: tuple[Point, Point]):
        """A thin line that belongs to a label or a lens."""
        self.canvas.line(ends, self.theme.hair, 0.8)
        self.placer.lines.append(ends)
