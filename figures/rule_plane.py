"""Guidance rules on the plane: prompt strength across, denoising ratio up, a curve for each rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..guidance.printing import count_of
from ..measure.plane import UNGUIDED, Plane, RuleCurve
from .canvas import Box, Canvas, Point, extent
from .caption import Caption, caption_box, set_caption
from .film import Film, still_film
from .layout import SHEETS, Placer
from .order import Artwork, check_choices
from .palette import THEMES
from .step_curves import TITLE
from .typeset import SMALL, cut, set_level, set_lines
from .words import number

FOOT, HEAD, LEFT, RIGHT = 62.0, 34.0, 62.0, 24.0  # room around the plot
LONGEST = 170.0  # of a name beside its curve
TICKS = 6
DASHES = (None, (8, 4), (2, 3), (10, 3, 2, 3))
COLOURS = ("guided", "cond", "noise", "rule", "muted")
LEAST, MOST = 4.0, 14.0  # diameter of a point at variety 0 and at 1
UNKNOWN = 7.0  # where variety is not known
PAST = 1.12  # times what rules reach: beyond that the curve of plain guidance is cut
BAND = 0.16
HEADING = "Guidance rules at equal prompt strength"
SENTENCE = (
    "To the right pictures show the prompt more strongly, upwards they are stranger to the model. What lies below the "
    "thick curve is less strange than plain guidance that shows the prompt as strongly. Numbers at points: cfg."
)


@dataclass(frozen=True)
class Field:
    """Where strengths and ratios stand: a linear axis across, a logarithmic one upwards."""

    box: Box
    strengths: tuple[float, float]
    ratios: tuple[float, float]

    def at(self, strength: float, ratio: float) -> Point:
        """Pixel of a point; it may lie outside of the box."""
        across = (strength - self.strengths[0]) / (self.strengths[1] - self.strengths[0])
        low, high = map(math.log, self.ratios)
        return self.box.x + self.box.w * across, self.box.bottom - self.box.h * (math.log(ratio) - low) / (high - low)

    def points(self, curve: RuleCurve) -> list[Point]:
        """Of a curve; a point whose ratio is unknown is left out."""
        return [self.at(*both) for both in known(curve)]

    def holds(self, point: Point) -> bool:
        """Whether a point lies inside."""
        return self.box.pad(1.0).holds(Box(*point, 0.0, 0.0))


def draw_plane(plane: Plane, size: str = "blog", theme: str = "light", at: float | None = None) -> Film:
    """The figure of a plane.

    at: value of plain guidance whose prompt strength is marked; None for the greatest that a rule reaches.
    """
    check_choices(size=(size, tuple(SHEETS)), theme=(theme, tuple(THEMES)))
    sheet = SHEETS[size]
    canvas = Canvas(sheet.width, sheet.height, THEMES[theme], sheet.unit)
    facts = [("pictures of each value", str(plane.count)), ("rules", ", ".join(curve.name for curve in plane.rules))]
    caption = Caption(HEADING, SENTENCE, tuple(facts), count_of(plane.count, "picture") + " of each value")
    foot = caption_box(sheet.caption, caption)
    set_caption(canvas, foot, caption)
    room = sheet.above(foot)
    box = Box(room.x + LEFT, room.y + HEAD, room.w - LEFT - RIGHT, room.h - HEAD - FOOT)
    field = field_of(plane, box)
    placer = Placer(Box(box.x, box.y - HEAD, box.w + RIGHT, box.h + HEAD))
    set_axes(canvas, field)
    set_marks(canvas, field, plane, placer, at)
    set_curves(canvas, field, plane, placer)
    return still_film(Artwork(canvas, caption.text), THEMES[theme].paper is not None)


def known(curve: RuleCurve) -> list[tuple[float, float]]:
    """Strength and ratio at every value that has both."""
    both = [(point.strength.value, point.ratio.value) for point in curve.points]
    return [(strength, ratio) for strength, ratio in both if math.isfinite(strength) and 0 < ratio < math.inf]


def field_of(plane: Plane, box: Box) -> Field:
    """A field that holds all rules, and of plain guidance a little more than they reach."""
    rules = [point for curve in plane.rules for point in known(curve)]
    plain = known(plane.plain)
    tops = [PAST * max(values) for values in zip(*(rules or plain), strict=True)]
    near = [point for point in plain if point[0] <= tops[0] and point[1] <= tops[1]] or plain[:1]
    strengths, ratios = zip(*rules, *near, strict=True)
    pad = 0.06 * (max(strengths) - min(strengths) or 1.0)
    ends = [end for each in plane.plain.points for end in each.ratio[1:] if 0 < end <= max(ratios)]
    rise = (max(ratios) / min(ratios)) ** 0.08
    low = min(min(ratios), min(ends, default=math.inf))
    return Field(box, (min(strengths) - pad, max(strengths) + 2 * pad), (low / rise, max(ratios) * rise * 1.02))


def set_axes(canvas: Canvas, field: Field) -> None:
    """Levels of the ratio with their numbers, those of the strength below, and what both are."""
    box = field.box
    for ratio in ratio_ticks(*field.ratios):
        set_level(canvas, box, field.at(field.strengths[0], ratio)[1], number(ratio), 10)
    for strength in linear_ticks(*field.strengths):
        x = field.at(strength, field.ratios[0])[0]
        canvas.line([(x, box.bottom), (x, box.bottom + 5)], canvas.theme.hair, 1.0)
        set_lines(canvas, (x, box.bottom + 8), [number(strength)], 0.5)
    canvas.line([(box.x, box.bottom), (box.right, box.bottom)], canvas.theme.hair, 1.2)
    canvas.text((box.x - LEFT + 6, box.y - 32), "denoising ratio", TITLE, canvas.theme.ink, halo=False)
    words = "prompt strength"
    canvas.text((box.right - extent(words, TITLE)[0], box.bottom + 30), words, TITLE, canvas.theme.ink, halo=False)
    set_sizes(canvas, (box.x, box.bottom + 38))


def set_sizes(canvas: Canvas, at: Point) -> None:
    """What the size of a point says."""
    x, words = at[0], ("variety", "0.25", "0.5", "1")
    for word, variety in zip(words, (None, 0.25, 0.5, 1.0), strict=True):
        if variety is not None:
            radius = diameter(variety) / 2
            canvas.marker((x + radius, at[1]), "disc", canvas.theme.muted, 2 * radius)
            x += 2 * radius + 5
        _, up, down = extent(word, SMALL)
        set_lines(canvas, (x, at[1] - (up + down) / 2), [word], 0.0)
        x += extent(word, SMALL)[0] + 14


def set_marks(canvas: Canvas, field: Field, plane: Plane, placer: Placer, at: float | None) -> None:
    """The ratio of plain cfg 1, from which departure counts, and the prompt strength at which rules are compared."""
    box, theme = field.box, canvas.theme
    unguided = plane.plain.points[[*plane.plain.values].index(UNGUIDED)].ratio.value
    if field.ratios[0] < unguided < field.ratios[1]:
        y = field.at(field.strengths[0], unguided)[1]
        canvas.line([(box.x, y), (box.right, y)], theme.muted, 1.0, (2, 4), name="unguided")
    value = at if at is not None else marked_value(plane)
    if value is None:
        return
    here = plane.compare(value)
    x = field.at(here.strength.value, field.ratios[0])[0]
    if not box.x <= x <= box.right:
        return
    canvas.line([(x, box.y), (x, box.bottom)], theme.muted, 1.2, (6, 4), name="strength")
    words = f"as strong as plain cfg {value:g}"
    width, up, down = extent(words, SMALL)
    left = min(x - width / 2, box.right - width)
    label = canvas.text((left, box.y - up - down - 4), words, SMALL, theme.muted, name="strength-words")
    placer.obstacles.append(label)


def marked_value(plane: Plane) -> float | None:
    """The greatest value of plain guidance whose prompt strength a rule reaches."""
    reached = [value for value in plane.values if any(not row.missing for row in plane.compare(value).rows)]
    return max(reached, default=None)


def set_curves(canvas: Canvas, field: Field, plane: Plane, placer: Placer) -> None:
    """The band of plain guidance, every curve, its points, their values, and its name."""
    styles = [("uncond", None, 4.0), *((*look_of(i), 2.2) for i in range(len(plane.rules)))]
    curves = [plane.plain, *plane.rules]
    set_band(canvas, field, plane.plain)
    for curve, (colour, dash, width) in zip(curves, styles, strict=True):
        points = field.points(curve)
        placer.lines += pairwise(points)
        canvas.line(points, getattr(canvas.theme, colour), width, dash, within=field.box, name=f"curve-{curve.name}")
    for curve, (colour, _, _) in zip(reversed(curves), reversed(styles), strict=True):
        set_points(canvas, field, curve, getattr(canvas.theme, colour), placer)
    for curve, (colour, _, _) in zip(curves, styles, strict=True):
        set_name(canvas, field, curve, getattr(canvas.theme, colour), placer)
    for curve, (colour, _, _) in zip(curves, styles, strict=True):
        set_values(canvas, field, curve, getattr(canvas.theme, colour), placer)


def look_of(i: int) -> tuple[str, Sequence[float] | None]:
    """Colour and dash of the i-th rule: no two of the first twenty are alike."""
    return COLOURS[i % len(COLOURS)], DASHES[(i + i // len(COLOURS)) % len(DASHES)]


def set_band(canvas: Canvas, field: Field, curve: RuleCurve) -> None:
    """The 95 % intervals of plain guidance's ratio."""
    ends = [(p.strength.value, p.ratio.low, p.ratio.high) for p in curve.points if 0 < p.ratio.low < math.inf]
    edges = [[field.at(strength, each[side]) for strength, *each in ends] for side in (0, 1)]
    if len(ends) > 1:
        outline = [*edges[0], *reversed(edges[1])]
        canvas.polygon(outline, canvas.theme.uncond, alpha=BAND, within=field.box, name="band")


