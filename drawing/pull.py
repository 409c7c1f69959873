"""The classifier figures of the post (F8 to F11, F16): the step, the gradient, and their sum, in units of the state.

    kappa (u - x) + kappa gamma g = kappa (D - x)

The post adds the gradient to the small step; to scale both sides are multiplied by kappa = dx'/dD. g is the record's
vector named "gradient...", in units of a prediction. A run without a classifier shows the implied one: g = delta.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..guidance.gram import VECTORS, GramRecord, frame
from ..guidance.trace import Trace
from .canvas import SHORT, Box, Canvas, Point
from .caption import Caption, basic_facts, caption_box, residual_words, set_caption
from .labels import OUTSIDE, between, label, length_if_short, noisy_sample, scale_bar, set_end, set_gutter
from .layout import EDGE, SHEETS, Placer, Plane, arrange
from .page import BEFORE, PULL, Page
from .palette import THEMES
from .scene import Scene, scene_of
from .step_figure import (
    BAND,
    SIZES,
    THUMB,
    Drawing,
    check_choices,
    cut_mark,
    set_draws,
    set_lens_outline,
    set_nothing,
)
from .words import SYMBOLS, number

SENTENCES = {
    "sample alone": ("a noisy sample", "The run is at {x}; where it will end nobody knows yet."),
    "one prediction": ("predict the clean image", "From {x} the network predicts {u}, without the condition."),
    "gradient": (
        "calculate the gradient",
        "Where from {x} the condition grows more likely, as the classifier sees it.",
    ),
    "combined": ("combine directions", "Step and gradient add up: the sampler goes along their sum."),
    "scaled gradient": ("scale by \u03b3", "The gradient is multiplied by the scale."),
    "scaled sum": ("combine directions", "The step and \u03b3 times the gradient add up."),
    "gradient and noise": ("add some noise", "As much as the sampler asks for, in a direction of its own."),
}
UNKNOWN = "how far a step follows the prediction is unknown"
ONE_STAGE = "Samplers with one evaluation a step, such as euler or ddpm, tell. Choose one of them."


@dataclass(frozen=True)
class Pull:
    """The scene with its points renamed: u, c, G are the ends of the step without, with once, and with gamma times g.

    kappa: dx'/dD of this step. gradient: kappa g in rms units. implied: g is the difference of two predictions.
    """

    scene: Scene
    kappa: float
    gradient: Point
    implied: bool


def pull_of(trace: Trace, step: int | None, sample: int | None) -> Pull:
    """Read the step and its gradient out of a trace."""
    scene, names = scene_of(trace, step, sample), trace.record.vectors
    kappa = float(trace.steps["kappa"][scene.step])
    given = next((name for name in names if name.startswith("gradient")), None)
    record = GramRecord(names, trace.record.K[scene.step, scene.sample])
    scale = scene.gamma
    if given:
        record = _with_gradient(record, given)
        scale = float(record.dot("D-G", "delta") / record.dot("delta", "delta"))
        scene = replace(scene, missing="", points={"x": (0.0, 0.0)}, gamma=scale, end=None, other=0.0)
    if not scene.missing and math.isnan(kappa):
        scene = replace(scene, missing=UNKNOWN, advice=ONE_STAGE)
    if not scene.missing and not record.K.isfinite().all():
        scene = replace(scene, missing="values at this step are not known", advice="Choose another step.")
    if scene.missing:
        return Pull(scene, kappa, (0.0, 0.0), not given)
    return _placed(scene, record, (kappa, scale, trace.count**-0.5), not given)


def _with_gradient(record: GramRecord, name: str) -> GramRecord:
    """The same record with the gradient in the place of the difference."""
    order = [record.vectors.index(name if vector == "delta" else vector) for vector in VECTORS]
    rows, columns = torch.triu_indices(len(order), len(order))
    return GramRecord(VECTORS, record.matrix()[..., order, :][..., :, order][..., rows, columns])


def _placed(scene: Scene, record: GramRecord, factors: tuple[float, float, float], implied: bool) -> Pull:
    kappa, gamma, unit = factors
    found = frame(record, gamma)
    place = {name: tuple(float(v) * unit for v in found.points[name]) for name in ("u", "c", "tip")}
    gradient = tuple(kappa * (c - u) for u, c in zip(place["u"], place["c"], strict=True))
    tip = place["tip"]
    plain = (tip[0] - gamma * gradient[0], tip[1] - gamma * gradient[1])
    once = (plain[0] + gradient[0], plain[1] + gradient[1])
    corner = (gamma * gradient[0], gamma * gradient[1])
    points = {
        "x": (0.0, 0.0),
        "corner": corner,
        "ahead": place["u"],
        "u": plain,
        "c": once,
        "G": tip,
        "D": tip,
        "tip": tip,
    }
    noise = float(record.square({"noise": 1.0}).sqrt()) * unit
    along, across = gradient
    return Pull(replace(scene, points=points, noise=noise, other=0.0), kappa, (along, across), implied)


def draw_pull(
    trace: Trace,
    figure: str = "scaled sum",
    *,
    step: int | None = None,
    sample: int | None = None,
    size: str = "blog",
    theme: str = "light",
    pictures: Mapping[str, np.ndarray] | None = None,
    steady: bool = False,
) -> Drawing:
    """Draw one of PULL, or of BEFORE in the same plane. steady: keep room for the noise in every figure."""
    check_choices(figure=(figure, PULL + BEFORE), size=(size, SIZES), theme=(theme, tuple(THEMES)))
    pull, sheet = pull_of(trace, step, sample), SHEETS[size]
    canvas = Canvas(sheet.width, sheet.height, THEMES[theme], sheet.unit)
    caption = _caption(figure, pull)
    box = caption_box(sheet.caption, caption)
    if pull.scene.missing:
        set_nothing(canvas, pull.scene.missing, pull.scene.advice)
    else:
        boxes = [caption_box(sheet.caption, _caption(name, pull)) for name in PULL]
        with_noise = steady or figure == "gradient and noise"
        arrangement = arrange(pull.scene, sheet, with_noise, max(boxes, key=lambda other: other.h))
        if figure in BEFORE:
            arrangement = replace(arrangement, lens=None)
        placer = Placer(Box(0, 0, sheet.width, sheet.height).grown(-6), taken=[box.grown(8)])
        shown = {**pictures, "ahead": pictures["u"]} if pictures and "u" in pictures else pictures or {}
        side = min(THUMB, sheet.margin - 26)
        page = Page(canvas, sheet, placer, shown, side, pull.scene, figure, arrangement)
        _draw(page, pull)
        _labels(page, pull)
    set_caption(canvas, box, caption)
    return Drawing(canvas, caption.text, pull.scene)


def _caption(figure: str, pull: Pull) -> Caption:
    heading, sentence = SENTENCES[figure]
    scene, facts = pull.scene, basic_facts(pull.scene)
    if pull.implied and figure in PULL:
        heading += " (implied classifier)"
    if scene.missing:
        return Caption(heading, "", tuple(facts))
    facts.append(("residual", residual_words(scene)))
    if figure in PULL:
        what = f"{SYMBOLS['delta']}, as no classifier was used" if pull.implied else "of the classifier"
        facts.append(("gradient", f"{what}; per step, \u00d7 \u03ba = {number(pull.kappa)}"))
    if figure == "gradient and noise":
        words = "pale: other draws, as long, schematic" if scene.noise else "\u03b5 = 0, the sampler adds none"
        facts.append(("noise", words))
    facts.append(("axes", f"to scale, equal, in rms; the ray to {SYMBOLS['u']} is level by construction"))
    return Caption(heading, sentence.format(**SYMBOLS), tuple(facts))


def _draw(page: Page, pull: Pull):
    lens, points = page.lens, page.scene.points
    if lens:
        set_lens_outline(page, lens)
    near, within = page.near_plane, lens.frame if lens else None
    if "sample" not in page.parts:
        page.stroke((page.plane.at((0.0, 0.0)), page.plane.at(points["ahead"])), "ahead", "overview-ray-ahead")
        page.mark(page.plane.at(points["ahead"]), "ahead", "overview-ahead")
    _arrows(page, page.plane, "overview")
    if lens:
        _arrows(page, near, "lens", within)
    _gradients(page, pull, near, within)
    if "step" in page.parts:
        _noise(page)
    if end := page.clean:
        page.mark(end, "end", "overview-end")
    page.mark(page.plane.at((0.0, 0.0)), "x", "overview-x")


def _arrows(page: Page, plane: Plane, where: str, within: Box | None = None):
    """The step without the gradient and the sums."""
    points, start = page.scene.points, plane.at((0.0, 0.0))
    for part, end in (("plain", "u"), ("combined", "c"), ("sum", "G")):
        if part in page.parts:
            role = "plain" if part == "plain" else "sum"
            page.arrow((start, plane.at(points[end])), role, f"{where}-{part}", within)


def _gradients(page: Page, pull: Pull, near: Plane, within: Box | None):
    """The gradient at the tip of the step, and at x_t where it is long enough to be an arrow."""
    points, where = page.scene.points, "lens" if within else "overview"
    for part, end, factor in (("gradient", "c", 1.0), ("pull", "G", page.scene.gamma)):
        if part not in page.parts:
            continue
        ends = (near.at(points["u"]), near.at(points[end]))
        if part == "gradient":
            page.canvas.line((ends[0], ends[1]), page.colour(part), BAND, alpha=0.25, within=within)
        page.arrow(ends, part, f"{where}-{part}", within)
        tip = (pull.gradient[0] * factor, pull.gradient[1] * factor)
        start, stop = page.plane.at((0.0, 0.0)), page.plane.at(tip)
        if math.dist(start, stop) >= SHORT:
            page.arrow((start, stop), part, f"origin-{part}")
            page.canvas.line((stop, page.plane.at(points[end])), page.theme.hair, 1.0, (4, 3), name="side")


def _noise(page: Page):
    tip, hinge, end = page.plane.at(page.scene.points["tip"]), page.arrangement.hinge, page.end
    if hinge and end:
        set_draws(page, tip, end)
        page.stroke((tip, end), "noise", "overview-noise")
        if hinge.cut:
            cut_mark(page, tip, end)
    if end:
        page.mark(end, "next", "overview-next")


def _labels(page: Page, pull: Pull):
    noisy_sample(page, page.plane.at((0.0, 0.0)), page.overview)
    ahead = page.plane.at(page.scene.points["ahead"])
    if "sample" not in page.parts:
        if ahead[0] < page.sheet.gutter + 20:
            left = Box(EDGE, EDGE, ahead[0] + 90, page.sheet.overview.bottom)
            label(page, ahead, "ahead", "prediction", "nw n sw s w", left)
        else:
            set_gutter(page, ["ahead"], [ahead], page.sheet.plot, ["ahead"])
    if page.clean:
        set_end(page, page.clean)
    _gradient_labels(page)
    _step_labels(page)
    scale_bar(page, page.plane, "overview", page.sheet.overview if page.lens else page.sheet.plot)
    if page.lens:
        scale_bar(page, page.lens.plane, "lens", page.lens.frame)


def _gradient_labels(page: Page):
    near, points, area = page.near_plane, page.scene.points, page.lens.frame if page.lens else None
    at = {name: near.at(points[name]) for name in ("u", "c", "G")}
    for part, end in (("pull", "G"), ("gradient", "c")):
        if part in page.parts:
            length = math.dist(points["u"], points[end])
            start = at["c"] if part == "pull" and page.scene.gamma > 1 else at["u"]
            words = length_if_short(at["u"], at[end], length)
            label(page, between(start, at[end]), part, words, "w e nw sw", area)


def _step_labels(page: Page):
    plane, points, area, hinge = page.plane, page.scene.points, page.overview, page.arrangement.hinge
    start = plane.at((0.0, 0.0))
    for part, end in (("plain", "u"), ("combined", "c"), ("sum", "G")):
        if part in page.parts:
            label(
                page,
                between(start, plane.at(points[end])),
                "plain" if part == "plain" else "sum",
                "",
                "n s ne se",
                area,
            )
    if page.end:
        label(page, page.end, "next", "next state", "s se sw e" if hinge else "n nw ne s", area)
    if hinge and page.end:
        words = f"noise, rms {number(page.scene.noise)}" + (", shortened" if hinge.cut else "")
        label(page, between(plane.at(points["tip"]), page.end), "noise", words, "w e sw se", area, OUTSIDE)
