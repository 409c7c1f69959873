"""The classifier-free figures of the post (F12 to F15) and the step plane (D1), to scale, from one recorded step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from .canvas import SHORT, Box, Point
from .caption import AXES, Caption, basic_facts, residual_words
from .figure import Figure
from .labels import set_labels
from .layout import Lens, Plane, arrange, crosses
from .order import Drawing, Order
from .page import Page, Plot, draw_missing, tallest_box
from .scene import Scene
from .words import number

DRAWS = tuple(math.radians(turn) for turn in (-42, -21, 21, 42))
ASIDE = 8.0  # pixels between the difference and an arrow along it
BAND = 6.0  # pale band under gamma times delta, so that it is seen to start where delta starts


def draw_step(order: Order, figure: Figure) -> Drawing:
    """Draw a step to scale."""
    scene, caption = order.scene, _caption(figure, order.scene)
    if scene.missing:
        return draw_missing(order, scene, caption)
    tallest = tallest_box(order.sheet, (_caption(each, scene) for each in figure.series))
    arrangement = arrange(scene.positions, order.sheet, order.steady or "noise" in figure.parts, tallest)
    if "c" not in figure.parts:
        arrangement = replace(arrangement, lens=None)
    page = Page.on(order, caption, order.thumbnails, scene=scene, parts=figure.parts, arrangement=arrangement)
    _draw(page)
    return Drawing(page.canvas, caption.text, scene)


def _caption(figure: Figure, scene: Scene) -> Caption:
    facts = basic_facts(scene.facts)
    if scene.missing:
        return Caption(figure.heading, "", tuple(facts))
    if (across := scene.positions.across) and "other" in figure.parts:
        acts = f",  acts like {number(across[0])}"
        facts = [(name, words + acts if name == "scale" else words) for name, words in facts]
    facts.append(("residual", residual_words(scene.positions)))
    if words := _noise_words(figure.parts, scene.positions.noise):
        facts.append(("noise", words))
    facts += [("note", note) for note in scene.positions.notes]
    facts.append(AXES)
    return figure.caption(facts)


def _noise_words(parts: Sequence[str], noise: float) -> str:
    if "step" in parts and noise == 0:
        return "\u03b5 = 0, the sampler adds none"
    if "step" in parts and "noise" not in parts:
        return f"of rms {number(noise)} follows, out of the plane"
    return "pale: other draws, as long, in schematic directions" if "draws" in parts else ""


def _draw(page: Page):
    lens = page.lens
    if lens:
        set_lens_outline(page, lens)
    _rays(page, page.plane, "overview")
    if lens:
        _rays(page, lens.plane, "lens", lens.frame)
    if "step" in page.parts:
        start, tip = (page.plane.at(page.places[name]) for name in ("x", "tip"))
        page.arrow((start, tip), "step", "overview-step")
        set_noise(page)
    if lens:
        for role in page.points:
            at = page.plane.at(page.places[role])
            page.canvas.marker(at, "disc", page.colour(role), 3.0, name=f"overview-{role}")
        _fan(page, lens.plane, "lens", lens.frame)
    else:
        _fan(page, page.plane, "overview")
    set_ends(page)
    set_labels(page)


def set_lens_outline(page: Page, lens: Lens):
    """The window in the overview, the frame of the lens, and what joins them."""
    window, frame, canvas = lens.window, lens.frame, page.canvas
    for side in ("x", "right"):
        page.hairline(((getattr(window, side), window.bottom), (getattr(frame, side), frame.y)))
    page.placer.lines += window.edges
    canvas.rectangle(window, None, page.theme.hair, 1.0, name="window")
    canvas.rectangle(frame, page.theme.paper, page.theme.hair, 1.0, name="frame")
    title = f"lens \u00d7{lens.gain}, equal axes"
    page.placer.obstacles.append(canvas.text((frame.x, frame.y - 20), title, 11.5, page.theme.muted, name="lens-title"))


def _rays(page: Page, plane: Plane, where: str, within: Box | None = None):
    """From the noisy sample to every prediction."""
    for role in page.points:
        ends = (plane.at((0.0, 0.0)), plane.at(page.places[role]))
        page.stroke(ends, role, f"{where}-ray-{role}", within)


def _fan(page: Page, plane: Plane, where: str, within: Box | None = None):
    """Predictions, their difference, the difference times gamma, and what other rules made of it."""
    place = {role: plane.at(page.places[role]) for role in ("x", "u", "c", "G", "D", "tip")}
    if "step" in page.parts and within:
        page.arrow((place["x"], place["tip"]), "step", "lens-step", within)
    if "scaled" in page.parts:
        page.canvas.line((place["u"], place["G"]), page.colour("scaled"), BAND, alpha=0.25, within=within)
        page.arrow((place["u"], place["G"]), "scaled", f"{where}-scaled", within)
    if "delta" in page.parts:
        page.arrow((place["u"], place["c"]), "delta", f"{where}-delta", within)
    if "D" in page.points and page.scene.positions.across:
        set_push(page, (place["c"], plane.at(page.places["along"]), place["D"]), where, within)
    elif "D" in page.points:
        page.arrow((place["G"], place["D"]), "other", f"{where}-other", within)
    for role in page.points:
        page.mark(place[role], role, f"{where}-{role}", within)


def set_push(page: Page, ends: tuple[Point, Point, Point], where: str, within: Box | None = None):
    """The push from c to D: an arrow beside the line of delta, and across to the foot of D; most leaves the plane."""
    c, along, D = ends
    dx, dy = along[0] - c[0], along[1] - c[1]
    if (size := math.hypot(dx, dy)) >= SHORT:
        aside = math.copysign(ASIDE / size, dy)
        tail, tip = ((x - dy * aside, y + dx * aside) for x, y in (c, along))
        page.arrow((tail, tip), "along", f"{where}-along", within)
    page.stroke((along, D), "across", f"{where}-across", within)


def set_ends(page: Page):
    """Where the run is, and where it will end."""
    if end := page.clean:
        page.mark(end, "end", "overview-end")
    page.mark(page.plane.at((0.0, 0.0)), "x", "overview-x")


def set_noise(page: Page):
    """The noise hinged to the tip of the step, and the next state."""
    tip, hinge, end = page.plane.at(page.places["tip"]), page.arrangement.hinge, page.end
    if hinge and end:
        if "draws" in page.parts:
            set_draws(page, tip, end)
        page.stroke((tip, end), "noise", "overview-noise")
        if hinge.cut:
            _cut_mark(page, tip, end)
    if end:
        page.mark(end, "next", "overview-next")


def set_draws(page: Plot, tip: Point, end: Point):
    """Other draws of the noise: all of one length, in directions that are only schematic."""
    length, middle = math.dist(tip, end), math.atan2(end[1] - tip[1], end[0] - tip[0])
    for turn in DRAWS:
        other = (tip[0] + length * math.cos(middle + turn), tip[1] + length * math.sin(middle + turn))
        if crosses(tip, other, page.placer.obstacles[0]) or not page.placer.area.holds(Box(*other, 0, 0)):
            continue
        page.canvas.line((tip, other), page.colour("noise"), 0.9, (3, 3), alpha=0.45, name="draw")


def _cut_mark(page: Plot, tip: Point, end: Point):
    """A double slash across the noise: its true length stands in the label."""
    length = math.dist(tip, end)
    dx, dy = (end[0] - tip[0]) / length, (end[1] - tip[1]) / length
    for at in (0.5 * length, 0.5 * length + 5):
        x, y = tip[0] + at * dx, tip[1] + at * dy
        ends = [(x - 6 * dy - 3 * dx, y + 6 * dx - 3 * dy), (x + 6 * dy + 3 * dx, y - 6 * dx + 3 * dy)]
        page.canvas.line(ends, page.theme.halo, 5.0)
        page.canvas.line(ends, page.colour("noise"), 1.6, name="cut")
