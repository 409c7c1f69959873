"""The sampling figures of the post (F1 to F6): from a noisy sample over two steps, to scale, in triangles.

Three points always lie in a plane: x, the prediction D and the run's end; then x, x' and the next prediction D'.
The triangles are joined along the move from x to x', so distances from one to the other are not true.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..trace.gram import VECTORS, GramRecord, plus, point
from ..trace.trace import END, Trace
from .canvas import Box, Point
from .caption import TO_SCALE, Caption, basic_facts, step_words
from .figure import Figure
from .labels import OUTSIDE, Label, between, label, length_if_short, noisy_sample, scale_bar, set_gutter
from .layout import BESIDE, TURNS, Plane, Sheet, fit_plane
from .order import Drawing, Order
from .page import Plot, draw_missing, tallest_box
from .pull import OTHER, draw_pull, known_gradient
from .scene import Place, Scene, captured_vectors, drawable
from .step_figure import draw_step, set_draws
from .words import SYMBOLS, number

JOINED = "two triangles, joined at the move; distances across are not true"
LAST = "The last step of the run has no next one. Choose an earlier step."
LOST = "Set capture to pictures and run again."
PLAIN, CHANGED, STEERED = (  # heading, sentence and parts of a step with one prediction
    (
        "a step without guidance",
        "Only the prediction with the prompt was made here, {c}. The step goes there; there is no difference to draw.",
        ("x", "end", "c", "step", "noise", "next"),
    ),
    (
        "a step that rules changed",
        "Only the prediction with the prompt was made here, and rules changed it. The step goes to theirs, {p}.",
        ("x", "end", "p", "step", "noise", "next"),
    ),
    (
        "a step that a gradient pushed",
        "Only one prediction was made here, {u}, so there is no difference. The gradient pushes the step away from it.",
        ("plain", "gradient", "pull", "sum", "step", "noise", "draws"),
    ),
)
FIRST = ("x", "end", "p", "c", "tip")  # points of a step before its noise
SURE = 0.01  # of the way: below this share what is off the ray is rounding, not noise
HEADROOM = 60  # for the pictures of states above the highest point


@dataclass(frozen=True)
class Stage:
    """One step as lengths in rms units: |D - x|, the move along and off that ray, and the noise across it."""

    ray: float
    along: float
    off: float
    noise: float


@dataclass(frozen=True)
class Walk:
    """Two steps in one plane.

    points: x, p (c where it is that alone), tip, next, and where known end, p2, tip2, next2. why: nothing to draw.
    """

    points: Mapping[str, Place]
    noise: float = 0.0
    noise2: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Leg:
    """One step by the names of its points and vectors.

    start: point before it.
    tip: point after its deterministic part.
    end: point after its noise.
    step: vector from start to tip.
    noise: vector from tip to end.
    words: what the end is called.
    """

    start: str
    tip: str
    end: str
    step: str
    noise: str
    words: str


LEGS = (
    Leg("x", "tip", "next", "step", "noise", "next state"),
    Leg("next", "tip2", "next2", "step2", "noise2", "the one after"),
)


def walk_of(trace: Trace, step: int, sample: int) -> Walk:
    """Positions of two steps: the first ray lies on the first axis, the noise is hinged to the side of the page's top.

    The second prediction: its distances to x' and, by <x' - x, D' - x'>, to x are true.
    """
    first = _stage(trace, step, sample)
    if first is None:
        return Walk({}, why="the numbers of this step are not known")
    tip = (first.along, first.off)
    after = (tip[0], tip[1] - first.noise)
    points = {"x": (0.0, 0.0), "p": (first.ray, 0.0), "c": (first.ray, 0.0), "tip": tip, "next": after}
    points |= _end(trace, step, sample, first)
    second = _stage(trace, step + 1, sample) if step + 1 < trace.n else None
    turn = _turn(trace, step, sample, after, second) if second else None
    if second is None or turn is None:
        return Walk(points, first.noise)
    move = _rotate_from(after, turn, second.along, second.off)
    ends = {"p2": _rotate_from(after, turn, second.ray, 0.0), "tip2": move}
    ends["next2"] = _rotate_from(move, turn, 0.0, -second.noise)
    return Walk(points | ends, first.noise, second.noise)


def _stage(trace: Trace, step: int, sample: int) -> Stage | None:
    """Lengths of one step, from its inner products or, where u is unknown, from the captured states."""
    record = GramRecord(trace.record.vectors, trace.record.K[step, sample]).part(VECTORS)
    scale = trace.count**-0.5
    if not drawable(record.K):
        return _stage_of_states(trace, step, sample)
    ray = plus(point("D", float(trace.steps["gamma"][step])), point("x"), -1.0)
    length = float(record.square(ray).sqrt())
    along = float(record.combination({"move": 1.0}, ray)) / (length or 1.0)
    off = math.sqrt(max(float(record.square({"move": 1.0})) - along**2, 0.0))
    return Stage(length * scale, along * scale, off * scale, float(record.square({"noise": 1.0}).sqrt()) * scale)


def _stage_of_states(trace: Trace, step: int, sample: int) -> Stage | None:
    """What is off the ray counts as noise: the states alone cannot tell."""
    vectors, after = captured_vectors(trace, ("x", "guided"), step, sample), _state(trace, step + 1, sample)
    if vectors is None or after is None:
        return None
    ray, travel, scale = vectors[1] - vectors[0], after - vectors[0], trace.count**-0.5
    length = float(ray.norm())
    along = float(travel @ ray) / (length or 1.0)
    off = math.sqrt(max(float(travel @ travel) - along**2, 0.0))
    noise = off if off > SURE * float(travel.norm()) else 0.0
    return Stage(length * scale, along * scale, 0.0, noise * scale)


def _state(trace: Trace, step: int, sample: int) -> torch.Tensor | None:
    vectors = captured_vectors(trace, ("x",) if step < trace.n else (END,), step, sample)
    return vectors[0] if vectors else None


def _end(trace: Trace, step: int, sample: int, first: Stage) -> dict[str, Place]:
    """The run's end at its true distances from x and from the prediction, below the ray."""
    vectors = captured_vectors(trace, ("x", "guided", END), step, sample)
    if vectors is None or first.ray == 0:
        return {}
    ray, end = vectors[1] - vectors[0], vectors[2] - vectors[0]
    along = float(end @ ray / ray.norm())
    across = math.sqrt(max(float(end @ end) - along**2, 0.0))
    return {"end": (along * trace.count**-0.5, across * trace.count**-0.5)}


