"""What classifiers say of a run, step by step (D12), and their gradient beside the difference of predictions (M18)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..guidance.printing import nth
from ..trace.gram import GramRecord
from ..trace.metrics import gradient_direction
from ..trace.terms import GUIDES, MEASURES
from ..trace.trace import Trace
from .canvas import Box, Canvas
from .caption import caption_box, sample_fact, set_caption
from .figure import Figure
from .order import Drawing, Order
from .page import draw_missing
from .palette import Theme
from .scene import run_words
from .step_curves import Plot, ends_of, set_axes, set_band, set_line, set_marks, set_names
from .words import SYMBOLS, number

SHORT = 40.0  # width of a name beside a small plot
MOST_LINES = 8  # other samples drawn as lines; beyond, their middle 80 % as a band
WIDE = (Box(76, 44, 656, 160), Box(76, 292, 350, 112), Box(544, 292, 350, 112))
NARROW = (Box(72, 48, 326, 210), Box(72, 356, 180, 160), Box(352, 356, 180, 160))
SURE, DOUBTFUL = 0.9, 0.6  # the one that guides, and the one that watches: the picture may fool a single network
DECADES = 5  # of the lengths; what is shorter than that is left out
NOBODY = "no classifier was asked in this run"
CONNECT = "Connect Classifier Guidance or Watch an Energy to the sampler's guidance."


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps.  values: [steps, samples]. style: its place in `styles`. role: of a term."""

    name: str
    values: Tensor
    style: int = 0
    role: str = ""

    @property
    def label(self) -> str:
        """The name of the curve on the page."""
        return f"{self.name}: {self.role}" if self.role else self.name


def styles(theme: Theme) -> list[tuple[str, str, tuple[float, ...] | None]]:
    """Colour, marker and dash: of those that guide first, then of those that only measure."""
    return [
        (theme.guided, "diamond", None),
        (theme.ink, "disc", (6, 4)),
        (theme.uncond, "square", (2, 3)),
        (theme.noise, "triangle", (7, 2, 2, 2)),
    ]


def curves_of(trace: Trace) -> list[Curve]:
    """log p of every energy that was asked, those that guide first."""
    terms = [term for term in trace.terms if term.column in trace.steps]
    return [Curve(term.name, trace.steps[term.column], k, term.role) for k, term in enumerate(terms)]


def beside(trace: Trace) -> tuple[Tensor, Tensor, Tensor] | None:
    """cos(g, delta), rms of g and of delta, each [steps, samples], nan where unknown; None without a gradient."""
    name = next((term.name for term in trace.terms if term.guides), None)
    if name is None:
        return None
    record = trace.record
    g, delta = (_length(record, v) for v in (name, "delta"))
    unit = trace.count**-0.5
    return gradient_direction(record, name), g * unit, delta * unit


def _length(record: GramRecord, name: str) -> Tensor:
    square = record.dot(name, name)
    return torch.where(square > 0, square, torch.nan).sqrt()


def draw_classifier_curves(order: Order, figure: Figure) -> Drawing:
    """The curves of a run: probabilities above, the gradient against the difference below."""
    trace, scene = order.trace, order.scene
    curves, judges = curves_of(trace), beside(trace)
    caption = figure.caption(_facts(order, curves, judges), run_words(trace))
    if not curves:
        return draw_missing(order, replace(scene, missing=NOBODY, advice=CONNECT), caption)
    canvas, boxes = order.canvas(), WIDE if order.sheet.width > 700 else NARROW
    set_caption(canvas, caption_box(order.sheet.caption, caption), caption)
    _sure(canvas, order, curves, boxes[0])
    if judges:
        _beside(canvas, order, judges, boxes[1:])
    return Drawing(canvas, caption.text, scene)


def _facts(order: Order, curves: list[Curve], judges: tuple[Tensor, ...] | None) -> list[tuple[str, str]]:
    step, sample = order.scene.facts.step, order.scene.facts.sample
    facts = [("run", run_words(order.trace)), sample_fact(order.scene.facts)]
    last = [f"{curve.name} {number(float(_curve_values(curve, curves)[-1, sample]))}" for curve in curves]
    if curves:
        facts.append(("end", ",  ".join(last)))
    if judges:
        cosine, g, delta = (float(values[step, sample]) for values in judges)
        words = f"cosine {number(cosine)}, |g| / |\u03b4| = {number(g / delta)}"
        alone = f"rms of g {number(g)}; with cfg 1 nothing to compare with"
        facts.append((f"step {nth(step)}", alone if order.trace.stage[step] == "cond_only" else words))
    if count := int(fooled_samples(curves).sum()):
        words = f"guide over {SURE}, watch under {DOUBTFUL} at the end: {count} of {order.trace.batch} samples"
        facts.append(("doubt", words))
    facts.append(("pale", "the other samples; what is shorter than 5 decades is left out"))
    return facts