def diameter(variety: float) -> float:
    """Of a point, by its variety."""
    return LEAST + (MOST - LEAST) * min(max(variety, 0.0), 1.2)


def set_points(canvas: Canvas, field: Field, curve: RuleCurve, colour: str, placer: Placer) -> None:
    """A disc at every value, as large as its variety says."""
    sizes = [diameter(each.value) for each in curve.variety] or [UNKNOWN] * len(curve.values)
    for (value, point), size in zip(inside(field, curve), sizes, strict=False):
        canvas.marker(point, "disc", colour, size, name=f"{curve.name}-{value:g}")
        placer.obstacles.append(Box(*point, 0.0, 0.0).pad(size / 2 - 2))


def inside(field: Field, curve: RuleCurve) -> Iterator[tuple[float, Point]]:
    """The values of a curve that lie in the field, each with its place."""
    for value, each in zip(curve.values, curve.points, strict=True):
        strength, ratio = each.strength.value, each.ratio.value
        if math.isfinite(strength) and 0 < ratio < math.inf and field.holds(point := field.at(strength, ratio)):
            yield value, point


def set_name(canvas: Canvas, field: Field, curve: RuleCurve, colour: str, placer: Placer) -> None:
    """The name of a curve beside its last point."""
    places = [*inside(field, curve)]
    if not places:
        return
    words = cut(curve.name, LONGEST, lambda some: extent(some, SMALL, True)[0])
    width, up, down = extent(words, SMALL, True)
    box = placer.near(places[-1][1], (width, up + down), "e se ne n s")
    canvas.text((box.x, box.y), words, SMALL, colour, bold=True, name=f"name-{curve.name}")


