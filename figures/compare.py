"""Two runs side by side (D16): how far apart their states are at every step, where they part, and both filmstrips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..guidance.printing import nth
from ..trace.trace import END, Trace
from .canvas import Box, Canvas, extent
from .caption import HEADING, SENTENCE, Caption, caption_box, set_caption
from .difference import AUTO_STEPS, evenly
from .labels import nice_length
from .palette import THEMES, Theme
from .pictures import Pictures, draw_on_grey, grey_words
from .scene import check_index, run_words
from .step_curves import TITLE, Plot
from .strips import Line, picture_of, set_grid, step_heads
from .typeset import SMALL, Run, set_level, set_lines, set_rows, wrap_lines
from .words import number, percent

NOT_FINITE = "states that are not finite, or too large for the 16 bits in which pictures are kept"
PARTED = 0.01  # of the size of a state: from here on two runs count as parted
HALF = 2**-11  # rounding of one captured value
WIDTH, HEIGHT = 960, 760
PLOT = Box(92, 46, 840, 226)
CAPTION = Box(20, 600, 920, 150)
STRIP = Box(20, 336, 920, 412)  # it ends above the caption


@dataclass(frozen=True)
class Comparison:
    """Distances of the states of two runs.

    steps: at which both were captured, [k]; the last one may be n, the end.
    sigmas: noise levels there, [k].
    distance: rms over one sample, [k].
    relative: the distance over the rms that a state is expected to have, sqrt(alpha^2 sigma_d^2 + sigma^2), [k].
    floor: what rounding of the captured values explains of the distance, [k].
    parting_step: the first step whose relative distance is above 1 %; None if there is none.
    obstacles: why the runs cannot be compared, one phrase each; empty if they can.
    """

    steps: list[int]
    sigmas: list[float]
    distance: list[float]
    relative: list[float]
    floor: list[float]
    parting_step: int | None
    obstacles: list[str]


def obstacles_of(first: Trace, second: Trace) -> list[str]:
    """What two runs must share to be compared step by step: seed, noise levels, shape and kind of noise."""
    why = []
    for name in ("seed", "space"):
        mine, other = first.header.get(name), second.header.get(name)
        if mine != other:
            why.append(f"{name} {mine} and {other}")
    if first.latent_shape != second.latent_shape:
        why.append(f"shapes {'x'.join(map(str, first.latent_shape))} and {'x'.join(map(str, second.latent_shape))}")
    if first.batch != second.batch:
        why.append(f"batches of {first.batch} and {second.batch}")
    if first.n != second.n:
        why.append(f"{first.n} and {second.n} steps")
    elif not torch.allclose(_levels(first), _levels(second), rtol=1e-4, atol=1e-6):
        why.append("different noise levels")
    return why


def _levels(trace: Trace) -> Tensor:
    return torch.stack([trace.steps["sigma"], trace.steps["sigma_next"]])


def compare(first: Trace, second: Trace, sample: int) -> Comparison:
    """Distance per step, rms(x_A - x_B), from the captured states."""
    obstacles = obstacles_of(first, second)
    steps = [step for step in first.captured_steps if step in second.captured_steps]
    if not obstacles and not all({"x", END} <= set(trace.tensors) for trace in (first, second)):
        obstacles = ["a run without pictures: set capture to pictures and run again"]
    if obstacles:
        return Comparison([], [], [], [], [], None, obstacles)
    rows = [_distance(first, second, step, sample) for step in [*steps, first.n]]
    if not all(math.isfinite(value) for row in rows for value in row):
        return Comparison([], [], [], [], [], None, [NOT_FINITE])
    sigmas, distance, relative, floor = (list(column) for column in zip(*rows, strict=True))
    apart = [
        step
        for step, share, low, d in zip([*steps, first.n], relative, floor, distance, strict=True)
        if share > PARTED and d > low
    ]
    return Comparison([*steps, first.n], sigmas, distance, relative, floor, apart[0] if apart else None, [])


def _distance(first: Trace, second: Trace, step: int, sample: int) -> tuple[float, float, float, float]:
    """Level, distance, distance over sqrt(alpha^2 sigma_d^2 + sigma^2), and rounding of one pair of states."""
    a, b = (_state(trace, step)[sample].double() for trace in (first, second))
    last = step == first.n
    sigma = float(first.steps["sigma_next"][-1] if last else first.steps["sigma"][step])
    alpha = float(first.steps["alpha_next"][-1] if last else first.steps["alpha"][step])
    size = float(a.square().mean().sqrt())
    spread = _number_or_nan(first.header.get("sigma_data"))
    expected = size if math.isnan(spread) else math.hypot(alpha * spread, sigma)
    distance = float((a - b).square().mean().sqrt())
    return sigma, distance, distance / (expected or 1.0), HALF * size


def _number_or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _state(trace: Trace, step: int) -> Tensor:
    return trace.tensors[END] if step == trace.n else trace.require_tensor("x", step)


def draw_comparison(
    first: Trace, second: Trace, *, sample: int | None = None, theme: str = "light", pictures: Sequence[Pictures]
) -> tuple[Canvas, str]:
    """Draw two runs; returns the page, and what it says as text. pictures: how to show the first and the second run."""
    chosen = first.median_sample() if sample is None else check_index(sample, min(first.batch, second.batch), "sample")
    chosen = min(chosen, second.batch - 1)
    comparison = compare(first, second, chosen)
    canvas = Canvas(WIDTH, HEIGHT, THEMES[theme])
    steps, lines, notes = _filmstrips(canvas.theme, (first, second), chosen, pictures, bool(comparison.obstacles))
    caption = _caption((first, second), comparison, chosen, notes)
    box = caption_box(CAPTION, caption)
    set_caption(canvas, box, caption)
    if lines:
        set_grid(canvas, replace(STRIP, h=box.y - 14 - STRIP.y), step_heads(steps), lines)
    if comparison.obstacles:
        _not_comparable(canvas, comparison.obstacles)
    else:
        _curve(canvas, comparison)
    return canvas, f"{caption.sentence}\n{caption.text}{_table(comparison)}"


def _not_comparable(canvas: Canvas, obstacles: list[str]):
    words = [line for phrase in obstacles for line in wrap_lines(phrase, SENTENCE, PLOT.w)]
    rows = (
        (Run("not comparable", HEADING, canvas.theme.ink),),
        *((Run(w, SENTENCE, canvas.theme.muted),) for w in words),
    )
    set_rows(canvas, rows, (PLOT.x, PLOT.y + 60), "missing")


def _caption(traces: tuple[Trace, Trace], comparison: Comparison, sample: int, notes: list) -> Caption:
    facts = [(name, _describe_trace(trace)) for name, trace in zip("AB", traces, strict=True)]
    which = "".join(f"\n{name}: {words}" for name, words in facts)
    facts.append(("sample", f"{sample} (0\u2013{traces[0].batch - 1}),  N = {traces[0].count}"))
    if comparison.obstacles:
        sentence = f"Not comparable: {'; '.join(comparison.obstacles)}.{which}"
        return Caption("two runs", sentence, (*facts, ("note", "seed and noise levels must be the same"), *notes))
    apart = f"A and B differ by {number(comparison.distance[-1])} rms, {percent(comparison.relative[-1])} of their size"
    facts.append(("end", apart))
    facts.append(("dotted", "what rounding to 16 bits explains; an open mark is exactly 0"))
    return Caption("where two runs diverge", _parting(traces[0], comparison) + which, (*facts, *notes))


def _parting(trace: Trace, comparison: Comparison) -> str:
    if comparison.parting_step is None:
        return "They never diverge: at no step do they differ by 1 % of their size."
    where = "only at the end" if comparison.parting_step == trace.n else f"from step {nth(comparison.parting_step)} on"
    sigma = comparison.sigmas[comparison.steps.index(comparison.parting_step)]
    return f"They diverge {where} (\u03c3 {number(sigma)}): there they differ by more than 1 % of their size."


def _describe_trace(trace: Trace) -> str:
    """What tells it from the other run, then its model, of which a figure may cut the end."""
    header, chain = trace.header, str(trace.header.get("chain") or "")
    rules = [chain] if chain and chain.lower() != "cfg" else []
    words = [f"cfg {number(_number_or_nan(header.get('cfg')))}", f"seed {header.get('seed')}", *rules, run_words(trace)]
    return ", ".join(words)


def _table(comparison: Comparison) -> str:
    if comparison.obstacles:
        return ""
    rows = zip(comparison.steps, comparison.sigmas, comparison.distance, comparison.relative, strict=True)
    name = {**{step: nth(step) for step in comparison.steps[:-1]}, comparison.steps[-1]: "end"}
    lines = [f"{name[step]:>4}  {number(s):>9}  {number(d):>10}  {percent(r):>8}" for step, s, d, r in rows]
    return "\n\n" + "\n".join(["step      noise  difference   of size", *lines])


def _curve(canvas: Canvas, comparison: Comparison):
    """Distance over the steps on a logarithmic axis; an exact zero is an open mark on the floor of the plot."""
    positive = [d for d in comparison.distance if d > 0]
    low = math.floor(math.log10(min([*positive, *(f for f in comparison.floor if f > 0)], default=1e-4)))
    high = max(math.ceil(math.log10(max(positive, default=1.0))), low + 1)
    plot, theme = Plot(PLOT, low, high, comparison.steps[-1] + 1, powers=True, margin=0.0), canvas.theme
    at = plot.at
    _axes(canvas, comparison, plot)
    pale = [at(step, f) for step, f in zip(comparison.steps, comparison.floor, strict=True) if f > 0]
    if len(pale) > 1:
        canvas.line(pale, theme.muted, 1.2, (2, 3), name="floor", alpha=0.8)
    shown = [at(step, d) for step, d in zip(comparison.steps, comparison.distance, strict=True)]
    if len(shown) > 1:
        canvas.line(shown, theme.guided, 2.2, name="distance")
    for k, (place, d) in enumerate(zip(shown, comparison.distance, strict=True)):
        canvas.marker(place, "disc" if d > 0 else "circle", theme.guided, 4.5, name=f"distance-{k}")
    if comparison.parting_step is not None:
        x = at(comparison.parting_step, 1.0)[0]
        canvas.line([(x, PLOT.y), (x, PLOT.bottom)], theme.ink, 1.2, (5, 4), name="parted")
        words = "they part"
        left = x + 8 if x + 8 + extent(words, SMALL)[0] < PLOT.right else x - 8 - extent(words, SMALL)[0]
        canvas.text((left, PLOT.bottom - 22), words, SMALL, theme.ink)


def _axes(canvas: Canvas, comparison: Comparison, plot: Plot):
    low, high, at = int(plot.low), int(plot.high), plot.at
    for power in range(low, high + 1, max(1, math.ceil((high - low) / 6))):
        set_level(canvas, PLOT, at(0, 10.0**power)[1], number(10.0**power), 10)
    stride = int(nice_length(max(comparison.steps[-1] / 8, 1.0)))
    for step, sigma in zip(comparison.steps, comparison.sigmas, strict=True):
        if step % stride == 0 or step == comparison.steps[-1]:
            if comparison.steps[-1] - stride < step < comparison.steps[-1]:
                continue
            names = ("end" if step == comparison.steps[-1] else str(nth(step)), number(sigma))
            set_lines(canvas, (at(step, 1.0)[0], PLOT.bottom + 10), names, 0.5)
    canvas.text((PLOT.x, PLOT.y - 30), "rms(A \u2212 B) of the states", TITLE, canvas.theme.ink, halo=False)
    set_lines(canvas, (PLOT.x - 24, PLOT.bottom + 10), ("step", "\u03c3"), 1.0)


def _filmstrips(
    theme: Theme, traces: tuple[Trace, Trace], sample: int, pictures: Sequence[Pictures], apart: bool
) -> tuple[list[int], list[Line], list[tuple[str, str]]]:
    """Steps, the guided predictions of both runs, their difference where it means something, and notes about it."""
    shared = [step for step in traces[0].captured_steps if step in traces[1].captured_steps]
    if not shared or not all("guided" in trace.tensors for trace in traces):
        return [], [], []
    steps = evenly(shared, AUTO_STEPS)
    rows = [[trace.require_tensor("guided", step)[sample][None].float() for step in steps] for trace in traces]
    names = (("A", theme.uncond), ("B", theme.cond))
    lines = [
        Line("", name, colour, [picture_of(x, how) for x in row])
        for (name, colour), row, how in zip(names, rows, pictures, strict=True)
    ]
    notes = [("strips", "what the sampler was given, step by step")]
    if not apart:
        changes = [pictures[0].difference(a, b)[0] for a, b in zip(*rows, strict=True)]
        grey = draw_on_grey(torch.stack(changes))
        lines.append(Line("", "B \u2212 A", theme.guided, list(grey.pictures.numpy())))
        notes.append(("B \u2212 A", grey_words(grey, "the difference")))
    return steps, lines, notes