def fooled_samples(curves: Sequence[Curve]) -> Tensor:  # -> [samples] bool
    """Which samples end where one that guides is sure and one that only watches is not; none without either."""
    last = {role: [c.values[-1].exp() for c in curves if c.role == role] for role in (GUIDES, MEASURES)}
    if not (all(last.values()) and _are_probabilities(curves)):
        return torch.zeros(0, dtype=torch.bool)
    guide, watch = torch.stack(last[GUIDES]).amax(dim=0), torch.stack(last[MEASURES]).amin(dim=0)
    return (guide >= SURE) & (watch <= DOUBTFUL)


def _curve_values(curve: Curve, curves: Sequence[Curve]) -> Tensor:
    """Probabilities, or nats where an energy is none."""
    return curve.values.exp() if _are_probabilities(curves) else curve.values


def _are_probabilities(curves: Sequence[Curve]) -> bool:
    return all(bool((curve.values.nan_to_num(-1.0) <= 1e-3).all()) for curve in curves)


def _sure(canvas: Canvas, order: Order, curves: list[Curve], box: Box):
    sure = _are_probabilities(curves)
    shown = [replace(curve, values=_curve_values(curve, curves)) for curve in curves]
    finite = torch.cat([curve.values[curve.values.isfinite()] for curve in shown])
    low, high = (0.0, 1.0) if sure else (float(finite.min()), float(finite.max()))
    plot = Plot(box, low, max(high, low + 1e-9), order.trace.n)
    title = "probability of what was asked for" if sure else "log p of what was asked for, nats"
    set_axes(canvas, plot, order, title, [low + (high - low) * k / 4 for k in range(5)])
    for curve in reversed(shown):
        _curve(canvas, plot, curve, order.scene.facts.sample)
    _names(canvas, plot, order, shown, order.sheet.width - box.right - 20)


def _beside(canvas: Canvas, order: Order, judges: tuple[Tensor, ...], boxes: Sequence[Box]):
    """The cosine where there is a difference to compare with, and the lengths that are known."""
    cosine, g, delta = judges
    symbol, sample = SYMBOLS["delta"], order.scene.facts.sample
    compared = bool(cosine.isfinite().any())
    if compared:
        plot = Plot(boxes[0], -1.0, 1.0, order.trace.n)
        set_axes(canvas, plot, order, f"cosine of gradient g and {symbol}", [-1.0, 0.0, 1.0])
        _curve(canvas, plot, Curve("cosine", cosine), sample)
    curves = [c for c in (Curve("g", g), Curve(symbol, delta, 1)) if bool(c.values.isfinite().any())]
    if not curves:
        return
    finite = torch.cat([curve.values[curve.values.isfinite()] for curve in curves])
    high = math.ceil(math.log10(float(finite.max())))
    low = max(math.floor(math.log10(float(finite.min()))), high - DECADES)
    box = boxes[1 if compared else 0]
    plot = Plot(box, low, max(high, low + 1), order.trace.n, powers=True)
    set_axes(canvas, plot, order, "lengths, rms", [10.0**k for k in range(low, high + 1)])
    seen = [replace(c, values=torch.where(c.values >= 10.0**low, c.values, torch.nan)) for c in curves]
    for curve in seen:
        _curve(canvas, plot, curve, sample)
    _names(canvas, plot, order, seen, SHORT)


def _curve(canvas: Canvas, plot: Plot, curve: Curve, sample: int):
    colour, marker, dash = styles(canvas.theme)[curve.style % 4]
    others = [b for b in range(curve.values.shape[1]) if b != sample]
    if len(others) > MOST_LINES:
        set_band(canvas, plot, ends_of(curve.values), colour)
    for b in others if len(others) <= MOST_LINES else ():
        set_line(canvas, plot, curve.values[:, b], colour, 1.0, alpha=0.3)
    mine = curve.values[:, sample]
    set_line(canvas, plot, mine, colour, 2.0, dash, name=f"curve-{curve.label}")
    set_marks(canvas, plot, mine, marker, colour, curve.label)


def _names(canvas: Canvas, plot: Plot, order: Order, curves: Sequence[Curve], room: float):
    """Every curve's name at its end."""
    look, sample = styles(canvas.theme), order.scene.facts.sample
    named = [(curve.label, look[curve.style % 4][0], curve.values[:, sample]) for curve in curves]
    set_names(canvas, plot, named, room)
