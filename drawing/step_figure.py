"""The classifier-free figures of the post (F12 to F15) and the step plane (D1), to scale, from one recorded step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..guidance.trace import Trace
from .canvas import Box, Canvas, Point
from .caption import caption_box, caption_of, set_caption
from .labels import set_labels
from .layout import SHEETS, Lens, Placer, Plane, arrange
from .page import FIGURES, Page
from .palette import THEMES
from .scene import Scene, scene_of
from .typeset import Block, Run, block_size, set_block

SIZES = tuple(SHEETS)
THUMB = 92.0
BAND = 6.0  # pale band under gamma times delta, so that it is seen to start where delta starts


@dataclass(frozen=True)
class Drawing:
    """A finished figure: its canvas, the caption in words, and what it shows."""

    canvas: Canvas
    caption: str
    scene: Scene

    def png(self) -> np.ndarray:  # -> [H, W, 4] uint8
        """The figure as pixels."""
        return self.canvas.png()

    def svg(self, embedded: Mapping | None = None) -> str:
        """The figure as SVG; embedded: JSON-able facts to reopen the graph from."""
        return self.canvas.svg("Guidance Geometry", self.caption, embedded)


def draw_step(
    trace: Trace,
    figure: str = "step plane",
    *,
    step: int | None = None,
    sample: int | None = None,
    size: str = "blog",
    theme: str = "light",
    pictures: Mapping[str, np.ndarray] | None = None,
) -> Drawing:
    """Draw one step of one sample to scale.

    figure: one of FIGURES. step, sample: None picks the default step and the median sample. size: one of SIZES.
    theme: light, dark or transparent. pictures: {"x", "u", "c", "G", "D", "next": [H, W, 3] in 0..1}, any subset.
    """
    for value, known, what in ((figure, FIGURES, "figure"), (size, SIZES, "size"), (theme, tuple(THEMES), "theme")):
        if value not in known:
            raise ValueError(f"Unknown {what} {value!r}. Choose one of: {', '.join(known)}.")
    scene, sheet = scene_of(trace, step, sample), SHEETS[size]
    canvas = Canvas(sheet.width, sheet.height, THEMES[theme], sheet.unit)
    caption = caption_of(figure, scene)
    box = caption_box(sheet.caption, caption)
    if scene.missing:
        _nothing(canvas, scene)
    else:
        others = (caption_box(sheet.caption, caption_of(name, scene)) for name in FIGURES)
        tallest = max(others, key=lambda other: other.h)  # the same room for all figures: nothing jumps
        arrangement = arrange(scene, sheet, figure == "step plane", tallest)
        placer = Placer(Box(0, 0, sheet.width, sheet.height).grown(-6), taken=[box.grown(8)])
        side = min(THUMB, sheet.margin - 26)
        _draw(Page(canvas, sheet, scene, figure, pictures or {}, side, placer, arrangement))
    set_caption(canvas, box, caption)
    return Drawing(canvas, caption.text, scene)


def _nothing(canvas: Canvas, scene: Scene):
    """The page of a step that has no plane: why, in the middle."""
    rows = ((Run(scene.missing, 18, canvas.theme.ink),), (Run(scene.advice, 12.5, canvas.theme.muted),))
    w, _ = block_size(Block(rows))
    set_block(canvas, Block(rows), ((canvas.width - w) / 2, 0.36 * canvas.height), "missing")


def _draw(page: Page):
    lens = page.lens
    if lens:
        _lens_outline(page, lens)
    _rays(page, page.plane, "overview")
    if lens:
        _rays(page, lens.plane, "lens", lens.frame)
    if "step" in page.parts:
        _step(page)
    if lens:
        for role in page.points:
            at = page.plane.at(page.scene.points[role])
            page.canvas.marker(at, "disc", page.colour(role), 3.0, name=f"overview-{role}")
        _fan(page, lens.plane, "lens", lens.frame)
    else:
        _fan(page, page.plane, "overview")
    page.mark(page.plane.at((0.0, 0.0)), "x", "overview-x")
    set_labels(page)


def _lens_outline(page: Page, lens: Lens):
    """The window in the overview, the frame of the lens, and what joins them."""
    window, frame, canvas = lens.window, lens.frame, page.canvas
    for side in ("x", "right"):
        page.hairline(((getattr(window, side), window.bottom), (getattr(frame, side), frame.y)))
    canvas.rectangle(window, None, page.theme.hair, 1.0, name="window")
    canvas.rectangle(frame, page.theme.paper, page.theme.hair, 1.0, name="frame")
    title = f"lens \u00d7{lens.gain}, equal axes"
    page.placer.taken.append(canvas.text((frame.x, frame.y - 20), title, 11.5, page.theme.muted, name="lens-title"))


def _rays(page: Page, plane: Plane, where: str, within: Box | None = None):
    """From the noisy sample to every prediction."""
    for role in page.points:
        ends = (plane.at((0.0, 0.0)), plane.at(page.scene.points[role]))
        page.stroke(ends, role, f"{where}-ray-{role}", within)


def _fan(page: Page, plane: Plane, where: str, within: Box | None = None):
    """Predictions, their difference, the difference times gamma, and what other rules made of it."""
    place = {role: plane.at(page.scene.points[role]) for role in ("x", "u", "c", "G", "D", "tip")}
    if "step" in page.parts and within:
        page.arrow((place["x"], place["tip"]), "step", "lens-step", within)
    if "scaled" in page.parts:
        page.canvas.line((place["u"], place["G"]), page.colour("scaled"), BAND, alpha=0.25, within=within)
        page.arrow((place["u"], place["G"]), "scaled", f"{where}-scaled", within)
    if "delta" in page.parts:
        page.arrow((place["u"], place["c"]), "delta", f"{where}-delta", within)
    if "D" in page.points:
        page.arrow((place["G"], place["D"]), "other", f"{where}-other", within)
    for role in page.points:
        page.mark(place[role], role, f"{where}-{role}", within)


def _step(page: Page):
    """The deterministic step, and the noise hinged to its tip."""
    tip, hinge = page.plane.at(page.scene.points["tip"]), page.arrangement.hinge
    page.arrow((page.plane.at((0.0, 0.0)), tip), "step", "overview-step")
    end = page.end
    if hinge and end:
        page.stroke((tip, end), "noise", "overview-noise")
        if hinge.cut:
            _cut_mark(page, tip, end)
    if end:
        page.mark(end, "next", "overview-next")


def _cut_mark(page: Page, tip: Point, end: Point):
    """A double slash across the noise: its true length stands in the label."""
    length = math.dist(tip, end)
    dx, dy = (end[0] - tip[0]) / length, (end[1] - tip[1]) / length
    for at in (0.5 * length, 0.5 * length + 5):
        x, y = tip[0] + at * dx, tip[1] + at * dy
        ends = [(x - 6 * dy - 3 * dx, y + 6 * dx - 3 * dy), (x + 6 * dy + 3 * dx, y - 6 * dx + 3 * dy)]
        page.canvas.line(ends, page.theme.halo, 5.0)
        page.canvas.line(ends, page.colour("noise"), 1.6, name="cut")
