"""A sheet of paper in pixels, y downwards, that matplotlib turns into PNG or SVG.

One logical pixel is one unit of both axes by construction, so whatever is placed here has equal axes. `unit` is the
number of device pixels per logical pixel: a slide is the same sheet at unit 2.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .palette import Theme
from .words import holds_formula

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.backend_bases import RendererBase
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.transforms import Bbox

Point = tuple[float, float]
HEAD = 11.0  # length of an arrow head, the same for every arrow: heads are not data
SHORT = 8.0  # an arrow shorter than this is drawn as a dot
DISPLAY = 16.0  # symbols from this size on are set like in a paper; smaller ones like the words around them
HALO = 3.0  # background-coloured rim around text
MARKERS = {"disc": "o", "circle": "o", "square": "s", "diamond": "D", "triangle": "^"}
HOLLOW = ("circle", "diamond")


@dataclass(frozen=True)
class Box:
    """An upright rectangle in logical pixels."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        """x of the right edge."""
        return self.x + self.w

    @property
    def bottom(self) -> float:
        """y of the lower edge."""
        return self.y + self.h

    @property
    def edges(self) -> list[tuple[Point, Point]]:
        """The four sides."""
        corners = [(self.x, self.y), (self.right, self.y), (self.right, self.bottom), (self.x, self.bottom)]
        return list(zip(corners, corners[1:] + corners[:1], strict=True))

    def meets(self, other: Box, gap: float = 0.0) -> bool:
        """Whether the two come closer than `gap` on both axes."""
        apart = self.right + gap <= other.x or other.right + gap <= self.x
        return not (apart or self.bottom + gap <= other.y or other.bottom + gap <= self.y)

    def holds(self, other: Box) -> bool:
        """Whether the other lies inside."""
        return self.x <= other.x and self.y <= other.y and other.right <= self.right and other.bottom <= self.bottom

    def pad(self, by: float) -> Box:
        """The box with a margin on all sides; a negative one narrows it."""
        return Box(self.x - by, self.y - by, self.w + 2 * by, self.h + 2 * by)

    def middle(self, width: float, height: float) -> Box:
        """The largest box of these proportions in its middle."""
        scale = min(self.w / width, self.h / height)
        w, h = scale * width, scale * height
        return Box(self.x + (self.w - w) / 2, self.y + (self.h - h) / 2, w, h)


@lru_cache(maxsize=4096)
def extent(words: str, size: float = 12.0, bold: bool = False) -> tuple[float, float, float]:
    """Width, height above the baseline and depth below it that words take on any canvas, in logical pixels."""
    from matplotlib.figure import Figure

    artist = Figure(figsize=(1, 1), dpi=72).text(0, 0, words, **_font(words, size, bold))
    box = artist.get_window_extent(_pen(72, 72, 72))
    return (box.width, box.y1, -box.y0)


@lru_cache(maxsize=4)
def _pen(width: float, height: float, dpi: float) -> RendererAgg:
    """What draws on sheets of one size: it remembers the symbols that it has set, which a fresh one would not."""
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(width, height, dpi)


class Canvas:
    """Lines, arrows, markers, text and pictures at given pixels; each may carry a name, which becomes its SVG id."""

    def __init__(self, width: float, height: float, theme: Theme, unit: float = 1.0):
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D

        self.width, self.height, self.theme, self.unit = width, height, theme, unit
        self._figure = Figure(figsize=(width / 72, height / 72), dpi=72 * unit)
        self._pen = _pen(width * unit, height * unit, 72 * unit)
        self._figure.patch.set_facecolor(theme.paper or "none")
        self._place = Affine2D().scale(1, -1).translate(0, height).scale(1 / 72) + self._figure.dpi_scale_trans
        self._count = 0

    def line(
        self, points: Sequence[Point], colour: str, width: float = 1.0, dash: Sequence[float] | None = None, **more
    ):
        """A polyline. dash: on/off lengths in pixels. more: name, alpha, within (a Box that clips)."""
        from matplotlib.lines import Line2D

        xs, ys = zip(*points, strict=True)
        artist = Line2D(xs, ys, color=colour, lw=width, solid_capstyle="round", dash_capstyle="butt")
        artist.set_linestyle((0, dash) if dash else "-")
        self._add(artist, **more)

    def polygon(self, points: Sequence[Point], fill: str | None, edge: str = "none", width: float = 0.0, **more):
        """A closed shape."""
        from matplotlib.patches import Polygon

        artist = Polygon(points, closed=True, fc=fill or "none", ec=edge, lw=width, joinstyle="miter")
        self._add(artist, **more)

    def rectangle(self, box: Box, fill: str | None, edge: str = "none", width: float = 1.0, **more):
        """An upright rectangle."""
        self.polygon([corner for corner, _ in box.edges], fill, edge, width, **more)

    def arrow(
        self, tail: Point, tip: Point, colour: str, width: float, dash: Sequence[float] | None = None, **more
    ) -> bool:
        """An arrow whose head ends exactly at `tip`; below 8 px a dot, and False comes back."""
        (x0, y0), (x1, y1) = tail, tip
        length = float(np.hypot(x1 - x0, y1 - y0))
        if length < SHORT:
            self.marker(tip, "disc", colour, 4.0, **more)
            return False
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        head = min(HEAD, length)
        half = 3.2 + width * 0.5
        neck = (x1 - dx * head, y1 - dy * head)
        shaft = (x1 - dx * head * 0.8, y1 - dy * head * 0.8)
        self.line([tail, shaft], colour, width, dash, **more)
        wings = [(neck[0] - dy * half, neck[1] + dx * half), (neck[0] + dy * half, neck[1] - dx * half)]
        self.polygon([tip, wings[0], shaft, wings[1]], colour, **{k: v for k, v in more.items() if k != "name"})
        return True

    def marker(self, at: Point, kind: str, colour: str, size: float, **more):
        """A point's marker: circle and diamond are hollow, disc, square and triangle filled."""
        from matplotlib.lines import Line2D

        face = (self.theme.paper or self.theme.halo) if kind in HOLLOW else colour
        artist = Line2D([at[0]], [at[1]], ls="none", marker=MARKERS[kind], ms=size, mfc=face, mec=colour, mew=1.8)
        self._add(artist, **more)

    def dots(self, points: np.ndarray, colour: str, size: float, **more):
        """Many small discs at points [n, 2], as one shape."""
        from matplotlib.lines import Line2D

        artist = Line2D(points[:, 0], points[:, 1], ls="none", marker="o", ms=size, mfc=colour, mec="none", mew=0)
        self._add(artist, **more)

    def text(self, at: Point, words: str, size: float = 12.0, colour: str | None = None, **more) -> Box:
        """Words with a halo, their left upper corner at `at`. more: bold, halo, name. Returns the box they fill.

        Where there is no paper they have none: on anything but white it would be a rim.
        """
        bold, halo = more.pop("bold", False), more.pop("halo", True)
        w, ascent, descent = extent(words, size, bold)
        look = Look(words, size, bold, colour or self.theme.ink, self.theme.halo if halo and self.theme.paper else None)
        self._add(_stamp()((at[0], at[1] + ascent), look), **more)
        return Box(at[0], at[1], w, ascent + descent)

    def picture(self, pixels: np.ndarray, box: Box, frame: str, **more):
        """An RGB picture [H, W, 3] in 0..1, nearest-neighbour, with a coloured frame, as large as the box holds it."""
        from matplotlib.image import BboxImage

        height, width = pixels.shape[:2]
        box = box.middle(width, height)
        artist = BboxImage(self._pixel_box(box), interpolation="nearest", origin="upper")
        artist.set_data(np.clip(pixels, 0, 1))
        self._add(artist, **more)
        self.rectangle(box, None, frame, 1.5)

    def texts(self) -> list[tuple[str, Box]]:
        """Every text on the sheet with the box that it really fills; for tests and for the curious."""
        from matplotlib.text import Text

        texts = (artist for artist in self._figure.artists if isinstance(artist, Text))
        return [(text.get_text(), self._box(text.get_window_extent(self._pen))) for text in texts]

    def png(self) -> np.ndarray:  # -> [H, W, 4] uint8
        """The sheet as pixels."""
        self._pen.clear()
        self._figure.draw(self._pen)
        return np.array(self._pen.buffer_rgba())

    def svg(self, title: str = "", description: str = "", embedded: Mapping | None = None) -> str:
        """The sheet as SVG in logical pixels, text as outlines, the same bytes each time.

        embedded: JSON-able facts, such as {"workflow": ..., "prompt": ...}, from which an editor reopens the graph.
        """
        from matplotlib import rc_context

        out = io.StringIO()
        facts = {"Title": title, "Description": description, "Date": None, "Creator": "Guidance Geometry"}
        with rc_context({"svg.hashsalt": "guidance-geometry", "svg.fonttype": "path"}):
            self._figure.savefig(out, format="svg", metadata=facts, transparent=self.theme.paper is None)
        text = out.getvalue() if not embedded else _embed_metadata(out.getvalue(), embedded)
        size = f'width="{self.width * self.unit:g}" height="{self.height * self.unit:g}"'
        return re.sub(r'(<svg [^>]*?)width="[^"]*"([^>]*?)height="[^"]*"', rf"\1{size}\2", text, count=1)

    def _add(self, artist: Artist, name: str | None = None, alpha: float | None = None, within: Box | None = None):
        self._count += 1
        artist.set(zorder=2 + self._count * 1e-3, transform=self._place, gid=name, clip_on=within is not None)
        if alpha is not None:
            artist.set_alpha(alpha)
        if within is not None:
            artist.set_clip_box(self._pixel_box(within))
        self._figure.add_artist(artist)

    def _pixel_box(self, box: Box):
        """A box for matplotlib. It keeps the order of the corners: another one is a rectangle of negative size."""
        from matplotlib.transforms import Bbox, TransformedBbox

        return TransformedBbox(Bbox.from_extents(box.x, box.y, box.right, box.bottom), self._place)

    def _box(self, extent: Bbox) -> Box:
        y = self.height - extent.y1 / self.unit
        return Box(extent.x0 / self.unit, y, extent.width / self.unit, extent.height / self.unit)


