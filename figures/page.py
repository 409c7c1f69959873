"""What a figure in the making consists of: sheet, scene, the parts to draw, and the places already taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .canvas import Box, Canvas, Point
from .caption import HEADING, MOST_LINES, SENTENCE, Caption, caption_box, set_caption
from .layout import Arrangement, Placer, Plane, Sheet
from .order import Drawing, Order
from .palette import PENS, Theme
from .scene import Place, Scene
from .typeset import Block, Run, block_size, few_lines, set_block

if TYPE_CHECKING:
    from typing_extensions import Self

EDGE = 20.0  # least distance of a drawn end from the rim
THUMB = 116.0  # side of a large thumbnail
MARK = 12.0  # side of the square that a marker keeps free of labels


@dataclass
class Plot:
    """A plane being drawn.

    canvas: the page.
    sheet: its boxes.
    placer: finds room for labels.
    pictures: thumbnails by role, [H, W, 3].
    side: of the large thumbnails, in logical pixels.
    faint_names: roles whose names are grey.
    """

    canvas: Canvas
    sheet: Sheet
    placer: Placer
    pictures: Mapping[str, np.ndarray]
    side: float
    faint_names: frozenset[str] = field(default=frozenset(), kw_only=True)

    @classmethod
    def on(cls, order: Order, caption: Caption, pictures: Mapping[str, np.ndarray], **more) -> Self:
        """A page with nothing but its caption. more: fields of a subclass."""
        sheet, canvas = order.sheet, order.canvas()
        box = caption_box(sheet.caption, caption)
        set_caption(canvas, box, caption)
        placer = Placer(Box(0, 0, sheet.width, sheet.height).pad(-6), obstacles=[box.pad(8)])
        return cls(canvas, sheet, placer, pictures, min(THUMB, sheet.margin - 26), **more)

    @property
    def theme(self) -> Theme:
        """Colours of the page."""
        return self.canvas.theme

    def colour(self, role: str) -> str:
        """Colour of a role on this page."""
        return getattr(self.theme, "muted" if role in self.faint_names else PENS[role].colour)

    def mark(self, at: Point, role: str, name: str, within: Box | None = None):
        """A point's marker, kept free of labels."""
        self.canvas.marker(at, PENS[role].marker, self.colour(role), PENS[role].size, name=name, within=within)
        self.placer.obstacles.append(Box(at[0] - MARK / 2, at[1] - MARK / 2, MARK, MARK))

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


@dataclass
class Page(Plot):
    """One step being drawn, and the parts of it that the figure shows."""

    scene: Scene
    parts: tuple[str, ...]
    arrangement: Arrangement

    @property
    def places(self) -> Mapping[str, Place]:
        """Positions in the plane of the step, as they are drawn."""
        return self.arrangement.points

    @property
    def plane(self) -> Plane:
        """The drawing's."""
        return self.arrangement.plane

    @property
    def where(self) -> str:
        """What the names of its parts begin with."""
        return "overview" if self.arrangement.line is None else "enlarged"

    @property
    def line(self) -> Plane | None:
        """The plane of the line to scale on top, None where nothing on the page is larger than it is."""
        return self.arrangement.line if {"c", "gradient"}.intersection(self.parts) else None

    @property
    def room(self) -> Box:
        """Where words may stand: between the line to scale and the caption."""
        area, top = self.placer.area, self.arrangement.top
        return Box(area.x, top, area.w, self.placer.obstacles[0].y - top)

    @property
    def points(self) -> list[str]:
        """Predictions that this figure shows."""
        names = [name for name in ("u", "c") if name in self.parts]
        names += ["G"] if "scaled" in self.parts else []
        return [*names, "D"] if "other" in self.parts and self.scene.positions.other > 0 else names

    @property
    def clean(self) -> Point | None:
        """Pixel of the foot of the run's end, None where it is unknown, not wanted or too far out."""
        if "end" not in self.parts or self.scene.positions.end is None:
            return None
        at = self.plane.at(self.scene.positions.end)
        return at if self.room.pad(-EDGE).holds(Box(*at, 0, 0)) else None

    @property
    def end(self) -> Point | None:
        """Pixel of the next state, None where this figure does not reach it."""
        hinge = self.arrangement.hinge
        if "step" not in self.parts or (self.scene.positions.noise > 0 and not (hinge and "noise" in self.parts)):
            return None
        return self.plane.at(hinge.end if hinge else self.places["tip"])


def tallest_box(sheet: Sheet, captions: Iterable[Caption]) -> Box:
    """The room of the longest caption: figures that share it do not jump."""
    return max((caption_box(sheet.caption, caption) for caption in captions), key=lambda box: box.h)


def draw_missing(order: Order, scene: Scene, caption: Caption) -> Drawing:
    """The page of a scene in which something is missing: what, in the middle."""
    page = Plot.on(order, caption, {})
    canvas = page.canvas
    sentences = ((scene.missing, HEADING, canvas.theme.ink), (scene.advice, SENTENCE, canvas.theme.muted))
    lines = ((few_lines(words, size, canvas.width - 60, MOST_LINES), size, colour) for words, size, colour in sentences)
    block = Block(tuple((Run(line, size, colour),) for some, size, colour in lines for line in some))
    (wide, high), free = block_size(block), caption_box(order.sheet.caption, caption).y
    set_block(canvas, block, ((canvas.width - wide) / 2, min(0.36 * canvas.height, free - high - 16)), "missing")
    return Drawing(canvas, f"{scene.missing}. {scene.advice} {caption.text}", scene)
