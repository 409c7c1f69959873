"""Effective scale (D18): the plain scale that comes nearest to each step, beside cfg, and what goes across."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..guidance.printing import count_of
from ..trace.choices import band, scale_axes
from ..trace.guidance_effect import ALIKE, EffectiveScale, alike, alike_throughout, apart_of, cfg_of
from ..trace.trace import AFTERWARDS, Trace
from ..verdict.sentences import about, percent
from .canvas import Box, Canvas, extent
from .caption import caption_box, sample_fact, set_caption
from .figure import Figure
from .labels import nice_length
from .order import Drawing, Order
from .page import draw_missing
from .scene import run_words
from .step_curves import Plot, set_axes, set_band, set_line, set_marks
from .typeset import SMALL, fill_lines
from .words import number

WIDE = (Box(76, 84, 848, 146), Box(76, 322, 848, 82))
NARROW = (Box(72, 134, 512, 190), Box(72, 418, 512, 116))
HEAD = 20.0  # size of the words on top
ALONE = ("cond_only", AFTERWARDS)  # stages at which the run made the conditional prediction alone
UNKNOWN = "the effective scale is known at no step"
NEEDED = "It takes both predictions and a difference above rounding. Raise cfg to guide."


@dataclass(frozen=True)
class Curves:
    """What is drawn of one sample.

    scale: M19 at every step, [n].
    across: M19a, [n].
    band: percentiles of M19 over the batch, [n, 2].
    cfg: what the run was asked for.
    low, high: ends of an axis that holds every scale that pushes.
    effective: what the whole run comes to.
    size: rms of the difference of the predictions, [n]; nan where one of them was not made.
    """

    scale: Tensor
    across: Tensor
    band: Tensor
    cfg: float
    low: float
    high: float
    effective: EffectiveScale
    size: Tensor

    @property
    def beyond(self) -> Tensor:  # [n] bool
        """Which steps lie beyond the axis, by more than is worth a word."""
        return self._outside(self.low, self.high)

    @property
    def out_of_range(self) -> Tensor:  # [n] bool
        """Which steps lie beyond the scales on top."""
        return self._outside(self.effective.least, self.effective.most)

    @property
    def gaps(self) -> str:
        """Why steps have no scale."""
        unknown = self.scale.isnan()
        reasons = {
            "no second prediction": unknown & self.size.isnan(),
            "no difference above rounding": unknown & self.size.isfinite(),
        }
        return ", or ".join(words for words, steps in reasons.items() if steps.any())

    def _outside(self, low: float, high: float) -> Tensor:  # -> [n] bool
        inside = self.scale.clamp(low, high)
        return (self.scale - inside).abs() > ALIKE * inside.abs().clamp(min=1)


def curves_of(trace: Trace, sample: int) -> Curves:
    """What is drawn of one sample of a run."""
    scales = trace.column("M19")  # [n, B]
    low, high = scale_axes(trace)[sample].tolist()
    acted = EffectiveScale.of(trace.of_samples(slice(sample, sample + 1)))
    across, size = (trace.column(name)[:, sample] for name in ("M19a", "M2"))
    return Curves(scales[:, sample], across, band(scales), cfg_of(trace), low, high, acted, size)


def acts_like(acted: EffectiveScale, cfg: float) -> str:
    """What a run comes to in words: "cfg 8 acts like 1.1 to 5.3; 41 % of the push goes across"."""
    if math.isnan(acted.least):
        return "What the run as a whole acts like is not known."
    if acted.along and math.isfinite(cfg) and alike(acted.least, cfg) and alike(acted.most, cfg):
        return f"Guidance acts as cfg says: {number(cfg)}"
    scales = " to ".join(dict.fromkeys((about(acted.least), about(acted.most))))
    who = "Guidance" if math.isnan(cfg) else f"cfg {number(cfg)}"
    return f"{who} acts like {scales}" + ("" if acted.along else f"; {percent(acted.across)} % of the push goes across")


def heading(trace: Trace, sample: int, curves: Curves) -> str:
    """What one sample of a run comes to, and at how many steps guidance was off."""
    words = acts_like(curves.effective, curves.cfg)
    alone = torch.tensor([stage in ALONE for stage in trace.stage])
    off = int(((trace.steps["gamma"] == 1) & alone).sum())
    if off == trace.n:
        return "Guidance was off"
    if off:
        words += f"; guidance was off at {off} of {count_of(trace.n, 'step')}"
    return (
        words
        if all(alike_throughout(trace.column(name), sample) for name in ("M19", "M19a"))
        else f"Sample {sample}: {words}"
    )


def draw_effective_scale(order: Order, figure: Figure) -> Drawing:
    """The scale over the steps, with cfg and the middle of the batch; the share across below, and words on top."""
    trace, sample = order.trace, order.scene.facts.sample
    curves = curves_of(trace, sample)
    caption = figure.caption(_facts(order, curves), run_words(trace))
    if not bool(curves.scale.isfinite().any()):
        return draw_missing(order, replace(order.scene, missing=UNKNOWN, advice=NEEDED), caption)
    canvas, (upper, lower) = order.canvas(), WIDE if order.sheet.width > 700 else NARROW
    set_caption(canvas, caption_box(order.sheet.caption, caption), caption)
    words = heading(trace, sample, curves)
    for k, line in enumerate(fill_lines(words, order.sheet.plot.w, lambda some: extent(some, HEAD, True)[0])):
        canvas.text((order.sheet.plot.x, 14 + 28 * k), line, HEAD, bold=True, halo=False)
    _scales(canvas, order, curves, upper)
    _shares(canvas, order, 100 * curves.across, lower)
    return Drawing(canvas, f"{words.rstrip('.')}. {caption.text}", order.scene)


def _facts(order: Order, curves: Curves) -> list[tuple[str, str]]:
    facts = {
        "run": (True, run_words(order.trace)),
        "sample": (True, sample_fact(order.scene.facts)[1]),
        "scale 1": (True, "pushes nothing"),
        "band": (curves.band.isfinite().any(), f"10th to 90th percentile of {order.trace.batch} samples"),
        "left out": (apart := ", ".join(apart_of(order.trace)), f"{apart}: counted alone"),
        "gaps": (curves.gaps, curves.gaps),
        "on top": (curves.out_of_range.any(), "leaves out steps that push next to nothing"),
        "beyond": (curves.beyond.any(), "triangles: outside the axis, where little is pushed"),
    }
    return [(name, words) for name, (holds, words) in facts.items() if holds]


def _scales(canvas: Canvas, order: Order, curves: Curves, box: Box):
    colour, muted = canvas.theme.guided, canvas.theme.muted
    plot, cfg = Plot(box, curves.low, curves.high, order.trace.n), curves.cfg
    tick = nice_length((plot.high - plot.low) / 5)
    marks = range(math.ceil(plot.low / tick - 1e-9), math.floor(plot.high / tick + 1e-9) + 1)
    set_axes(canvas, plot, order, "effective scale", [k * tick for k in marks])
    set_band(canvas, plot, curves.band, colour)
    if math.isfinite(cfg):
        (wide, up, _), y = extent(f"cfg {number(cfg)}", SMALL), plot.at(0, cfg)[1]
        canvas.line([(box.x, y), (box.right, y)], muted, 1.2, (6, 4), name="cfg")
        canvas.text((box.right - wide, y - up - 10), f"cfg {number(cfg)}", SMALL, muted)
    set_line(canvas, plot, curves.scale, colour, 2.0, name="curve-scale")
    set_marks(canvas, plot, torch.where(curves.beyond, torch.nan, curves.scale), "diamond", colour, "scale")
    set_marks(canvas, plot, torch.where(curves.beyond, curves.scale, torch.nan), "triangle", colour, "beyond")


def _shares(canvas: Canvas, order: Order, share: Tensor, box: Box):
    colour, plot = canvas.theme.rule, Plot(box, 0.0, 100.0, order.trace.n)
    set_axes(canvas, plot, order, "share of the push across the difference, %", [0.0, 50.0, 100.0])
    set_band(canvas, plot, torch.stack([0 * share, share], dim=1), colour)
    set_line(canvas, plot, share, colour, 2.0, (5, 3), name="curve-across")
    set_marks(canvas, plot, share, "circle", colour, "across")