def _embed_metadata(svg: str, facts: Mapping) -> str:
    """The facts as ASCII JSON in a CDATA block right after the opening tag; a `]]>` inside is escaped."""
    block = json.dumps(facts).replace("]]>", "]]\\u003e")
    start = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:start]}\n<metadata><![CDATA[{block}]]></metadata>{svg[start:]}"


def _font(words: str, size: float, bold: bool) -> dict:
    weight = "bold" if bold else "normal"
    return {
        "fontsize": size,
        "fontweight": weight,
        "va": "baseline",
        "ha": "left",
        "family": "DejaVu Sans",
        "math_fontfamily": "cm" if size >= DISPLAY else "dejavusans",
        "parse_math": holds_formula(words),
    }


@lru_cache(maxsize=1)
def _stamp() -> type:
    """Text that on pages of pixels is stamped: its glyphs are set once, however many pages it stands on."""
    from matplotlib.text import Text

    class Stamp(Text):
        def __init__(self, at: Point, look: Look):
            super().__init__(*at, look.words, path_effects=look.effects(), **look.font())
            self.look = look

        def draw(self, renderer: RendererBase):
            if hasattr(renderer, "buffer_rgba"):
                x, y = self.get_transform().transform(self.get_position())
                pixels, (left, below) = _word_pixels(self.look, self.figure.dpi)
                renderer.draw_image(renderer.new_gc(), round(x) - left, round(y) - below, pixels)
            else:
                super().draw(renderer)

    return Stamp