def set_values(canvas: Canvas, field: Field, curve: RuleCurve, colour: str, placer: Placer) -> None:
    """The values of a curve beside their points, where there is room."""
    for value, point in inside(field, curve):
        words = f"{value:g}"
        width, up, down = extent(words, SMALL)
        spots = [(8, -up - 8), (-width - 8, -up - 8), (8, 8), (-width - 8, 8), (-width / 2, 11), (-width / 2, -up - 12)]
        boxes = [Box(point[0] + dx, point[1] + dy, width, up + down) for dx, dy in spots]
        free = next((box for box in boxes if placer.is_clear(box)), None)
        if free:
            placer.obstacles.append(free)
            canvas.text((free.x, free.y), words, SMALL, colour, name=f"value-{curve.name}-{value:g}")


def linear_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, about TICKS of them."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough * (1 - 1e-9))
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def ratio_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends of a logarithmic axis, at most TICKS of them."""
    for steps in ((1.0, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4, 5, 7), (1.0, 1.2, 1.5, 2, 3, 5, 7), (1.0, 2, 5), (1.0,)):
        ticks = [10.0**k * s for k in range(-6, 7) for s in (*steps, 0.9, 0.8) if low <= 10.0**k * s <= high]
        if len(ticks) <= TICKS + 2:
            return sorted({round(tick, 9) for tick in ticks})
    return []
