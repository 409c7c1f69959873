"""Where everything stands: scales, what is drawn larger than it is, the hinge of the noise, labels that keep apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from .canvas import Box, Point
from .scene import Place, Positions

FAN, PULL = 0.65, 1.0  # of the ray to u, or of the step: what guidance adds is drawn at most so long
LEAST = 4  # gains below show little that a drawing to scale does not
SHRINK = 0.7  # the noise may shrink the drawing to this; beyond, its arrow is cut and marked
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
BESIDE = 16.0  # between the gutter and what is drawn
STRIP = 58.0  # height of a line to scale, beside what the points on it need
TURNS = (0.0, 0.25, -0.25, 0.5, -0.5, 0.75, -0.75, -1.0)  # by which a plane may be turned, in radians
WORTH = 1.1  # a plane is turned where that makes it so much larger
GRID = 20.0  # where labels without any room beside their points look for some
CROSSING = 30.0  # cost of a line under a label, in the units of Placer.near
RADII = (9.0, 13.0, 18.0, 26.0, 38.0, 54.0, 76.0, 104.0, 140.0, 180.0)


@dataclass(frozen=True)
class Sheet:
    """A size of picture, in logical pixels.

    width, height: of the page.
    unit: device pixels per logical one.
    plot: what the lowest caption leaves.
    caption: where it stands, at the foot.
    gutter: width of the column of labels left of the predictions.
    margin: room for x_t right of the plot.
    """

    width: float
    height: float
    unit: float
    plot: Box
    caption: Box
    gutter: float
    margin: float

    @property
    def turns(self) -> Sequence[float]:
        """By how much a step may be turned: on a sheet that is wider than high there is no need to."""
        return TURNS if self.height > self.width else TURNS[:1]

    def above(self, caption: Box) -> Box:
        """The room for a drawing over a caption."""
        return Box(self.plot.x, self.plot.y, self.plot.w, caption.y - 10 - self.plot.y)


_WIDE = {
    "width": 960,
    "height": 540,
    "plot": Box(20, 14, 920, 440),
    "caption": Box(20, 462, 920, 68),
    "gutter": 240,
    "margin": 142,
}
SHEETS: Mapping[str, Sheet] = {
    "blog": Sheet(unit=1, **_WIDE),
    "slide": Sheet(unit=2, **_WIDE),
    "column": Sheet(
        width=600,
        height=760,
        unit=1,
        plot=Box(16, 14, 568, 620),
        caption=Box(16, 640, 568, 110),
        gutter=212,
        margin=124,
    ),
}


@dataclass(frozen=True)
class Plane:
    """Maps the step plane to pixels: x_t at `origin`, the first axis to the left, the second downwards.

    turn: by how much both are turned, in radians, the first axis upwards.
    """

    origin: Point
    scale: float
    turn: float = 0.0

    def at(self, place: Place) -> Point:
        """Pixel of a place; the same scale on both axes."""
        (along, across), c, s = place, math.cos(self.turn), math.sin(self.turn)
        x, y = -along * c - across * s, across * c - along * s
        return (self.origin[0] + self.scale * x, self.origin[1] + self.scale * y)


@dataclass(frozen=True)
class Hinge:
    """The noise, turned into the plane at the tip of the step. end: where it stops; cut: shortened, and marked so."""

    end: Place
    cut: bool


@dataclass(frozen=True)
class Arrangement:
    """What is drawn where.

    plane: turns points into pixels.
    points: of the drawing, by their names, in rms units; what guidance adds is `gain` times as large as it is.
    hinge: the noise, turned into the plane; None where none is drawn.
    gain: a power of two, 1 where the drawing is to scale.
    line: a plane for the true points, on a line above the drawing; None where that is to scale.
    top: the drawing begins below this, in logical pixels.
    """

    plane: Plane
    points: Mapping[str, Place]
    hinge: Hinge | None
    gain: int = 1
    line: Plane | None = None
    top: float = 0.0


def arrange(positions: Positions, sheet: Sheet, with_noise: bool, caption: Box) -> Arrangement:
    """Choose gain, scale and hinge of a step on a sheet whose caption fills a box.

    gain = 2^floor(log2(FAN |u| / fan)), for the gradient of a classifier with PULL; below 4 there is none.
    """
    area, left = sheet.above(caption), sheet.gutter + BESIDE
    gain = gain_of(positions)
    near = enlarge(positions, gain)
    room = Box(area.x + left, area.y + 8, area.w - left - sheet.margin, area.h - 26)
    if gain == 1:
        plane, hinge = _fit(near, room, sheet.turns, with_noise)
        return Arrangement(plane, near.points, hinge, top=area.y)
    widest = fit_plane(_reach(positions), Box(room.x, area.y, room.w, room.h / 4))
    low, high = _ends(map(widest.at, _reach(positions)), 1)
    top = area.y + STRIP + high - low
    plane, hinge = _fit(near, Box(room.x, top + 26, room.w, area.bottom - 18 - top - 26), sheet.turns, with_noise)
    line = widest if plane.turn or plane.scale > widest.scale else Plane(plane.origin, plane.scale)
    low, high = _ends(map(line.at, _reach(positions)), 1)
    line = replace(line, origin=(line.origin[0], line.origin[1] + (area.y + top - low - high) / 2))
    return Arrangement(plane, near.points, hinge, gain, line, top)


def gain_of(positions: Positions) -> int:
    """How many times as large as it is what guidance adds is drawn: a power of two, 1 where that shows it."""
    fan, ray = fan_length(positions), math.hypot(*positions.points["u"])
    share = PULL if "corner" in positions.points else FAN
    if fan == 0 or ray * share < LEAST * fan:
        return 1
    return 2 ** math.floor(math.log2(ray * share / fan))


def enlarge(positions: Positions, gain: int) -> Positions:
    """Positions with what guidance adds to u `gain` times as large, and the step on the ray that x -> D becomes."""
    points, (u_along, u_across) = positions.points, positions.points["u"]

    def far(name: str) -> Place:
        along, across = points[name]
        return (u_along + gain * (along - u_along), u_across + gain * (across - u_across))

    moved = {name: far(name) for name in ("c", "G", "D", "along") if name in points}
    (along, across), (tip_along, tip_across) = points["D"], points["tip"]
    if "corner" in points:
        moved |= {"tip": far("tip"), "corner": (gain * points["corner"][0], gain * points["corner"][1])}
    elif square := along**2 + across**2:
        share = (tip_along * along + tip_across * across) / square
        moved["tip"] = (tip_along + share * (moved["D"][0] - along), tip_across + share * (moved["D"][1] - across))
    return replace(positions, points={**points, **moved})


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


def _fit(positions: Positions, room: Box, turns: Sequence[float], with_noise: bool) -> tuple[Plane, Hinge | None]:
    reach = _reach(positions)
    bare = fit_plane(reach, room, turns)
    if not with_noise or positions.noise == 0:
        return bare, None
    length, least = positions.noise, SHRINK * bare.scale
    while True:
        end = _noise_end(positions, length)
        plane = fit_plane([*reach, end], room, turns)
        if plane.scale >= least or length < 1e-3 * positions.noise:
            return plane, Hinge(end, cut=length < positions.noise)
        length, least = 0.93 * length, (SHRINK + 0.1) * bare.scale


def _noise_end(positions: Positions, length: float) -> Place:
    tip, normal = positions.points["tip"], hinge_direction(positions)
    return (tip[0] + length * normal[0], tip[1] + length * normal[1])


def _reach(positions: Positions) -> list[Place]:
    """All that must fit: the ends of rays and steps, what guidance adds, the parallelogram of step and gradient."""
    names = ("x", "u", "c", "G", "D", "along", "tip", "ahead", "corner")
    return [positions.points[name] for name in names if name in positions.points]


def fit_plane(places: Sequence[Place], room: Box, turns: Sequence[float] = (0.0,)) -> Plane:
    """The largest plane whose places fit into the room, in its middle; turned where that is worth it."""
    level, *turned = [_fit_turned(places, room, turn) for turn in turns]
    best = max(turned, key=lambda plane: plane.scale, default=level)
    return best if best.scale > WORTH * level.scale else level


def _fit_turned(places: Sequence[Place], room: Box, turn: float) -> Plane:
    seen = [Plane((0.0, 0.0), 1.0, turn).at(place) for place in places]
    (left, right), (top, bottom) = (_ends(seen, axis) for axis in (0, 1))
    scale = min(room.w / max(right - left, 1e-12), room.h / max(bottom - top, 1e-12))
    x, y = (room.w - scale * (left + right)) / 2, (room.h - scale * (top + bottom)) / 2
    return Plane((room.x + x, room.y + y), scale, turn)


def _ends(places: Iterable[Point], axis: int) -> tuple[float, float]:
    values = [place[axis] for place in places]
    return min(values), max(values)


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
        return self._is_free(box, self.area) and self._crossing_cost(box.pad(2.0)) == 0

    def _is_free(self, box: Box, area: Box) -> bool:
        return area.holds(box) and not any(box.meets(other, 4.0) for other in self.obstacles)

    def _crossing_cost(self, box: Box) -> float:
        wide = box.pad(4.0)
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