@dataclass(frozen=True)
class Look:
    """What words look like, wherever they stand.  halo: colour of their rim."""

    words: str
    size: float
    bold: bool
    colour: str
    halo: str | None

    def font(self) -> dict:
        """Font and colour."""
        return {"color": self.colour, **_font(self.words, self.size, self.bold)}

    def effects(self) -> list:
        """Strokes of the rim and of the words."""
        from matplotlib.patheffects import Normal, Stroke

        return [Stroke(linewidth=2 * HALO, foreground=self.halo), Normal()] if self.halo else []


@lru_cache(maxsize=1024)
def _word_pixels(look: Look, dpi: float) -> tuple[np.ndarray, tuple[int, int]]:
    """Pixels of words [h, w, 4], and how far inside them, from the left and from below, the words begin."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import IdentityTransform

    width, ascent, descent = extent(look.words, look.size, look.bold)
    rim, unit = 2 * HALO, dpi / 72
    left, below = math.ceil(rim * unit), math.ceil((rim + descent) * unit)
    pen = RendererAgg(left + math.ceil((width + rim) * unit), below + math.ceil((ascent + rim) * unit), dpi)
    text = Text(left, below, look.words, transform=IdentityTransform(), path_effects=look.effects(), **look.font())
    Figure(figsize=(1, 1), dpi=dpi).add_artist(text).draw(pen)
    return np.array(pen.buffer_rgba())[::-1], (left, below)
