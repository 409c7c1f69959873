"""The classifier-free figures of the post (F12 to F15) and the step plane (D1), to scale, from one recorded step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..guidance.trace import Trace
from .canvas import Box, Canvas, Point
from .caption import caption_box, caption_of, set_caption
from .labels import set_labels
from .layout import SHEETS, Lens, Placer, Plane, arrange, crosses
from .page import BEFORE, FIGURES, Page, Plot
from .palette import THEMES
from .scene import Scene, scene_of
from .typeset import Block, Run, block_size, set_block, wrapped

SIZES = tuple(SHEETS)
THUMB = 92.0
DRAWS = tuple(math.radians(turn) for turn in (-42, -21, 21, 42))
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
    steady: bool = False,
) -> Drawing:
    """Draw one step of one sample to scale.

    figure: one of FIGURES. step, sample: None picks the default step and the median sample. size: one of SIZES.
    theme: light, dark or transparent. pictures: {"x", "u", "c", "G", "D", "next", "end": [H, W, 3] in
    0..1}, any subset. steady: keep room for the noise in every figure, as the frames of an animation need it.
    """
    check_choices(figure=(figure, FIGURES + BEFORE), size=(size, SIZES), theme=(theme, tuple(THEMES)))
    scene, sheet = scene_of(trace, step, sample), SHEETS[size]
    canvas = Canvas(sheet.width, sheet.height, THEMES[theme], sheet.unit)
    caption = caption_of(figure, scene)
    box = caption_box(sheet.caption, caption)
    if scene.missing:
        set_nothing(canvas, scene.missing, scene.advice)
    else:
        others = (caption_box(sheet.caption, caption_of(name, scene)) for name in FIGURES)
        tallest = max(others, key=lambda other: other.h)  # the same room for all figures: nothing jumps
        arrangement = arrange(scene, sheet, steady or figure in ("step plane", "step and noise"), tallest)
        placer = Placer(Box(0, 0, sheet.width, sheet.height).grown(-6), taken=[box.grown(8)])
        side = min(THUMB, sheet.margin - 26)
        if figure == "sample alone":
            arrangement = replace(arrangement, lens=None)
        _draw(Page(canvas, sheet, placer, pictures or {}, side, scene, figure, arrangement))
    set_caption(canvas, box, caption)
    return Drawing(canvas, caption.text, scene)


def check_choices(**choices: tuple[str, tuple[str, ...]]):
    """Every value must be one of the known ones: name=(value, known)."""
    for what, (value, known) in choices.items():
        if value not in known:
            raise ValueError(f"Unknown {what} {value!r}. Choose one of: {', '.join(known)}.")


def set_nothing(canvas: Canvas, why: str, advice: str):
    """The page of a step that has no plane: why, in the middle."""
    lines = tuple((Run(line, 12.5, canvas.theme.muted),) for line in wrapped(advice, 12.5, canvas.width - 60))
    rows = ((Run(why, 18, canvas.theme.ink),), *lines)
    w, _ = block_size(Block(rows))
    set_block(canvas, Block(rows), ((canvas.width - w) / 2, 0.36 * canvas.height), "missing")


def _draw(page: Page):
    lens = page.lens
    if lens:
        set_lens_outline(page, lens)
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
    if end := page.clean:
        page.mark(end, "end", "overview-end")
    page.mark(page.plane.at((0.0, 0.0)), "x", "overview-x")
    set_labels(page)


def set_lens_outline(page: Page, lens: Lens):
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
        if "draws" in page.parts:
            set_draws(page, tip, end)
        page.stroke((tip, end), "noise", "overview-noise")
        if hinge.cut:
            cut_mark(page, tip, end)
    if end:
        page.mark(end, "next", "overview-next")


def set_draws(page: Plot, tip: Point, end: Point):
    """Other draws of the noise: all of one length, in directions that are only schematic."""
    length, middle = math.dist(tip, end), math.atan2(end[1] - tip[1], end[0] - tip[0])
    for turn in DRAWS:
        other = (tip[0] + length * math.cos(middle + turn), tip[1] + length * math.sin(middle + turn))
        if crosses(tip, other, page.placer.taken[0]) or not page.placer.area.holds(Box(*other, 0, 0)):
            continue
        page.canvas.line((tip, other), page.colour("noise"), 0.9, (3, 3), alpha=0.45, name="draw")
        page.placer.lines.append((tip, other))


def cut_mark(page: Plot, tip: Point, end: Point):
    """A double slash across the noise: its true length stands in the label."""
    length = math.dist(tip, end)
    dx, dy = (end[0] - tip[0]) / length, (end[1] - tip[1]) / length
    for at in (0.5 * length, 0.5 * length + 5):
        x, y = tip[0] + at * dx, tip[1] + at * dy
        ends = [(x - 6 * dy - 3 * dx, y + 6 * dx - 3 * dy), (x + 6 * dy + 3 * dx, y - 6 * dx + 3 * dy)]
        page.canvas.line(ends, page.theme.halo, 5.0)
        page.canvas.line(ends, page.colour("noise"), 1.6, name="cut")
