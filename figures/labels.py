"""Names of points and vectors, thumbnails with their hairlines, and the scale bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .canvas import SHORT, Box, Point, extent
from .layout import Plane, nearest, stack_centres
from .page import Page, Plot
from .typeset import SMALL, Block, Run, block_size, set_block
from .words import SYMBOLS, number, percent

SYMBOL, WORD = 24.0, 16.5
SMALL_THUMB = 64.0
OUTSIDE = "out of the plane"
NAMES = {
    "u": "unconditional",
    "c": "conditional",
    "G": "guided",
    "D": "after the rules",
    "x": "noisy sample",
    "end": "end of this run",
    "p": "prediction",
    "p2": "next prediction",
    "ahead": "prediction",
}
BAR, SHORT_BAR = 60.0, 36.0  # least length of a scale bar; of that of the line on top


def set_labels(page: Page):
    """All words of the plane, most important first: later ones make room for earlier ones."""
    noisy_sample(page, page.plane.at((0.0, 0.0)), page.room)
    _gutter(page)
    if page.clean:
        set_end(page, page.clean)
    _vectors(page)
    if "step" in page.parts:
        _step(page)
    plane_bar(page)


def point_block(page: Plot, role: str, side: float, above: bool = False) -> Block:
    """Symbol, words and picture of a point."""
    rows = ((Run(SYMBOLS[role], SYMBOL, page.colour(role)),), (Run(NAMES[role], SMALL, page.theme.muted),))
    return Block(rows, page.pictures.get(role), side, page.colour(role), above)


def noisy_sample(page: Plot, at: Point, area: Box, lift: float = 0.36):
    """x_t with its picture to the right, elsewhere if something runs there. lift: share of it above the point."""
    block = point_block(page, "x", page.side, above=True)
    size, low = block_size(block), area.y + 4
    high = area.bottom - 4 - size[1]
    beside = ((16.0, lift), (16.0, 0.95), (16.0, 0.05), (44.0, lift), (44.0, 0.95), (44.0, 0.05))
    boxes = (Box(at[0] + right, min(max(at[1] - share * size[1], low), high), *size) for right, share in beside)
    clear = (box for box in boxes if page.placer.is_clear(box))
    box = next(clear, None) or page.placer.near(at, size, "e ne se n s", area)
    if math.dist(at, nearest(box, at)) > 60:
        page.hairline((at, nearest(box, at)))
    set_block(page.canvas, block, (box.x, box.y), "label-x")
    page.placer.obstacles.append(box)


def _gutter(page: Page):
    """Labels of the predictions in a column left of the fan, joined to their points by hairlines."""
    roles = ["u", "c", "G", *(["D"] if "D" in page.points else [])]  # all keep their places in the earlier figures
    ends = [page.plane.at(page.places[role]) for role in roles]
    set_gutter(page, roles, ends, page.room, page.points)


def set_gutter(page: Plot, roles: Sequence[str], ends: Sequence[Point], area: Box, shown: Sequence[str]):
    """A column of labels, each joined to its point. shown: the others only keep their place."""
    side = min(page.side, area.h / len(roles) - 8)
    blocks = [point_block(page, role, side) for role in roles]
    sizes = [block_size(block) for block in blocks]
    wanted = [y + 1e-6 * k for k, (_, y) in enumerate(ends)]
    centres = stack_centres(wanted, [h for _, h in sizes], area.y, area.bottom)
    left = page.sheet.plot.x
    if all(block.picture is None for block in blocks):
        left = max(left, min(x for x, _ in ends) - 190)
    for k, role in enumerate(roles):
        if role in shown:
            at = (left, centres[k] - sizes[k][1] / 2)
            page.placer.obstacles.append(set_block(page.canvas, blocks[k], at, f"label-{role}"))
            page.hairline(((left + sizes[k][0] + 6, centres[k]), ends[k]))


def _vectors(page: Page):
    """The difference, its multiple, and what other rules changed."""
    scene, area = page.scene, page.room
    place = {role: page.plane.at(page.places[role]) for role in ("u", "c", "G", "D")}
    if place["u"] == place["c"]:
        return
    if "scaled" in page.parts:
        middle = between(place["c"] if scene.facts.gamma > 1 else place["u"], place["G"])
        label(page, middle, Label("scaled", f"{number(scene.facts.gamma)} \u00d7 the difference"), "e se ne w", area)
    if "delta" in page.parts:
        label(page, between(place["u"], place["c"]), Label("delta", "the difference"), "e ne se w", area)
    if "D" in page.points and scene.positions.across:
        (scale, share, outside), along = scene.positions.across, page.plane.at(page.places["along"])
        label(page, between(place["c"], along), Label("along", f"\u03b3 = {number(scale)}"), "w nw sw e", area)
        label(page, place["D"], Label("across", percent(share), f"{percent(outside)} {OUTSIDE}"), "w sw se e", area)
    elif "D" in page.points:
        other, outside = scene.positions.other, scene.positions.other_outside
        words = f"{percent(outside / other)} {OUTSIDE}" if outside / other > 0.01 else ""
        label(page, between(place["G"], place["D"]), Label("other", f"rms {number(other)}", words), "w sw s e", area)


def _step(page: Page):
    """The step, the noise hinged to it, and the next state."""
    next_label(page)
    start, tip = (page.plane.at(page.places[name]) for name in ("x", "tip"))
    length = math.hypot(*page.scene.positions.points["tip"])
    label(page, between(start, tip), Label("step", length_if_short(start, tip, length)), "n ne nw s", page.room)
    noise_label(page)


def next_label(page: Page):
    """The next state, away from the noise that leads to it."""
    if page.end:
        prefer = "s se sw e" if page.arrangement.hinge else "n nw ne s"
        label(page, page.end, Label("next", "next state"), prefer, page.room)


def noise_label(page: Page):
    """The noise and its true length."""
    hinge = page.arrangement.hinge
    if hinge and page.end:
        words = f"noise, rms {number(page.scene.positions.noise)}"
        outside = f"shortened,\n{OUTSIDE}" if hinge.cut else OUTSIDE
        middle = between(page.plane.at(page.places["tip"]), page.end)
        label(page, middle, Label("noise", words, outside), "w e sw se", page.room)


def length_if_short(start: Point, tip: Point, length: float) -> str:
    """An arrow too short for its head is a dot; then words say how long it is."""
    return f"rms {number(length)}" if math.dist(start, tip) < SHORT else ""


@dataclass(frozen=True)
class Label:
    """What stands beside a vector: its symbol and a word or two.  outside: lines below, for what leaves the plane."""

    role: str
    words: str = ""
    outside: str = ""

    def block(self, page: Plot) -> Block:
        """The words and the picture of the role."""
        colour, symbol = page.colour(self.role), SYMBOLS[self.role]
        first = (Run(symbol, SYMBOL - 1 if "$" in symbol else WORD, colour),)
        rows = ((*first, Run(self.words, WORD, colour)) if self.words else first,)
        rows += tuple((Run(line, WORD, colour),) for line in self.outside.splitlines())
        return Block(rows, page.pictures.get(self.role), SMALL_THUMB, colour)


def label(page: Plot, anchor: Point, what: Label, prefer: str, area: Box | None = None):
    """A label near a vector's middle; joined by a hairline where it had to go far. prefer: directions, best first."""
    block = what.block(page)
    box = page.placer.near(anchor, block_size(block), prefer, area)
    if math.dist(anchor, nearest(box, anchor)) > 24:
        page.hairline((anchor, nearest(box, anchor)))
    set_block(page.canvas, block, (box.x, box.y), f"label-{what.role}")


