"""Pictures side by side: the noise levels (F0), the filmstrip of a run (D2), and where the condition acts (D7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..guidance.printing import count_of, nth
from ..trace.faults import NothingToShow
from ..trace.trace import END, Trace
from .canvas import Box, Canvas, extent
from .caption import Caption, caption_box, sample_fact, set_caption
from .difference import AUTO_STEPS, NO_PICTURES, evenly, insist_on_both, predictions_at
from .figure import Figure
from .layout import Sheet
from .order import Drawing, Order
from .pictures import Pictures, draw_on_grey, shown_state
from .scene import Scene
from .typeset import cut
from .words import SYMBOLS, number, percent

LEVELS = 4  # noisy ones between the clean picture and pure noise
LOUD = 0.99  # the colour scale of a heat map ends at this quantile of the run
FEWEST = 4  # columns of a grid
BLANK = ("blank", "not predicted at that step, or not finite")
HEAD, NAME, SYMBOL, GAP, LEADING = 16.0, 16.0, 24.0, 6.0, 20.0
NAMED = 56.0  # height of a row with a symbol and a name; half of it with a name alone
NAMES = 0.2  # of the width of a grid, for its names
COVER = 0.85  # of a picture at most, by the heat laid over it

# Matplotlib's magma at nine places: even in lightness, readable without colour
_HEAT = ("#000004", "#1d1147", "#51127c", "#822681", "#b73779", "#e75263", "#fc8961", "#fec488", "#fcfdbf")
Picture = np.ndarray | None


@dataclass(frozen=True)
class Line:
    """One row of a grid: its name, the colour of its frames, and its pictures; None is left blank."""

    symbol: str
    name: str
    colour: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Strip:
    """A page over the whole run in the making."""

    canvas: Canvas
    sheet: Sheet
    trace: Trace
    scene: Scene
    pictures: Pictures

    @classmethod
    def on(cls, order: Order) -> Strip:
        """An empty page; its facts are those of the default step."""
        scene = replace(order, step=None).scene
        return cls(order.canvas(), order.sheet, order.trace, scene, order.pictures or Pictures())

    @property
    def left(self) -> float:
        """Where caption and pictures begin."""
        return self.sheet.plot.x

    @property
    def width(self) -> float:
        """Of caption and pictures."""
        return self.sheet.width - 2 * self.left

    def steps(self, rows: int) -> list[int]:
        """Steps of the columns, evenly over the run, skipped ones too: as many as fill the sheet with so many rows."""
        insist_on_both(self.trace)
        room = self.sheet.plot
        fit = round(room.w * rows / room.h)
        return evenly(self.trace.captured_steps, min(max(fit, FEWEST), AUTO_STEPS))

    def set_caption(self, caption: Caption) -> float:
        """Set it over the whole width at the foot; returns where it begins."""
        box = caption_box(self.sheet.caption, caption)
        set_caption(self.canvas, box, caption)
        return box.y

    def fill_grid(self, caption: Caption, heads: Sequence[str], lines: Sequence[Line]) -> Drawing:
        """The page with its caption, and the grid in the middle of what that leaves."""
        foot = self.set_caption(caption)
        set_grid(self.canvas, Box(self.left, 12, self.width, foot - 24), heads, lines)
        return Drawing(self.canvas, caption.text, self.scene)


def set_grid(canvas: Canvas, area: Box, heads: Sequence[str], lines: Sequence[Line]):
    """Pictures in rows and columns, as large as the area allows and in its middle; heads above, names on the left.

    heads: of one line or more; what is wider than its column is cut, and so are names wider than NAMES.
    """
    lines = [replace(line, name=cut(line.name, NAMES * area.w, _name_extent)) for line in lines]
    named = max((_name_width(line) for line in lines), default=0.0)
    names = named + 14 if named else 0.0
    above = heads_height(heads)
    room = Box(0, 0, (area.w - names + GAP) / len(heads) - GAP, (area.h - above + GAP) / len(lines) - GAP)
    cell = room.middle(_proportion(lines), 1.0)
    words = [[cut(line, room.w, lambda some: extent(some, HEAD)[0]) for line in head.splitlines()] for head in heads]
    across = max(cell.w, *(extent(line, HEAD)[0] for head in words for line in head)) + GAP
    down = max(cell.h, *map(_least_height, lines)) + GAP
    start = area.x + (area.w - names - len(heads) * across + GAP) / 2
    top = above + area.y + (area.h - above - len(lines) * down + GAP) / 2
    left = start + names
    for k, head in enumerate(words):
        for i, line in enumerate(head):
            at = (left + k * across + (across - GAP - extent(line, HEAD)[0]) / 2, top - above + i * LEADING)
            canvas.text(at, line, HEAD, canvas.theme.muted, halo=False)
    for row, line in enumerate(lines):
        y = top + row * down
        _set_name(canvas, (start, y + (down - GAP) / 2), line)
        for k, picture in enumerate(line.pictures):
            if picture is not None:
                box = Box(left + k * across, y, across - GAP, down - GAP).middle(cell.w, cell.h)
                canvas.picture(picture, box, line.colour, name=f"{line.name}-{k}")


def heads_height(heads: Sequence[str]) -> float:
    """Room that the heads of columns take."""
    return 26 + LEADING * (max(len(head.splitlines()) for head in heads) - 1)


def _least_height(line: Line) -> float:
    """Of a row, so that names keep apart."""
    return NAMED if line.symbol and line.name else NAMED / 2 if line.name else 0.0


def _proportion(lines: Sequence[Line]) -> float:
    """Width over height of the widest picture; the others stand in the middle of their cells."""
    shapes = [picture.shape for line in lines for picture in line.pictures if picture is not None]
    return max((width / height for height, width, _ in shapes), default=1.0)


def _name_width(line: Line) -> float:
    return max(extent(line.symbol, SYMBOL)[0] if line.symbol else 0.0, _name_extent(line.name))


def _name_extent(name: str) -> float:
    return extent(name, NAME)[0] if name else 0.0


def _set_name(canvas: Canvas, middle: tuple[float, float], line: Line):
    x, y = middle
    if line.symbol:
        canvas.text((x, y - 26), line.symbol, SYMBOL, line.colour, halo=False)
    if line.name:
        canvas.text((x, y + 4 if line.symbol else y - 9), line.name, NAME, canvas.theme.muted, halo=False)


def level_head(sigma: float) -> str:
    """Head of a column."""
    return f"\u03c3 {number(sigma)}"


def draw_noise_levels(order: Order, figure: Figure) -> Drawing:
    """F0: clean on the left, pure noise on the right; of the order's photo, or of the run's own picture."""
    strip, photo = Strip.on(order), order.photo
    trace, scene = strip.trace, strip.scene
    steps = _level_steps(trace, photo is None)
    if photo is None and (END not in trace.tensors or not trace.captured_steps):
        raise NothingToShow(NO_PICTURES)
    shown = _states(strip, steps) if photo is None else _add_noise(photo, trace, steps)
    where = "your picture, with one draw of noise" if photo is not None else "the states of this run, from its end back"
    shape = "x, as it is" if scene.facts.space == "flow" else "x / sqrt(1 + \u03c3\u00b2)"
    facts = (
        ("run", scene.facts.run),
        ("picture", where),
        ("shown", shape),
        *([] if photo is not None else [sample_fact(scene.facts)]),
    )
    caption = figure.caption(facts, scene.facts.run)
    levels = [0.0, *(float(trace.steps["sigma"][step]) for step in steps)]
    _set_levels(strip, shown, [level_head(level) for level in levels], strip.set_caption(caption))
    return Drawing(strip.canvas, caption.text, scene)


def _set_levels(strip: Strip, shown: Sequence[np.ndarray], heads: Sequence[str], foot: float):
    """Two rows, in the middle of what the caption leaves."""
    columns = LEVELS // 2 + 1
    rows = [(shown[k : k + columns], heads[k : k + columns]) for k in range(0, len(shown), columns)]
    height = (foot - 24) / len(rows)
    for k, (some, names) in enumerate(rows):
        area = Box(strip.left, 12 + k * height, strip.width, height - 2 * GAP)
        set_grid(strip.canvas, area, names, [Line("", "", strip.canvas.theme.ink, some)])


def _level_steps(trace: Trace, from_run: bool) -> list[int]:
    """Steps of the noisy pictures, lowest level first: nearest to even angles atan(sigma / alpha), then the first."""
    steps = trace.captured_steps if from_run else list(range(trace.n))
    turns = torch.atan2(trace.steps["sigma"], trace.steps["alpha"])
    levels = []
    for place in range(1, LEVELS + 1):
        left = [step for step in steps[1:] if step not in levels]
        levels += sorted(left, key=lambda step: abs(float(turns[step]) - place / (LEVELS + 1) * math.pi / 2))[:1]
    return [*sorted(levels, reverse=True), *steps[:1]]


def _states(strip: Strip, steps: list[int]) -> list[np.ndarray]:
    """The end of the run, and its states at these steps."""
    trace, sample = strip.trace, strip.scene.facts.sample
    space = str(trace.header.get("space"))
    states = [trace.require_tensor("x", step)[sample] for step in steps]
    levels = [float(trace.steps["sigma"][step]) for step in steps]
    shown = [shown_state(x, level, space) for x, level in zip(states, levels, strict=True)]
    return [strip.pictures.image(x[None])[0].numpy() for x in (trace.tensors[END][sample], *shown)]


def _add_noise(photo: Tensor, trace: Trace, steps: list[int]) -> list[np.ndarray]:
    """A photo, and alpha x_0 + sigma eps with one eps for all levels, the same for the same photo size."""
    clean = photo * 2 - 1
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    space, images = str(trace.header.get("space")), [photo.numpy()]
    for step in steps:
        sigma, alpha = (float(trace.steps[name][step]) for name in ("sigma", "alpha"))
        shown = shown_state(alpha * clean + sigma * noise, sigma, space)
        images.append((0.5 + 0.5 * shown).clamp(0, 1).numpy())
    return images


def photo_of(image: Tensor, most: int = 160) -> Tensor:  # [H, W, 3 or 4] -> [h, w, 3], both at most `most`
    """A photo at about the size at which it is drawn: noise on single pixels of a large one would look grey."""
    factor = min(1.0, most / max(image.shape[:2]))
    if factor == 1.0:
        return image[..., :3].float()
    size = tuple(max(1, round(factor * n)) for n in image.shape[:2])
    return interpolate(image[..., :3].float().movedim(-1, 0)[None], size=size, mode="area")[0].movedim(0, -1)


@dataclass(frozen=True)
class Row:
    """The tensors of one step of one sample, each [1, C, ...]; uncond holds nan where it was not evaluated."""

    uncond: Tensor
    cond: Tensor
    guided: Tensor

    @property
    def has_pair(self) -> bool:
        """Whether both predictions were made."""
        return bool(self.uncond.isfinite().all() and self.cond.isfinite().all())


def rows_of(trace: Trace, steps: Sequence[int], sample: int) -> list[Row]:
    """What a trace kept of these steps."""
    return [Row(*(tensor[sample][None] for tensor in predictions_at(trace, step))) for step in steps]


def picture_of(tensor: Tensor, pictures: Pictures) -> Picture:  # [1, C, ...] -> [H, W, 3], None for nan
    """The picture of one prediction."""
    return pictures.image(tensor)[0].numpy() if bool(tensor.isfinite().all()) else None


def draw_filmstrip(order: Order, figure: Figure) -> Drawing:
    """D2: both predictions, the guided one and their difference, step by step."""
    strip = Strip.on(order)
    pictures, colours, steps = strip.pictures, strip.canvas.theme, strip.steps(rows=4)
    rows = rows_of(strip.trace, steps, strip.scene.facts.sample)
    paired = [row.has_pair for row in rows]
    grey = draw_on_grey(torch.cat([pictures.difference(row.uncond, row.cond) for row in rows]))
    changes = [picture.numpy() if has_both else None for picture, has_both in zip(grey.pictures, paired, strict=True)]
    lines = [
        Line(SYMBOLS["u"], "unconditional", colours.uncond, [picture_of(r.uncond, pictures) for r in rows]),
        Line(SYMBOLS["c"], "conditional", colours.cond, [picture_of(r.cond, pictures) for r in rows]),
        Line(SYMBOLS["G"], "guided", colours.guided, [picture_of(r.guided, pictures) for r in rows]),
        Line(SYMBOLS["delta"], "difference", colours.guided, changes),
    ]
    what = "decode(c) \u2212 decode(u)" if pictures.decode else "F \u03b4"
    words = f"grey 0.5 + {number(grey.gain)} \u00d7 {what}, one gain for the row; {percent(grey.clipped_share)} clipped"
    facts = [*_run_facts(strip, steps), ("gain", words), *([] if all(paired) else [BLANK])]
    return strip.fill_grid(figure.caption(facts, strip.scene.facts.run), step_heads(steps), lines)


def step_heads(steps: Sequence[int]) -> list[str]:
    """Heads of columns that show a step each."""
    return [f"step {nth(step)}" for step in steps]


def _run_facts(strip: Strip, steps: list[int]) -> list[tuple[str, str]]:
    levels, trace = strip.trace.steps, strip.trace
    first, last = (number(float(levels["sigma"][step])) for step in (steps[0], steps[-1]))
    gamma = number(float(levels["gamma"][steps[0]]))
    words = f"\u03c3 {first} to {last}, {len(steps)} of {count_of(trace.n, 'step')};  \u03b3 = {gamma} at the first"
    return [("run", strip.scene.facts.run), ("steps", words), sample_fact(strip.scene.facts)]


def draw_heat_map(order: Order, figure: Figure) -> Drawing:
    """D7: where the condition acts; one colour scale for the whole run."""
    strip = Strip.on(order)
    theme, steps, sample = strip.canvas.theme, strip.steps(rows=3), strip.scene.facts.sample
    top, clipped = _loudest(strip.trace, sample)
    rows = rows_of(strip.trace, steps, sample)
    maps = (difference_size_map(row) for row in rows)
    shares = [None if size is None else size / top for size in maps]
    shown = [picture_of(row.cond, strip.pictures) for row in rows]
    over = [None if s is None or p is None else _overlay_heat(p, s) for p, s in zip(shown, shares, strict=True)]
    heat = [None if share is None else heat_colours(share) for share in shares]
    lines = [
        Line(SYMBOLS["c"], "conditional", theme.cond, shown),
        Line(SYMBOLS["delta"], "difference, rms", theme.guided, heat),
        Line("", "laid over", theme.guided, over),
    ]
    words = f"0 (black) to {number(top)} rms (pale), one scale for the run: the 99th percentile of its values"
    facts = [
        *_run_facts(strip, steps),
        ("colour", f"{words}; {percent(clipped)} clipped"),
        ("map", "per pixel, the rms of \u03b4 over the channels"),
        *([BLANK] if any(share is None for share in shares) else []),
    ]
    return strip.fill_grid(figure.caption(facts, strip.scene.facts.run), step_heads(steps), lines)


def _loudest(trace: Trace, sample: int) -> tuple[float, float]:
    """Where the colour scale of a run ends, and the share of its values beyond."""
    sizes = [difference_size_map(row) for row in rows_of(trace, trace.captured_steps, sample)]
    values = torch.cat([size.flatten() for size in sizes if size is not None] or [torch.zeros(1)])
    top = float(values.kthvalue(max(1, math.ceil(LOUD * len(values)))).values) or 1.0
    return top, float((values > top).double().mean())


def difference_size_map(row: Row) -> Tensor | None:  # -> [H, W], rms units; None without a pair
    """Root mean square of the difference over the channels, pixel by pixel; of a video its middle frame."""
    if not row.has_pair:
        return None
    change = (row.cond - row.uncond)[0]
    if change.ndim == 4:
        change = change[:, change.shape[1] // 2]
    return change.square().mean(dim=0).sqrt()


def heat_colours(share: Tensor) -> np.ndarray:  # [H, W] -> [H, W, 3]; 0 is black, 1 and more pale
    """A sequential colour for every value."""
    table = np.array([[int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)] for c in _HEAT])
    place = share.clamp(0, 1).numpy()
    grid = np.linspace(0, 1, len(table))
    return np.stack([np.interp(place, grid, table[:, k]) for k in range(3)], axis=-1)


def _overlay_heat(picture: np.ndarray, share: Tensor) -> np.ndarray:
    """The heat over the picture in grey: the more there is, the less shines through."""
    grey = picture.mean(axis=-1, keepdims=True)
    large = interpolate(share[None, None].float().clamp(0, 1), size=picture.shape[:2], mode="nearest")[0, 0]
    cover = COVER * large.numpy()[..., None] ** 0.5
    return (1 - cover) * grey + cover * heat_colours(large)
