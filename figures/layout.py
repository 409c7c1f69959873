"""Where everything stands: scales, the lens and its gain, the hinge of the noise, and labels that keep apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from .canvas import Box, Point
from .scene import Place, Positions

FAN = 110.0  # a fan of predictions shorter than this gets a lens
SHRINK = 0.7  # the noise may shrink the overview to this; beyond, its arrow is cut and marked
ROWS = 20.0  # least distance of two labels in the gutter
DIRECTIONS: Mapping[str, Point] = {
    "n": (0.0, -1.0),
    "ne": (0.8, -0.8),
    "e": (1.0, 0.0),
    "se": (0.8, 0.8),
    "s": (0.0, 1.0),
    "sw": (-0.8, 0.8),
    "w": (-1.0, 0.0),
    "nw": (-0.8, -0.8),
}
EDGE = 8.0  # nothing comes closer to the edge of the sheet
HEADROOM = 32.0  # for words above the first axis
INSET = 92.0  # room left of the fan in the overview, for the window of a lens
ASIDE, PULLED = 0.42, 0.56  # where in the lens the fan stands: its labels need room to the right; a gradient's, left
GRID = 20.0  # where labels without any room beside their points look for some
SPOTS = ((0.3, 0.4), (0.3, 0.2), (0.15, 0.1))  # shares of the free room left of and above a plane, beside a caption
CROSSING = 30.0  # cost of a line under a label, in the units of Placer.near
RADII = (9.0, 13.0, 18.0, 26.0, 38.0, 54.0, 76.0, 104.0, 140.0, 180.0)


@dataclass(frozen=True)
class Sheet:
    """A size of picture. All boxes in logical pixels; unit: device pixels per logical one.

    plot: the plane without a lens. overview, lens: the plane and its lens, one above the other. caption: the text.
    gutter: width of the column of labels left of the fan. margin: room for x_t right of it.
    """

    width: float
    height: float
    unit: float
    plot: Box
    overview: Box
    lens: Box
    caption: Box
    gutter: float
    margin: float


_WIDE = {
    "width": 960,
    "height": 540,
    "plot": Box(20, 24, 920, 496),
    "overview": Box(20, 20, 920, 214),
    "lens": Box(204, 270, 388, 250),
    "caption": Box(622, 290, 318, 230),
    "gutter": 196,
    "margin": 124,
}
SHEETS: Mapping[str, Sheet] = {
    "blog": Sheet(unit=1, **_WIDE),
    "slide": Sheet(unit=2, **_WIDE),
    "column": Sheet(
        width=600,
        height=760,
        unit=1,
        plot=Box(16, 20, 568, 520),
        overview=Box(16, 20, 568, 214),
        lens=Box(190, 276, 394, 270),
        caption=Box(16, 574, 568, 172),
        gutter=172,
        margin=104,
    ),
}


@dataclass(frozen=True)
class Plane:
    """Maps the step plane to pixels: x_t at `origin`, the first axis to the left, the second downwards."""

    origin: Point
    scale: float

    def at(self, place: Place) -> Point:
        """Pixel of a place; the same scale on both axes."""
        return (self.origin[0] - self.scale * place[0], self.origin[1] + self.scale * place[1])


@dataclass(frozen=True)
class Lens:
    """A magnified window: `window` in the overview, `frame` on the sheet, `plane` inside it. gain: a power of two."""

    window: Box
    frame: Box
    plane: Plane
    gain: int


@dataclass(frozen=True)
class Hinge:
    """The noise, turned into the plane at the tip of the step. end: where it stops; cut: shortened, and marked so."""

    end: Place
    cut: bool


@dataclass(frozen=True)
class Arrangement:
    """The planes of a figure: the overview always, a lens where the fan is too small to read."""

    plane: Plane
    lens: Lens | None
    hinge: Hinge | None


def arrange(positions: Positions, sheet: Sheet, with_noise: bool, caption: Box) -> Arrangement:
    """Choose scale, lens and hinge of a step on a sheet whose caption fills a box.

    gain = 2^floor(log2(room / fan)), computed from the overview's final scale; below 2 there is no lens and the plane
    takes the whole sheet.
    """
    area = sheet.overview
    inside = Box(area.x + INSET, area.y + 20, area.w - INSET - sheet.margin, area.h - 44)
    plane, hinge = _fit(positions, inside, with_noise)
    if fan_length(positions) * plane.scale < FAN:
        lens = _lens(positions, plane, sheet, _frame(sheet, caption))
        if lens is not None:
            return Arrangement(plane, lens, hinge)
    left = sheet.gutter + 24
    room = Box(
        sheet.plot.x + left, sheet.plot.y + HEADROOM, sheet.plot.w - left - sheet.margin, sheet.plot.h - HEADROOM
    )
    plane, hinge = _fit(positions, room, with_noise, caption)
    return Arrangement(plane, None, hinge)


def fan_places(positions: Positions) -> list[Place]:
    """The predictions: u, c, G, and D where other rules moved it."""
    names = ("u", "c", "G", "D", "along") if positions.other > 0 else ("u", "c", "G")
    return [positions.points[name] for name in names if name in positions.points]


def fan_length(positions: Positions) -> float:
    """Greatest distance between two predictions, in rms units."""
    places = fan_places(positions)
    return max(math.dist(p, q) for p in places for q in places)


def hinge_direction(positions: Positions) -> Place:
    """Unit vector across the ray x -> D, on the side away from the predictions."""
    along, across = positions.points["D"]
    length = math.hypot(along, across) or 1.0
    normal = (-across / length, along / length)
    middle = [sum(positions.points[name][k] for name in ("u", "c")) / 2 for k in (0, 1)]
    side = normal[0] * middle[0] + normal[1] * middle[1]
    return normal if side <= 0 else (-normal[0], -normal[1])


def _fit(positions: Positions, room: Box, with_noise: bool, obstacle: Box | None = None) -> tuple[Plane, Hinge | None]:
    bare = _scale_plane(positions, None, room, obstacle)
    if not with_noise or positions.noise == 0:
        return bare, None
    length, least = positions.noise, SHRINK * bare.scale
    while True:
        end = _noise_end(positions, length)
        plane = _scale_plane(positions, end, room, obstacle)
        if plane.scale >= least or length < 1e-3 * positions.noise:
            return plane, Hinge(end, cut=length < positions.noise)
        length, least = 0.93 * length, (SHRINK + 0.1) * bare.scale


def _noise_end(positions: Positions, length: float) -> Place:
    tip, normal = positions.points["tip"], hinge_direction(positions)
    return (tip[0] + length * normal[0], tip[1] + length * normal[1])


def _scale_plane(positions: Positions, end: Place | None, room: Box, obstacle: Box | None) -> Plane:
    points = positions.points
    reached = [points[name] for name in ("u", "c", "G", "D", "along", "tip", "ahead") if name in points]
    lines = [(points["x"], place) for place in reached] + [(points["u"], points["G"])]
    if "corner" in points:
        lines += [(points["x"], points["corner"]), (points["corner"], points["G"])]
    return fit_plane([*lines, (points["tip"], end)] if end else lines, room, obstacle)


def fit_plane(lines: Sequence[tuple[Place, Place]], room: Box, obstacle: Box | None = None) -> Plane:
    """The largest plane that fits into the room and whose lines stay clear of the obstacle."""
    places = [place for line in lines for place in line]
    low = [min(p[k] for p in places) for k in (0, 1)]
    span = [max(max(p[k] for p in places) - low[k], 1e-12) for k in (0, 1)]
    scale = min(room.w / span[0], room.h / span[1])
    while True:
        for shares in SPOTS if obstacle else ((0.5, 0.5),):
            w, h = span[0] * scale, span[1] * scale
            left, top = room.x + shares[0] * (room.w - w), room.y + shares[1] * (room.h - h)
            plane = Plane((left + w + low[0] * scale, top - low[1] * scale), scale)
            if obstacle is None or not any(
                crosses(plane.at(p), plane.at(q), obstacle.with_margin(20)) for p, q in lines
            ):
                return plane
        scale *= 0.98


def _frame(sheet: Sheet, caption: Box) -> Box:
    """Where a lens may stand: above a caption that reaches into its place."""
    place = sheet.lens
    return replace(place, h=min(place.h, caption.y - 14 - place.y)) if caption.x < place.right else place


def _lens(positions: Positions, plane: Plane, sheet: Sheet, frame: Box) -> Lens | None:
    """The strongest lens of a power of two that holds the fan with room for its labels; None below 2."""
    pixels = [plane.at(place) for place in fan_places(positions)]
    low = [min(p[k] for p in pixels) for k in (0, 1)]
    high = [max(p[k] for p in pixels) for k in (0, 1)]
    span = [max(high[k] - low[k], 1e-9) for k in (0, 1)]
    room = min((frame.w - 150) / span[0], (frame.h - 56) / span[1])
    if room < 2 or fan_length(positions) == 0:
        return None
    gain = 2 ** math.floor(math.log2(room))
    w, h = frame.w / gain, frame.h / gain
    left = max((low[0] + high[0]) / 2 - (PULLED if "corner" in positions.points else ASIDE) * w, EDGE)
    top = min(max((low[1] + high[1]) / 2 - h / 2, EDGE), frame.y - 28 - h)
    window = Box(left, top, w, h)
    if not window.with_margin(-14 / gain).holds(Box(*low, *span)):
        return None
    origin = (frame.x + gain * (plane.origin[0] - left), frame.y + gain * (plane.origin[1] - top))
    return Lens(window, frame, Plane(origin, plane.scale * gain), gain)


def stack_centres(
    wanted: Sequence[float], heights: Sequence[float], low: float, high: float, gap: float = 6.0
) -> list[float]:
    """Centres of labels in a column: as near to the wanted ones as order, gaps and the ends allow."""
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    centres = [wanted[k] for k in order]
    need = [max(ROWS, (heights[i] + heights[j]) / 2 + gap) for i, j in pairwise(order)]
    for _ in range(400):
        halves = [heights[item] / 2 for item in order]
        centres = [min(max(y, low + half), high - half) for y, half in zip(centres, halves, strict=True)]
        lacks = [apart - (b - a) for apart, (a, b) in zip(need, pairwise(centres), strict=True)]
        for k, lack in enumerate(lacks):
            if lack > 0:
                centres[k], centres[k + 1] = centres[k] - lack / 2, centres[k + 1] + lack / 2
        if max(lacks, default=0.0) < 1e-3:
            break
    return [centres[order.index(k)] for k in range(len(wanted))]


def crosses(p: Point, q: Point, box: Box) -> bool:
    """Whether the segment p-q meets the box (Liang and Barsky's clipping)."""
    near, far = 0.0, 1.0
    for k, (low, high) in enumerate(((box.x, box.right), (box.y, box.bottom))):
        d = q[k] - p[k]
        if d == 0:
            if not low <= p[k] <= high:
                return False
            continue
        first, second = sorted(((low - p[k]) / d, (high - p[k]) / d))
        near, far = max(near, first), min(far, second)
    return near <= far


@dataclass
class Placer:
    """Finds room for small labels beside their points: never on another label, off lines where that is possible."""

    area: Box
    obstacles: list[Box] = field(default_factory=list)
    lines: list[tuple[Point, Point]] = field(default_factory=list)

    def near(self, anchor: Point, size: tuple[float, float], prefer: str, area: Box | None = None) -> Box:
        """The best box of this size around the anchor, and from now on taken. prefer: directions, best first."""
        room = area or self.area
        ranked = [*prefer.split(), *(d for d in DIRECTIONS if d not in prefer.split())]
        spots = [(0.12 * r + 0.6 * k, box) for k, d in enumerate(ranked) for r, box in _around(anchor, size, d)]
        best, least = None, math.inf
        for cost, box in sorted(spots, key=lambda spot: spot[0]):
            if cost >= least:
                break  # whatever comes now costs more, crossed or not
            if self._is_free(box, room) and (whole := cost + self._crossing_cost(box)) < least:
                best, least = box, whole
        if best is None:
            return self.anywhere(anchor, size, room)
        self.obstacles.append(best)
        return best

    def anywhere(self, anchor: Point, size: tuple[float, float], area: Box) -> Box:
        """The free box of this size inside the area that comes nearest to the anchor, and from now on taken.

        Where nothing at all is free: the place nearest to the anchor.
        """
        w, h = size
        places = [
            Box(area.x + GRID * i, area.y + GRID * j, w, h)
            for i in range(max(int((area.w - w) // GRID), 0) + 1)
            for j in range(max(int((area.h - h) // GRID), 0) + 1)
        ]
        ranked = sorted(((math.dist(nearest(box, anchor), anchor), box) for box in places), key=lambda pair: pair[0])
        best, least = ranked[0][1], math.inf
        for away, box in ranked:
            if away >= least:
                break  # whatever comes now lies too far away, crossed or not
            if self._is_free(box, area) and (cost := away + 4 * self._crossing_cost(box)) < least:
                best, least = box, cost
        self.obstacles.append(best)
        return best

    def is_clear(self, box: Box) -> bool:
        """Whether a box lies on the sheet and touches nothing."""
        return self._is_free(box, self.area) and self._crossing_cost(box.with_margin(2.0)) == 0

    def _is_free(self, box: Box, area: Box) -> bool:
        return area.holds(box) and not any(box.meets(other, 4.0) for other in self.obstacles)

    def _crossing_cost(self, box: Box) -> float:
        wide = box.with_margin(4.0)
        return CROSSING * sum(crosses(p, q, wide) for p, q in self.lines)


def nearest(box: Box, point: Point) -> Point:
    """The point of a box nearest to another point."""
    return (min(max(point[0], box.x), box.right), min(max(point[1], box.y), box.bottom))


def _around(anchor: Point, size: tuple[float, float], direction: str) -> list[tuple[float, Box]]:
    (dx, dy), (w, h) = DIRECTIONS[direction], size
    shift = (0.5 * (_sign(dx) - 1) * w, 0.5 * (_sign(dy) - 1) * h)
    return [(r, Box(anchor[0] + r * dx + shift[0], anchor[1] + r * dy + shift[1], w, h)) for r in RADII]


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
