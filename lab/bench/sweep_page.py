"""What the page of a sweep weighs and how soon it is there: 100 cells, each with a run of 20 steps and its picture.

The pictures are large and noisy, so that the page takes all the room it has. Headless Chromium without a GPU, from a
file, nothing cached. Fails when a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from ...cli.sweep import FIRST_LOOK
from ...dev.browser import CHROMIUM, chromium
from ...guidance.mixture import make_mixture
from ...library.denoisers import ExactDenoiser
from ...library.recording import record
from ...library.sampling import karras
from ...sweeps.axes import Axis
from ...sweeps.cells import Cell, cells_of
from ...sweeps.measures import measure
from ...sweeps.page import study_page
from ...sweeps.plan import USUAL, Plan
from ...sweeps.rules import NOTHING
from ...sweeps.runs import records_of
from ...trace.trace import Trace

SCALES, SEEDS, STEPS, SIDE = 10, 10, 20, 384
VERDICT = "There is no sign of burning."
PAGE_BYTES, FIRST_PAINT_MS = 5_000_000, 300.0
WATCH = """(() => {
  const seen = (one) => one.getBoundingClientRect().top < innerHeight;
  const look = () => {
    const shown = [...document.querySelectorAll(".tile img")].filter(seen);
    const done = () => { document.documentElement.dataset.gridAt = performance.now(); };
    requestAnimationFrame(shown.length && shown.every((one) => one.complete) ? done : look);
  };
  requestAnimationFrame(look);
})()"""  # asks in every frame whether all pictures in sight are there
PAINTS = """() => [performance.getEntriesByName("first-contentful-paint")[0].startTime,
  Number(document.documentElement.dataset.gridAt)]"""


def picture(seed: int) -> bytes:
    """A noisy PNG."""
    from PIL import Image

    sink = BytesIO()
    coarse = np.random.default_rng(seed).integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(sink, "PNG")
    return sink.getvalue()


def trace_of(cell: Cell) -> Trace:
    """A run of the exact model at the place of a cell."""
    denoiser = ExactDenoiser(make_mixture((3, 16, 16), classes=3, seed=0))
    sigmas = karras(STEPS)
    draws = torch.Generator().manual_seed(int(cell.place["seed"]))
    start = sigmas[0] * torch.randn(1, 3, 16, 16, generator=draws, dtype=torch.float64)
    return record(denoiser, sigmas, cond=1, gamma=float(cell.place["cfg"])).sample(start)


def page(scales: int = SCALES, seeds: int = SEEDS) -> str:
    """The page of so many cells."""
    axes = (Axis("cfg", tuple(range(1, scales + 1))), Axis("seed", tuple(range(seeds))))
    cells = cells_of(Plan(json.loads(FIRST_LOOK.read_text(encoding="utf-8")), axes), NOTHING, {}, "bench")
    traces = {cell.id: trace_of(cell) for cell in cells}
    facts = {"seconds": 1.0, "verdict": VERDICT}
    rows = [{"id": c.id, "place": dict(c.place), "measures": measure(traces[c.id], USUAL), **facts} for c in cells]
    pictures = {cell.id: picture(i) for i, cell in enumerate(cells)}
    return study_page("Bench", axes, cells, rows, pictures, "", runs=records_of(list(traces), traces.__getitem__))


def paints(path: Path, loads: int) -> list[tuple[float, float]]:
    """Milliseconds until the first words, and until the grid, of every load in a browser that knows nothing of it."""
    found = []
    with chromium() as browser:
        for _ in range(loads):
            shown = browser.new_page(viewport={"width": 1440, "height": 900})
            shown.add_init_script(WATCH)
            shown.goto(path.as_uri())
            shown.wait_for_selector("html[data-grid-at] #run-plot .line", state="attached")
            found.append(tuple(shown.evaluate(PAINTS)))
            shown.close()
    return found


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, help="the page of a sweep; default: one of the exact model")
    parser.add_argument("--loads", type=int, default=9)
    options = parser.parse_args()
    if CHROMIUM is None:
        print("no Chromium on the path: nothing was measured", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        path = options.page or Path(folder) / "index.html"
        if not options.page:
            path.write_text(page(), encoding="utf-8")
        size, times = path.stat().st_size, paints(path.resolve(), options.loads)
    first, whole = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{size / 1e6:.2f} MB (at most {PAGE_BYTES / 1e6:.0f}); first paint {first:.0f} ms (at most "
          f"{FIRST_PAINT_MS:.0f}), all pictures in sight {whole:.0f} ms, median of {options.loads} loads")  # fmt: skip
    return int(size > PAGE_BYTES or first > FIRST_PAINT_MS)


if __name__ == "__main__":
    sys.exit(main())
