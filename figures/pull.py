"""The classifier figures of the post (F8 to F11, F16): the step, the gradient, and their sum, in units of the state.

    kappa (P - x) + kappa w g = kappa (D - x)

The post adds the gradient to the small step; to scale both sides are multiplied by kappa = dx'/dD. g is the gradient of
a term that guides, in units of a prediction; P is the prediction without it, w its weight. A step that has no gradient
on record shows the implied classifier's: g = delta, P = u, w = gamma.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

from ..trace.gram import VECTORS, GramRecord, frame, plus, point
from ..trace.metrics import gradient_direction, gradient_to_difference
from ..trace.trace import Trace
from .canvas import SHORT, Point
from .caption import Caption, axes_fact, basic_facts, residual_words, step_words
from .figure import Figure
from .labels import (
    Label,
    between,
    label,
    length_if_short,
    next_label,
    noise_label,
    noisy_sample,
    plane_bar,
    set_end,
    set_gutter,
    set_line_words,
)
from .layout import Plane, arrange, gain_of
from .order import Drawing, Order
from .page import Page, draw_missing, tallest_box
from .palette import PENS
from .pictures import Greyed, grey_words
from .scene import Scene, plain_view, scene_of
from .step_figure import BAND, set_ends, set_gain, set_noise
from .words import SYMBOLS, number, percent

ZERO = "the gradient is zero at this step"
UNKNOWN = "how far a step follows the prediction is unknown"
OTHER_SAMPLER = "Choose another sampler; of ComfyUI's own this is known of all but dpm_adaptive."
STEPS = (("plain", "u", "plain"), ("combined", "c", "sum"), ("sum", "G", "sum"))  # part, where it ends, its role
GRADIENTS = (("gradient", "c"), ("pull", "G"))  # part, where it ends
OTHER = 1e-6  # of the ray: below this, what is left of D is rounding


@dataclass(frozen=True)
class Pull:
    """The scene with its points renamed: u, c, G are the ends of the step without, with once, and with w times g.

    scene: the step.
    kappa: dx'/dD of this step.
    gradient: kappa g in the plane, in rms units.
    by_difference: g is the difference of two predictions.
    agreement: cos(g, delta) and |g| / |delta| (M18); None where one of them is unknown or zero.
    other: rms of what other rules added to the prediction without the gradient.
    """

    scene: Scene
    kappa: float
    gradient: Point = (0.0, 0.0)
    by_difference: bool = False
    agreement: tuple[float, float] | None = None
    other: float = 0.0


def pull_of(trace: Trace, step: int | None, sample: int | None) -> Pull:
    """Read the step and its gradient out of a trace."""
    chosen = scene_of(trace, step, sample)
    record = GramRecord(trace.record.vectors, trace.record.K[chosen.facts.step, chosen.facts.sample])
    kappa, gamma = (float(trace.steps[name][chosen.facts.step]) for name in ("kappa", "gamma"))
    name = known_gradient(trace, record)
    view = partial(gradient_view, name) if name else plain_view
    scene = scene_of(trace, chosen.facts.step, chosen.facts.sample, view)
    agreement = _agreement(record, name) if name else None
    pull = Pull(
        scene, kappa, by_difference=name is None, agreement=agreement, other=scene.positions.other if name else 0.0
    )
    if name and record.dot(name, name) == 0:
        return replace(pull, scene=replace(scene, missing=ZERO, advice="Choose another step."))
    if not scene.missing and math.isnan(kappa):
        return replace(pull, scene=replace(scene, missing=UNKNOWN, advice=OTHER_SAMPLER))
    if scene.missing:
        return pull
    seen, weight = view(record, gamma)
    return replace(pull, **_place_pull(scene, seen, (kappa, weight, trace.count**-0.5)))


def known_gradient(trace: Trace, record: GramRecord) -> str | None:
    """The first term whose gradient is known at this step.  record: of the step."""
    guide = (term.name for term in trace.terms if term.guides)
    return next((name for name in guide if bool(record.dot(name, name).isfinite())), None)


def gradient_view(name: str, record: GramRecord, gamma: float) -> tuple[GramRecord, float]:
    """A view of the scene: a gradient in the place of delta, and in the place of u the prediction without it.

    P = u + gamma delta    w = <D - P, g> / <g, g>    the rest of D - P stays "D-G"
    """
    plain = {"u": 1.0} if gamma == 0 or record.dot("delta", "delta").isnan() else point("G", gamma)
    weight = float(record.dot("D-G", name) / record.dot(name, name))
    ray = plus(plain, point("x"), -1.0)
    order = (plain, ray, {name: 1.0}, {"D-G": 1.0, name: -weight}, {"move": 1.0}, {"noise": 1.0})
    pairs = [record.combination(v, w) for k, v in enumerate(order) for w in order[k:]]
    return GramRecord(VECTORS, record.K.new_tensor(pairs)), weight


def _agreement(record: GramRecord, name: str) -> tuple[float, float] | None:
    """M18 of the recorded gradient."""
    cosine, ratio = float(gradient_direction(record, name)), float(gradient_to_difference(record, name))
    return None if math.isnan(cosine) else (cosine, ratio)


def _place_pull(scene: Scene, record: GramRecord, factors: tuple[float, float, float]) -> dict:
    """Where the step ends without the gradient, with it once, and with w times it; the scene and kappa g."""
    kappa, weight, unit = factors
    places = frame(record, weight)
    place = {name: tuple(float(v) * unit for v in places.points[name]) for name in ("u", "c", "tip")}
    along, across = (kappa * (c - u) for u, c in zip(place["u"], place["c"], strict=True))
    tip, corner = place["tip"], (weight * along, weight * across)
    plain = (tip[0] - corner[0], tip[1] - corner[1])
    ends = {"u": plain, "c": (plain[0] + along, plain[1] + across), "G": tip, "D": tip, "tip": tip}
    points = {"x": (0.0, 0.0), "corner": corner, "ahead": place["u"], **ends}
    return {
        "scene": replace(scene, positions=replace(scene.positions, points=points, other=0.0)),
        "gradient": (along, across),
    }


def draw_pull(order: Order, figure: Figure) -> Drawing:
    """Draw a step and its gradient."""
    pull = pull_of(order.trace, order.step, order.sample)
    scene, caption = pull.scene, _caption(figure, pull, order.change)
    if scene.missing:
        return draw_missing(order, scene, caption)
    tallest = tallest_box(order.sheet, (_caption(each, pull, order.change) for each in figure.series))
    arrangement = arrange(scene.positions, order.sheet, order.steady or "noise" in figure.parts, tallest)
    shown = dict(order.thumbnails)
    if "u" in shown:
        shown["ahead"] = shown["u"]
    if order.change:
        shown["gradient"] = order.change.pictures[0].numpy()
    page = Page.on(order, caption, shown, scene=scene, parts=figure.parts, arrangement=arrangement)
    _draw(page, pull)
    _labels(page, pull)
    return Drawing(page.canvas, caption.text, scene)


def _caption(figure: Figure, pull: Pull, change: Greyed | None) -> Caption:
    scene, facts = pull.scene, basic_facts(pull.scene.facts)
    if pull.by_difference and "gradient" in figure.parts:
        figure = replace(figure, heading=f"{figure.heading} (implied classifier)")
    if scene.missing:
        return Caption(figure.heading, "", tuple(facts), step_words(scene.facts))
    facts.append(("residual", residual_words(scene.positions)))
    if "gradient" in figure.parts:
        facts += _gradient_facts(pull)
        if change:
            facts.append(("picture", grey_words(change, "its change")))
    if "noise" in figure.parts:
        words = (
            "pale: other draws, as long, schematic" if scene.positions.noise else "\u03b5 = 0, the sampler adds none"
        )
        facts.append(("noise", words))
    facts.append(axes_fact(gain_of(scene.positions), "the gradient"))
    return figure.caption(facts, step_words(scene.facts))


def _gradient_facts(pull: Pull) -> list[tuple[str, str]]:
    what = f"{SYMBOLS['delta']}, none is on record" if pull.by_difference else "on record"
    facts = [("gradient", f"{what}; \u00d7 \u03ba = {number(pull.kappa)}")]
    if pull.agreement:
        cosine, ratio = (number(value) for value in pull.agreement)
        facts.append(("beside", f"{SYMBOLS['delta']}: cosine {cosine}, ratio of lengths {ratio}"))
    if pull.other > OTHER * math.hypot(*pull.scene.positions.points["ahead"]):
        facts.append(("rules", f"others add rms {number(pull.other)} to the step without the gradient"))
    return facts


def _draw(page: Page, pull: Pull):
    points, start = page.places, page.plane.at((0.0, 0.0))
    if page.line:
        _set_line(page, page.line)
    if "sample" not in page.parts:
        page.stroke((start, page.plane.at(points["ahead"])), "ahead", f"{page.where}-ray-ahead")
        page.mark(page.plane.at(points["ahead"]), "ahead", f"{page.where}-ahead")
    for part, end, role in STEPS:
        if part in page.parts:
            page.arrow((start, page.plane.at(points[end])), role, f"{page.where}-{part}")
    _gradients(page, pull)
    if "step" in page.parts:
        set_noise(page)
    set_ends(page)


def _set_line(page: Page, line: Plane):
    """Draw the step to scale, on a line above a drawing that is not."""
    real = page.scene.positions.points
    start, step = line.at(real["x"]), math.hypot(*real["u"])
    share = percent(math.dist(real["u"], real["c"]) / step)
    set_line_words(page, line, f"gradient: {share} of the step")
    set_gain(page, "the gradient")
    page.canvas.line((start, line.at(real["ahead"])), page.colour("ahead"), PENS["ahead"].width)
    page.canvas.marker(line.at(real["ahead"]), "disc", page.colour("ahead"), 5.0, name="overview-ahead")
    for part, end, role in STEPS:
        if part in page.parts:
            page.arrow((start, line.at(real[end])), role, f"overview-{part}")
    page.canvas.marker(start, "disc", page.colour("x"), 5.0, name="overview-x")


def _gradients(page: Page, pull: Pull):
    """The gradient at the tip of the step, and at x_t, where both make a parallelogram of it."""
    points, at = page.places, page.plane.at
    for part, end in (pair for pair in GRADIENTS if pair[0] in page.parts):
        factor = page.arrangement.gain * (page.scene.facts.gamma if part == "pull" else 1.0)
        ends = (at(points["u"]), at(points[end]))
        if part == "gradient":
            page.canvas.line(ends, page.colour(part), BAND, alpha=0.25)
        page.arrow(ends, part, f"{page.where}-{part}")
        start, stop = at((0.0, 0.0)), at((pull.gradient[0] * factor, pull.gradient[1] * factor))
        if math.dist(start, stop) >= SHORT:
            page.arrow((start, stop), part, f"origin-{part}")
            page.canvas.line((stop, ends[1]), page.theme.hair, 1.0, (4, 3), name="side")


def _labels(page: Page, pull: Pull):
    noisy_sample(page, page.plane.at((0.0, 0.0)), page.room)
    if "sample" not in page.parts:
        set_gutter(page, ["ahead"], [page.plane.at(page.places["ahead"])], page.room, ["ahead"])
    if page.clean:
        set_end(page, page.clean)
    _gradient_labels(page)
    _step_labels(page)
    plane_bar(page)


def _gradient_labels(page: Page):
    points, area = page.places, page.room
    at = {name: page.plane.at(points[name]) for name in ("u", "c", "G")}
    for part, end in reversed(GRADIENTS):
        if part in page.parts:
            length = math.dist(page.scene.positions.points["u"], page.scene.positions.points[end])
            start = at["c"] if part == "pull" and page.scene.facts.gamma > 1 else at["u"]
            words = length_if_short(at["u"], at[end], length)
            label(page, between(start, at[end]), Label(part, words), "w e nw sw", area)


def _step_labels(page: Page):
    plane, points = page.plane, page.places
    for part, end, role in STEPS:
        if part in page.parts:
            middle = between(plane.at(points["x"]), plane.at(points[end]))
            label(page, middle, Label(role), "n s ne se", page.room)
    next_label(page)
    noise_label(page)