def _turn(trace: Trace, step: int, sample: int, after: Place, second: Stage) -> float | None:
    """Direction of the second ray, an angle in the plane, on the side of the first prediction."""
    inner = float(trace.column("M9a")[step, sample]) / trace.count
    if math.isnan(inner):
        now, then = (
            captured_vectors(trace, ("x",), step, sample),
            captured_vectors(trace, ("x", "guided"), step + 1, sample),
        )
        if now is None or then is None:
            return None
        inner = float((then[0] - now[0]) @ (then[1] - then[0])) / trace.count
    travel = math.hypot(*after)
    if travel == 0 or second.ray == 0:
        return 0.0
    return math.atan2(after[1], after[0]) + math.acos(max(-1.0, min(1.0, inner / (travel * second.ray))))


def _rotate_from(start: Place, turn: float, along: float, across: float) -> Place:
    """start + along e + across n, where e has the angle `turn` and n is a right angle further."""
    c, s = math.cos(turn), math.sin(turn)
    return (start[0] + along * c - across * s, start[1] + along * s + across * c)


def walk_pictures(order: Order) -> dict[str, np.ndarray]:
    """Thumbnails of two steps, by the roles of these figures."""
    shown, after = order.thumbnails, order.scene.facts.step + 1
    by_role = {role: shown.get(role) for role in ("x", "c", "next", "end")} | {"p": shown.get("D")}
    if after < order.trace.n:
        later = order.at(after)
        by_role |= {"p2": later.get("D"), "next2": later.get("next")}
    return {role: picture for role, picture in by_role.items() if picture is not None}


def draw_walk(order: Order, figure: Figure) -> Drawing:
    """Draw two steps to scale, as far as the figure goes."""
    scene = order.scene
    walk, parts = walk_of(order.trace, scene.facts.step, scene.facts.sample), figure.parts
    why, advice = walk.why, LAST if scene.facts.step + 1 >= scene.facts.steps else LOST
    if why and order.trace.stage[scene.facts.step] not in ("cond_only", "skip"):
        why, advice = scene.missing, scene.advice
    why = why or ("no next prediction" if "p2" in parts and "p2" not in walk.points else "")
    caption = _caption(figure, scene, walk)
    if why:
        bare = replace(caption, sentence="", facts=tuple(basic_facts(scene.facts)))
        return draw_missing(order, replace(scene, missing=why, advice=advice), bare)
    faint = frozenset({"p"} if "next" in parts else ())
    plot = Plot.on(order, caption, walk_pictures(order), faint_names=faint)
    area = order.sheet.above(tallest_box(order.sheet, (_caption(each, scene, walk) for each in figure.series)))
    near = not order.steady and "noise" not in parts
    shown = [place for name, place in walk.points.items() if not near or name in FIRST]
    _draw(plot, walk, parts, area, fit_plane(shown, _room(area, order.sheet), TURNS))
    return Drawing(plot.canvas, caption.text, scene)


