"""The classifier-free figures of the post (F12 to F15) and the step plane (D1), from one recorded step.

Where what guidance adds is too short to be seen, all of it is drawn larger by one stated factor, and the same to scale
on a line above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .canvas import SHORT, Box, Point, extent
from .caption import Caption, axes_fact, basic_facts, residual_words, step_words
from .figure import Figure
from .labels import set_labels, set_line_words
from .layout import Plane, arrange, crosses, gain_of
from .order import Drawing, Order
from .page import Page, Plot, draw_missing, tallest_box
from .palette import PENS
from .scene import Scene
from .typeset import SMALL
from .words import SYMBOLS, number, percent

DRAWS = tuple(math.radians(turn) for turn in (-42, -21, 21, 42))
ASIDE = 8.0  # pixels between the difference and an arrow along it
BAND = 6.0  # pale band under gamma times delta, so that it is seen to start where delta starts


def draw_step(order: Order, figure: Figure) -> Drawing:
    """Draw a step."""
    scene, caption = order.scene, _caption(figure, order.scene)
    if scene.missing:
        return draw_missing(order, scene, caption)
    tallest = tallest_box(order.sheet, (_caption(each, scene) for each in figure.series))
    arrangement = arrange(scene.positions, order.sheet, order.steady or "noise" in figure.parts, tallest)
    page = Page.on(order, caption, order.thumbnails, scene=scene, parts=figure.parts, arrangement=arrangement)
    _draw(page)
    return Drawing(page.canvas, caption.text, scene)


def _caption(figure: Figure, scene: Scene) -> Caption:
    facts = basic_facts(scene.facts)
    if scene.missing:
        return Caption(figure.heading, "", tuple(facts), step_words(scene.facts))
    if (across := scene.positions.across) and "other" in figure.parts:
        acts = f",  acts like {number(across[0])}"
        facts = [(name, words + acts if name == "scale" else words) for name, words in facts]
    facts.append(("residual", residual_words(scene.positions)))
    if words := _noise_words(figure.parts, scene.positions.noise):
        facts.append(("noise", words))
    facts += [("note", note) for note in scene.positions.notes]
    facts.append(axes_fact(gain_of(scene.positions), "what guidance adds"))
    return figure.caption(facts, step_words(scene.facts))


def _noise_words(parts: Sequence[str], noise: float) -> str:
    if "step" in parts and noise == 0:
        return "\u03b5 = 0, the sampler adds none"
    if "step" in parts and "noise" not in parts:
        return f"of rms {number(noise)} follows, out of the plane"
    return "pale: other draws, as long, in schematic directions" if "draws" in parts else ""


def _draw(page: Page):
    if page.line:
        _set_line(page, page.line)
    for role in page.points:
        page.stroke((page.plane.at((0.0, 0.0)), page.plane.at(page.places[role])), role, f"{page.where}-ray-{role}")
    if "step" in page.parts:
        page.arrow((page.plane.at(page.places["x"]), page.plane.at(page.places["tip"])), "step", f"{page.where}-step")
        set_noise(page)
    _fan(page)
    set_ends(page)
    set_labels(page)


def _set_line(page: Page, line: Plane):
    """Draw the step to scale, on a line above a drawing that is not."""
    real = page.scene.positions.points
    share = math.dist(real["u"], real["c"]) / math.hypot(*real["u"])
    set_line_words(page, line, f"{SYMBOLS['delta']} is {percent(share)} of the way to {SYMBOLS['u']}")
    set_gain(page, "guidance")
    for role in page.points:
        page.canvas.line((line.at(real["x"]), line.at(real[role])), page.colour(role), PENS[role].width)
    if "step" in page.parts:
        page.arrow((line.at(real["x"]), line.at(real["tip"])), "step", "overview-step")
    for role in [*page.points, "x"]:
        page.canvas.marker(line.at(real[role]), "disc", page.colour(role), 5.0, name=f"overview-{role}")


def set_gain(page: Page, what: str):
    """How many times as large as it is something is drawn."""
    words = f"below, {what} is {page.arrangement.gain} \u00d7 as large"
    at = (page.sheet.plot.right - extent(words, SMALL)[0], page.arrangement.top - 6)
    page.placer.obstacles.append(page.canvas.text(at, words, SMALL, page.theme.muted, halo=False, name="gain"))


def _fan(page: Page):
    """Predictions, their difference, the difference times gamma, and what other rules made of it."""
    place = {role: page.plane.at(page.places[role]) for role in ("u", "c", "G", "D")}
    if "scaled" in page.parts:
        page.canvas.line((place["u"], place["G"]), page.colour("scaled"), BAND, alpha=0.25)
        page.arrow((place["u"], place["G"]), "scaled", f"{page.where}-scaled")
    if "delta" in page.parts:
        page.arrow((place["u"], place["c"]), "delta", f"{page.where}-delta")
    if "D" in page.points and page.scene.positions.across:
        set_push(page, (place["c"], page.plane.at(page.places["along"]), place["D"]))
    elif "D" in page.points:
        page.arrow((place["G"], place["D"]), "other", f"{page.where}-other")
    for role in page.points:
        page.mark(place[role], role, f"{page.where}-{role}")


def set_push(page: Page, ends: tuple[Point, Point, Point]):
    """The push from c to D: an arrow beside the line of delta, and across to the foot of D; most leaves the plane."""
    c, along, D = ends
    dx, dy = along[0] - c[0], along[1] - c[1]
    if (size := math.hypot(dx, dy)) >= SHORT:
        aside = math.copysign(ASIDE / size, dy)
        tail, tip = ((x - dy * aside, y + dx * aside) for x, y in (c, along))
        page.arrow((tail, tip), "along", f"{page.where}-along")
    page.stroke((along, D), "across", f"{page.where}-across")


def set_ends(page: Page):
    """Where the run is, and where it will end."""
    if end := page.clean:
        page.mark(end, "end", f"{page.where}-end")
    page.mark(page.plane.at((0.0, 0.0)), "x", f"{page.where}-x")


def set_noise(page: Page):
    """The noise hinged to the tip of the step, and the next state."""
    tip, hinge, end = page.plane.at(page.places["tip"]), page.arrangement.hinge, page.end
    if hinge and end:
        if "draws" in page.parts:
            set_draws(page, tip, end)
        page.stroke((tip, end), "noise", f"{page.where}-noise")
        if hinge.cut:
            _cut_mark(page, tip, end)
    if end:
        page.mark(end, "next", f"{page.where}-next")


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
