"""Names of points and vectors, thumbnails with their hairlines, and the scale bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .canvas import SHORT, Box, Point, extent
from .layout import Plane, nearest, stack_centres
from .page import Page, Plot
from .typeset import Block, Run, block_size, set_block
from .words import SYMBOLS, number, percent

SYMBOL, WORD, SMALL = 18.0, 12.0, 11.5
SMALL_THUMB = 48.0
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
BAR = 60.0  # least length of a scale bar


def set_labels(page: Page):
    """All words of the plane, most important first: later ones make room for earlier ones."""
    noisy_sample(page, page.plane.at((0.0, 0.0)), page.overview)
    _gutter(page)
    if page.clean:
        set_end(page, page.clean)
    _vectors(page)
    if "step" in page.parts:
        _step(page)
    scale_bars(page)


def point_block(page: Plot, role: str, side: float, above: bool = False) -> Block:
    """Symbol, words and picture of a point."""
    rows = ((Run(SYMBOLS[role], SYMBOL, page.colour(role)),), (Run(NAMES[role], SMALL, page.theme.muted),))
    return Block(rows, page.pictures.get(role), side, page.colour(role), above)


def noisy_sample(page: Plot, at: Point, area: Box, lift: float = 0.36):
    """x_t with its picture to the right, elsewhere if something runs there. lift: share of it above the point."""
    block = point_block(page, "x", page.side, above=True)
    size = block_size(block)
    beside = ((16.0, lift), (16.0, 0.95), (16.0, 0.05), (44.0, lift), (44.0, 0.95), (44.0, 0.05))
    boxes = (
        Box(at[0] + right, min(max(at[1] - share * size[1], 8), page.sheet.height - size[1] - 8), *size)
        for right, share in beside
    )
    clear = (box for box in boxes if page.placer.is_clear(box))
    box = next(clear, None) or page.placer.near(at, size, "e ne se n s", area)
    if math.dist(at, nearest(box, at)) > 60:
        page.hairline((at, nearest(box, at)))
    set_block(page.canvas, block, (box.x, box.y), "label-x")
    page.placer.obstacles.append(box)


def _gutter(page: Page):
    """Labels of the predictions in a column left of the fan, joined to their points by hairlines."""
    roles = ["u", "c", "G", *(["D"] if "D" in page.points else [])]  # all keep their places in the earlier figures
    ends = [page.near_plane.at(page.places[role]) for role in roles]
    area = page.lens.frame if page.lens else page.sheet.plot
    set_gutter(page, roles, ends, area, page.points, tight=not page.lens)


def set_gutter(
    page: Plot, roles: Sequence[str], ends: Sequence[Point], area: Box, shown: Sequence[str], tight: bool = True
):
    """A column of labels, each joined to its point. shown: the others only keep their place. tight: near the points."""
    side = min(page.side, area.h / len(roles) - 8)
    blocks = [point_block(page, role, side) for role in roles]
    sizes = [block_size(block) for block in blocks]
    wanted = [y + 1e-6 * k for k, (_, y) in enumerate(ends)]
    centres = stack_centres(wanted, [h for _, h in sizes], area.y, area.bottom)
    left = page.sheet.plot.x
    if tight and all(block.picture is None for block in blocks):
        left = max(left, min(x for x, _ in ends) - 150)
    for k, role in enumerate(roles):
        if role in shown:
            at = (left, centres[k] - sizes[k][1] / 2)
            page.placer.obstacles.append(set_block(page.canvas, blocks[k], at, f"label-{role}"))
            page.hairline(((left + sizes[k][0] + 6, centres[k]), ends[k]))


def _vectors(page: Page):
    """The difference, its multiple, and what other rules changed."""
    scene, area = page.scene, page.near
    place = {role: page.near_plane.at(page.places[role]) for role in ("u", "c", "G", "D")}
    if place["u"] == place["c"]:
        return
    if "scaled" in page.parts:
        middle = between(place["c"] if scene.facts.gamma > 1 else place["u"], place["G"])
        label(page, middle, Label("scaled", f"{number(scene.facts.gamma)} \u00d7 the difference"), "e se ne w", area)
    if "delta" in page.parts:
        label(page, between(place["u"], place["c"]), Label("delta", "the difference"), "e ne se w", area)
    if "D" in page.points and scene.positions.across:
        (scale, share, outside), along = scene.positions.across, page.near_plane.at(page.places["along"])
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
    length = math.hypot(*page.places["tip"])
    label(page, between(start, tip), Label("step", length_if_short(start, tip, length)), "n ne nw s", page.overview)
    noise_label(page)


def next_label(page: Page):
    """The next state, away from the noise that leads to it."""
    if page.end:
        prefer = "s se sw e" if page.arrangement.hinge else "n nw ne s"
        label(page, page.end, Label("next", "next state"), prefer, page.overview)


def noise_label(page: Page):
    """The noise and its true length."""
    hinge = page.arrangement.hinge
    if hinge and page.end:
        words = f"noise, rms {number(page.scene.positions.noise)}" + (", shortened" if hinge.cut else "")
        middle = between(page.plane.at(page.places["tip"]), page.end)
        label(page, middle, Label("noise", words, OUTSIDE), "w e sw se", page.overview)


def length_if_short(start: Point, tip: Point, length: float) -> str:
    """An arrow too short for its head is a dot; then words say how long it is."""
    return f"rms {number(length)}" if math.dist(start, tip) < SHORT else ""


@dataclass(frozen=True)
class Label:
    """What stands beside a vector: its symbol and a word or two.  outside: a second line, for what leaves the plane."""

    role: str
    words: str = ""
    outside: str = ""

    def block(self, page: Plot) -> Block:
        """The words and the picture of the role."""
        colour, symbol = page.colour(self.role), SYMBOLS[self.role]
        first = (Run(symbol, SYMBOL - 1 if "$" in symbol else WORD, colour),)
        rows = ((*first, Run(self.words, WORD, colour)) if self.words else first,)
        if self.outside:
            rows += ((Run(self.outside, WORD, colour),),)
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
    label(page, at, Label("end", words, OUTSIDE), "s se sw n e", page.overview)


def between(p: Point, q: Point) -> Point:
    """The middle of a line."""
    return ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)


def scale_bars(page: Page):
    """The bar of the overview, and that of a lens."""
    scale_bar(page, page.plane, "overview", page.sheet.overview if page.lens else page.sheet.plot)
    if page.lens:
        scale_bar(page, page.lens.plane, "lens", page.lens.frame)


def scale_bar(page: Plot, plane: Plane, where: str, area: Box):
    """A bar of a round length, in rms units, in a lower corner."""
    length = nice_length(BAR / plane.scale)
    pixels, canvas = length * plane.scale, page.canvas
    text = f"{number(length)} rms"
    w, up, down = extent(text, SMALL)
    corner = (area.right if where == "lens" else area.x, area.bottom)
    box = page.placer.anywhere(corner, (max(w, pixels), up + down + 9), area.with_margin(-6))
    y = box.y + 4
    canvas.line([(box.x, y), (box.x + pixels, y)], page.theme.ink, 1.4, name=f"{where}-bar")
    for x in (box.x, box.x + pixels):
        canvas.line([(x, y - 3), (x, y + 3)], page.theme.ink, 1.4)
    canvas.text((box.x, y + 5), text, SMALL, page.theme.muted, name=f"{where}-bar-text")


def nice_length(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= least * (1 - 1e-9))
