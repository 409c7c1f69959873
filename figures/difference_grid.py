"""What the condition adds, on one page: a column for each step, a row for each sample, and every step's own gain."""

from __future__ import annotations

from collections.abc import Sequence

from ..guidance.printing import count_of, nth
from ..trace.file import even_positions, some_samples
from ..trace.trace import Trace
from .canvas import Box, Canvas
from .caption import Caption, caption_box, set_caption
from .difference import AUTO_STEPS, DifferenceImages
from .palette import THEMES
from .pictures import draw_on_grey
from .scene import run_words
from .strips import GAP, NAMES, Line, heads_height, set_grid
from .words import percent

WIDTH, MARGIN = 960.0, 20.0
LEAST, HIGHEST = 24.0, 150.0  # height of a row: names keep apart; tall pictures are as wide as this lets them
MOST_SAMPLES = 8


def draw_differences(trace: Trace, images: DifferenceImages, gain: float = 0.0) -> Canvas:
    """The changes of some steps and samples.  gain: of all steps; 0 gives each the largest that clips at most 1 %."""
    columns = even_positions(len(images.steps), AUTO_STEPS)
    samples = some_samples(trace.batch, MOST_SAMPLES, trace.median_sample())
    greys = [draw_on_grey(images.change[k * trace.batch : (k + 1) * trace.batch], gain) for k in columns]
    gains = [f"\u00d7 {grey.gain:g}" for grey in greys]
    heads = [f"step {nth(images.steps[k])}\n{words}" for k, words in zip(columns, gains, strict=True)]
    frame = THEMES["light"].guided
    lines = [Line("", _name(trace, row), frame, [grey.pictures[row].numpy() for grey in greys]) for row in samples]
    clipped = max(grey.clipped_share for grey in greys)
    meaning = "Grey is no difference; the colours say which way the condition pulls"
    sentence = f"{meaning}." if gain else f"{meaning}, each step at its own gain."
    what = "decode(c) \u2212 decode(u)" if images.how == "decoded" else "F \u03b4"
    facts = [
        ("run", run_words(trace)),
        ("gain", f"above each column: grey 0.5 + gain \u00d7 {what}; up to {percent(clipped)} clipped"),
        ("shown", f"{some_of(columns, images.steps, 'step')}, {some_of(samples, range(trace.batch), 'sample')}"),
    ]
    return _page(
        Caption("what the condition adds, step by step", sentence, tuple(facts)),
        heads,
        lines,
        images.change.shape[1] / images.change.shape[2],
    )


def _name(trace: Trace, sample: int) -> str:
    labels = trace.header.get("labels") or []
    return f"{sample}: {labels[sample]}" if sample < len(labels) else f"sample {sample}"


def some_of(shown: Sequence, there: Sequence, word: str) -> str:
    """How many of how many are shown."""
    whole = count_of(len(there), word)
    return whole if len(shown) == len(there) else f"{len(shown)} of {whole}"


def _page(caption: Caption, heads: Sequence[str], lines: Sequence[Line], steep: float) -> Canvas:
    """The finished page, as high as its rows need.  steep: height of a picture over its width."""
    width = WIDTH - 2 * MARGIN
    room = (width * (1 - NAMES)) / len(heads) - GAP
    rows = len(lines) * (max(min(room * steep, HIGHEST), LEAST) + GAP)
    foot = caption_box(Box(MARGIN, 0, width, 0), caption).h
    canvas = Canvas(WIDTH, round(MARGIN + heads_height(heads) + rows + MARGIN + foot + MARGIN), THEMES["light"])
    set_grid(canvas, Box(MARGIN, MARGIN, width, heads_height(heads) + rows - GAP), heads, lines)
    set_caption(canvas, Box(MARGIN, canvas.height - MARGIN - foot, width, foot), caption)
    return canvas