def draw_guided(order: Order, figure: Figure) -> Drawing:
    """Draw a guided step; where only c was made and the figure shows the step, the step towards c."""
    step, sample = order.scene.facts.step, order.scene.facts.sample
    alone = order.trace.stage[step] == "cond_only" and order.scene.missing and "step" in figure.parts
    if not alone or walk_of(order.trace, step, sample).why:
        return draw_step(order, figure)
    record = GramRecord(order.trace.record.vectors, order.trace.record.K[step, sample])
    by_classifier = pushed(record) and known_gradient(order.trace, record)
    heading, sentence, parts = STEERED if by_classifier else CHANGED if pushed(record) else PLAIN
    shown = replace(figure, heading=heading, sentence=sentence, parts=parts)
    return (draw_pull if by_classifier else draw_walk)(order, replace(shown, series=(shown,)))


def pushed(record: GramRecord) -> bool:
    """Whether rules or gradients moved the one prediction of a step, by more than rounding."""
    return bool(record.dot("D-G", "D-G") > OTHER**2 * record.dot("a", "a"))


def _caption(figure: Figure, scene: Scene, walk: Walk) -> Caption:
    facts = basic_facts(scene.facts)
    if "noise" in figure.parts:
        words = f"rms {number(walk.noise)}, turned into the plane; pale: other draws, schematic"
        facts.append(("noise", words if walk.noise else "\u03b5 = 0, the sampler adds none"))
    if "end" in walk.points:
        towards = SYMBOLS["c" if "c" in figure.parts else "p"]
        facts.append(("end", f"true distances to {SYMBOLS['x']} and {towards} only"))
    if "p2" in figure.parts:
        facts.append(("note", JOINED))
    facts.append(("axes", TO_SCALE))
    return figure.caption(facts, step_words(scene.facts))


def _room(area: Box, sheet: Sheet) -> Box:
    """Where the points may stand: with room for the pictures of states above, and of x_t on the right."""
    left = sheet.gutter + BESIDE
    return Box(area.x + left, area.y + HEADROOM, area.w - left - sheet.margin, area.h - HEADROOM - 30)


def _draw(plot: Plot, walk: Walk, parts: Sequence[str], area: Box, plane: Plane):
    """The parts of the two steps, in the layout of both; those before any noise have one of their own."""
    at = {name: plane.at(place) for name, place in walk.points.items()}
    for role in {"p", "c"}.intersection(parts):
        plot.stroke((at["x"], at[role]), role, f"overview-ray-{role}")
    if "end" in at:
        plot.stroke((at["x"], at["end"]), "end", "overview-ray-end")
    if "p2" in parts:
        plot.stroke((at["next"], at["p2"]), "p2", "overview-ray-p2")
    for leg in (leg for leg in LEGS if leg.step in parts):
        _move(plot, at, leg, getattr(walk, leg.noise) if leg.noise in parts else 0.0)
    for role in (role for role in parts if role in at):
        plot.mark(at[role], role, f"overview-{role}")
    _labels(plot, walk, at, parts, area)
    scale_bar(plot, plane, "overview", area)


def _move(plot: Plot, at: Mapping[str, Point], leg: Leg, noise: float):
    """A step and the noise at its tip."""
    if noise:
        set_draws(plot, at[leg.tip], at[leg.end])
        plot.stroke((at[leg.tip], at[leg.end]), leg.noise, f"overview-{leg.noise}")
    plot.arrow((at[leg.start], at[leg.tip]), leg.step, f"overview-{leg.step}")


def _labels(plot: Plot, walk: Walk, at: Mapping[str, Point], parts: Sequence[str], area: Box):
    noisy_sample(plot, at["x"], area, lift=0.75)
    column = [role for role in ("p2", "c" if "c" in parts else "p", "end") if role in at]
    set_gutter(plot, column, [at[role] for role in column], area, parts)
    legs = [leg for leg in LEGS if leg.step in parts]
    for leg in legs:
        if leg.end in parts:
            label(plot, at[leg.end], Label(leg.end, leg.words), "n ne nw e s")
    for leg in legs:
        length = math.dist(walk.points[leg.start], walk.points[leg.tip])
        words = length_if_short(at[leg.start], at[leg.tip], length)
        label(plot, between(at[leg.start], at[leg.tip]), Label(leg.step, words), "s se sw n", area)
        noise = getattr(walk, leg.noise)
        if noise and leg.noise in parts:
            what = Label(
                leg.noise, *((f"noise, rms {number(noise)}", OUTSIDE) if leg is LEGS[0] else (f"rms {number(noise)}",))
            )
            label(plot, between(at[leg.tip], at[leg.end]), what, "w nw e ne", area)