def set_end(page: Page, at: Point):
    """The run's end, which lies above or below the plane."""
    words = f"end of this run, {number(page.scene.positions.end_outside)} rms"
    label(page, at, Label("end", words, OUTSIDE), "s se sw n e", page.room)


def between(p: Point, q: Point) -> Point:
    """The middle of a line."""
    return ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)


def plane_bar(page: Page):
    """The bar of the drawing, where the line on top has no bar of the same scale."""
    if page.line is None or page.line.scale != page.plane.scale:
        scale_bar(page, page.plane, page.where, page.room)


def scale_bar(page: Plot, plane: Plane, where: str, area: Box):
    """A bar of a round length, in rms units, in the lower left corner."""
    length = nice_length(BAR / plane.scale)
    words, pixels = f"{number(length)} rms", length * plane.scale
    w, up, down = extent(words, SMALL)
    box = page.placer.anywhere((area.x, area.bottom), (max(w, pixels), up + down + 9), area.pad(-6))
    _set_bar(page, (box.x, box.y + 4), pixels, where)
    page.canvas.text((box.x, box.y + 9), words, SMALL, page.theme.muted, name=f"{where}-bar-text")


def _set_bar(page: Plot, at: Point, pixels: float, where: str):
    (x, y), ink = at, page.theme.ink
    page.canvas.line([(x, y), (x + pixels, y)], ink, 1.6, name=f"{where}-bar")
    for end in (x, x + pixels):
        page.canvas.line([(end, y - 4), (end, y + 4)], ink, 1.6)


def set_line_words(page: Page, line: Plane, words: str):
    """What the line on top is: its bar with its length, that it is to scale, and what it shows."""
    (left, top), muted = (page.sheet.plot.x, page.sheet.plot.y), page.theme.muted
    length = nice_length(SHORT_BAR / line.scale)
    _set_bar(page, (left, top + 12), length * line.scale, "overview")
    at = (left + length * line.scale + 8, top)
    bar = page.canvas.text(at, f"{number(length)} rms", SMALL, muted, halo=False, name="overview-bar-text")
    title = page.canvas.text((bar.right + 12, top), "to scale", SMALL, page.theme.ink, bold=True, halo=False)
    below = page.canvas.text((left, title.bottom + 5), words, SMALL, muted, halo=False)
    page.placer.obstacles += [Box(left, top, title.right - left, title.h), below]


def nice_length(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= least * (1 - 1e-9))
