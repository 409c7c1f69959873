"""The story of guidance: draws its figures, measures its numbers, and sets them into its page.

    python lab story

Figures of a run come from the queue of a ComfyUI that it starts; what needs many runs is sampled here. The page is
docs/the-geometry-of-guidance.md, made of the story.md beside this file: {{name}} or {{name:.2f}} stands for a number of
its .json.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...dev.browser import CHROMIUM, chromium
from ...dev.first_look import array, ask_judge
from ...dev.hosts import own_host
from ...dev.places import ROOT
from ...figures.canvas import Canvas
from ...figures.caption import Caption
from ...figures.contact_sheet import contact_sheet
from ...figures.registry import FIGURES as RUN_FIGURES
from ...figures.strips import level_head
from ...figures.words import SYMBOLS
from ...guidance.printing import nth
from ...sweeps.comfyui.client import Client, Job
from ...trace.trace import Trace
from .. import markdown
from ..train.demo_data import LABELS
from ..train.demo_files import write_json
from .density import Panel, draw_panels
from .expectation import Shown, draw_expectation
from .pictures import write, write_pixels
from .pocket_means import card, read_means
from .run_figures import FIGURES, FREE, draw_words, saved_trace, upstream
from .story_classifiers import classifier_half, round_digits
from .story_measures import (
    STEPS,
    Averages,
    Reweighted,
    Straight,
    averages,
    both,
    pocket,
    reweighting,
    start_noise,
    straightness,
)
from .straight_line import Ends, draw_ends

PAGE = ROOT / "docs" / "the-geometry-of-guidance.md"
EXPORTED = ROOT / "output" / "one-run.html"  # for its picture
NUMBERS = PAGE.with_suffix(".json")
WORDS_OF_PAGE = Path(__file__).with_suffix(".md")
WORDS = tuple(figure.name for figure in RUN_FIGURES if "story" in figure.places)
FIGURE_STEP, FIGURE_SAMPLE = 5, 2  # as the template's figures
PLAIN, GUIDED, TRACE, HTML = "pictures at 1", "pictures at 4", "trace", "page"  # nodes added to the template's run
PAGE_SAMPLES, PAGE_PICTURES = FIGURE_SAMPLE + 1, 15  # of the exported page: what a clone should carry
SHOWN_STEPS = (0, 2, 4, 5, 6, 8, 10, 13)  # columns of the predictions
GAMMAS = (1.0, 2.0, 4.0, 8.0)
PANELS, STEP_COUNTS, POINTS = (0.0, 1.0, 2.0, 4.0), (20, 100, 400), 20_000
REACH = 2.1  # half the side of the plane that is drawn
SAMPLES, SEED = 100, 5


def picture(x0: Tensor) -> np.ndarray:  # [3, H, W] in [-1, 1] -> [H, W, 3] in 0..1
    """Pixels of a prediction."""
    return (0.5 + 0.5 * x0.float()).clamp(0, 1).movedim(0, -1).numpy()


def keep(name: str, canvas: Canvas) -> None:
    """Write a figure of this page."""
    write_pixels(FIGURES / f"story-{name}.webp", canvas.png()[..., :3])


def two_runs(client: Client) -> Job:
    """Run the template's two samplers; keep pictures of both and the trace of the guided one."""
    graph = upstream(FREE.template, ["7", "10"])
    for name, decode in ((PLAIN, "7"), (GUIDED, "10")):
        graph[name] = {"class_type": "PreviewImage", "inputs": {"images": [decode, 0]}}
    graph[TRACE] = {"class_type": "GGSaveTrace", "inputs": {"trace": [FREE.sampler, 2], "filename_prefix": "story"}}
    return client.run(graph)


def shorten_run(run: Mapping[str, dict]) -> dict[str, dict]:
    """The run for its first labels alone: the same samples, for the noise of each belongs to its place in the batch."""
    few = {"GGClassLabel": {"label": ";".join(LABELS[:PAGE_SAMPLES])}, "GGEmptyCanvas": {"batch_size": PAGE_SAMPLES}}
    return {name: node | {"inputs": node["inputs"] | few.get(node["class_type"], {})} for name, node in run.items()}


def export(client: Client, program: str | None) -> None:
    """Keep the run as one HTML file, and a picture of how it looks with the drawn step and sample chosen."""
    inputs = {"trace": [FREE.sampler, 2], "filename_prefix": "story", "pictures": PAGE_PICTURES}
    job = client.run(shorten_run(FREE.run) | {HTML: {"class_type": "GGExportHTML", "inputs": inputs}})
    name = job.outputs[HTML]["text"][0].split(":")[0]
    EXPORTED.parent.mkdir(exist_ok=True)
    EXPORTED.write_bytes(client.file({"filename": name, "type": "output"}))
    with chromium(program) as browser:
        page = browser.new_page(viewport={"width": 1120, "height": 1320})
        page.goto(EXPORTED.as_uri())
        page.locator(".gg-panel input[aria-label=Step]").fill(str(FIGURE_STEP))
        page.locator(".gg-panel select[aria-label=Sample]").select_option(index=FIGURE_SAMPLE)
        page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
        page.wait_for_timeout(500)  # pictures are decoded after the choice
        write(FIGURES / "story-page.webp", page.screenshot())


def run_numbers(trace: Trace) -> dict:
    """What the figures of the run show, as numbers."""
    at = (FIGURE_STEP, FIGURE_SAMPLE)
    gamma, strength = float(trace.steps["gamma"][FIGURE_STEP]), float(trace.column("M1")[at])
    found = {
        "gamma": gamma,
        "step": nth(FIGURE_STEP),
        "steps": trace.n,
        "sigma": float(trace.steps["sigma"][FIGURE_STEP]),
        "sigma_next": float(trace.steps["sigma_next"][FIGURE_STEP]),
        "strength": strength,
        "difference_share": strength / gamma,
        "difference_rms": float(trace.column("M2")[at]),
        "tug": float(trace.column("M6t")[at]),
        "step_rms": float(trace.column("M7")[at]),
        "noise_rms": float(trace.column("M8")[at]),
        "noise_over_step": float(trace.column("M8")[at] / trace.column("M7")[at]),
    }
    return {name: round_digits(value) for name, value in found.items()}


def draw_two_runs(client: Client, job: Job, labels: list[str]) -> dict:
    """Both runs side by side; returns how often the judge recognises what was asked for."""
    runs = [np.stack([array(client.file(entry)) for entry in job.outputs[name]["images"]]) for name in (PLAIN, GUIDED)]
    shown = torch.from_numpy(np.stack(runs, axis=1)).float() / 255
    columns = [(label, shown[k], "") for k, label in enumerate(labels)]
    title = "The same noise, without and with guidance"
    page = contact_sheet(columns, title=title, scale=3, rows=["\u03b3 = 1", "\u03b3 = 4"])
    write_pixels(FIGURES / "story-two-runs.webp", page)
    names = ("right_plain", "right_guided")
    right = {name: int(ask_judge(run, labels).sum()) for name, run in zip(names, runs, strict=True)}
    return {"pictures": len(labels), **right}


def draw_averages(found: Averages, wrong: float) -> None:
    """The predictions of one sample, the means they start from, and distances over all samples."""
    means, label = read_means(), LABELS[found.label]
    steps = [k for k in SHOWN_STEPS if k < len(found.sigmas)]

    def row(role: str, key: str, name: str, mean: Tensor | None, far: list[float] | None) -> Shown:
        pictures = [None if mean is None else picture(mean), *(picture(found.by_guidance[key][k]) for k in steps)]
        below = ["", *("" if far is None else f"{far[k]:.2f}" for k in steps)]
        return Shown(SYMBOLS[role], name, role, pictures, below)

    rows = [
        row("x", "x", "noisy sample", None, None),
        row("u", "uncond", "predicted without\na label", means.every, found.far),
        row("c", "cond", f"predicted for\n{label}", means.means_with_errors(wrong)[found.label], found.far_label),
    ]
    caption = Caption(
        "a prediction is an average",
        "Blue: the mean of all training pictures, then the predictions of a run without a label.\n"
        f"Green: the mean of all pictures that were called {label}, then the predictions of a run for that label.",
        (),
        "numbers: rms distance to the mean on the left",
    )
    keep("expectation", draw_expectation(["mean", *(level_head(found.sigmas[k]) for k in steps)], rows, caption))


def average_numbers(found: Averages) -> dict:
    """Distances of the predictions, and a table of them."""
    rows = [
        {
            "sigma": round_digits(found.sigmas[k]),
            "to_mean": round_digits(found.far[k]),
            "label_to_mean": round_digits(found.far_label[k]),
            "to_end": round_digits(found.to_end[k]),
        }
        for k in SHOWN_STEPS
    ]
    ends = {"far_end": found.far[-1], "far_first": found.far[0], "label_first": found.far_label[0]}
    return {"averages": rows, **{name: round_digits(value) for name, value in ends.items()}}


def draw_reweighting(panels: Sequence[Reweighted]) -> None:
    """Guided samples over the densities."""
    before = panels[0].density
    shown = [Panel(p.gamma, p.density, before, p.samples, p.distance, p.floor) for p in panels]
    caption = Caption(
        "guidance is not quite reweighting",
        "Dots: guided samples of an exact model in the plane. Lines enclose half and nine tenths of "
        f"{SYMBOLS['tilted']}; grey, nine tenths of {SYMBOLS['density']}.",
        (),
        f"sliced Wasserstein distance, {STEP_COUNTS[-1]} Euler steps",
    )
    keep("reweighting", draw_panels(shown, caption, REACH))


def reweighting_numbers(runs: dict[tuple[float, int], Reweighted]) -> dict:
    """Distances by scale and number of steps."""
    rows = []
    for gamma in PANELS:
        last = runs[gamma, STEP_COUNTS[-1]]
        distances = {f"steps_{n}": round_digits(runs[gamma, n].distance) for n in STEP_COUNTS}
        spreads = {"spread": round_digits(last.spread), "wanted_spread": round_digits(last.wanted_spread)}
        rows.append({"gamma": gamma, **distances, "floor": round_digits(last.floor), **spreads})
    at = {f"far_{gamma:g}": rows[k][f"steps_{STEP_COUNTS[-1]}"] for k, gamma in enumerate(PANELS)}
    over = {
        f"over_{gamma:g}": round_digits(row[f"steps_{STEP_COUNTS[-1]}"] / row["floor"])
        for gamma, row in zip(PANELS, rows, strict=True)
    }
    return {"reweighting": rows, **at, **over}


def draw_straight(found: Straight, label: str) -> None:
    """The straight line against the runs, with one sample's pictures."""
    lines, runs = ([picture(shown[0]) for shown in ends] for ends in (found.lines, found.ends))
    caption = Caption(
        "straight in a step, curved over a run",
        "Within one step the guided prediction moves along a straight line as \u03b3 grows. Over a run it does not: "
        "later steps answer the earlier ones.",
        (),
        f"mean over {SAMPLES} runs of {STEPS} Euler steps; pictures: {label}",
    )
    keep("straight-line", draw_ends(Ends(found.gammas, found.predicted, found.measured, lines, runs), caption))


def straight_numbers(found: Straight) -> dict:
    """Predicted and measured change of the end."""
    names = ("predicted", "measured", "cosine", "slope")
    rows = [
        {"gamma": gamma, **{name: round_digits(getattr(found, name)[k]) for name in names}}
        for k, gamma in enumerate(found.gammas)
    ]
    first, last = rows[0], rows[-1]
    ends = {"line_8": last["predicted"], "run_8": last["measured"], "slope_1": first["slope"], "slope_8": last["slope"]}
    return {"straight": rows, "cosine_1": first["cosine"], **ends}


@dataclass(frozen=True)
class Column:
    """One column of a table: the key of the number, the head, how it is written."""

    key: str
    head: str
    form: str = "{:.3f}"


TABLES = {
    "averages": (
        Column("sigma", "\u03c3", "{:.3g}"),
        Column("to_mean", "x\u03020 to the mean of all"),
        Column("label_to_mean", "x\u03020\\|y to the mean of its label"),
        Column("to_end", "x\u03020 to the end of its run"),
    ),
    "reweighting": (
        Column("gamma", "\u03b3", "{:g}"),
        *(Column(f"steps_{n}", f"{n} steps") for n in STEP_COUNTS),
        Column("floor", "two exact samples"),
        Column("spread", "spread of the samples", "{:.2f}"),
        Column("wanted_spread", "of the density", "{:.2f}"),
    ),
    "methods": (
        Column("method", "method", "{}"),
        Column("claimed", "its own classifier says so", "{:.0%}"),
        Column("judged", "the judge says so", "{:.0%}"),
        Column("fooled", "one is sure, the other denies it", "{:.0%}"),
    ),
    "agreement": (
        Column("sigma", "\u03c3", "{:.3g}"),
        Column("cosine", "cosine of gradient and \u03b4", "{:.2f}"),
        Column("g", "gradient, rms", "{:.2g}"),
        Column("delta", "\u03b4, rms", "{:.2g}"),
    ),
    "straight": (
        Column("gamma", "\u03b3", "{:g}"),
        Column("predicted", "straight line", "{:.2f}"),
        Column("measured", "run again", "{:.2f}"),
        Column("cosine", "cosine of the two", "{:.2f}"),
        Column("slope", "slope of the end / sum of pushes", "{:.2f}"),
    ),
}


def table(numbers: dict, name: str) -> str:
    """Rows of numbers as a markdown table."""
    columns = TABLES[name]
    rows = [[column.form.format(row[column.key]) for column in columns] for row in numbers[name]]
    return markdown.table(" | ".join(column.head for column in columns), rows)


def page_of(words: str, numbers: dict) -> str:
    """Set numbers and tables into the words; KeyError for a name that has no number."""

    def value(match: re.Match) -> str:
        name, form = match.groups()
        return table(numbers, name) if name in TABLES else format(numbers[name], form or "")

    return re.sub(r"\{\{(\w+)(?::([^}]*))?\}\}", value, words)


def measure_page() -> dict:
    """Sample, draw and measure what needs no server."""
    denoise, null = pocket()
    wrong = float(card()["training"]["wrong"])
    x, asked = start_noise(SAMPLES, SEED, 80.0)
    predict = both(denoise, null, asked)
    means = averages(predict, x, asked, (read_means(), wrong), FIGURE_SAMPLE)
    draw_averages(means, wrong)
    line = straightness(predict, x, GAMMAS, [FIGURE_SAMPLE])
    draw_straight(line, LABELS[FIGURE_SAMPLE])
    runs = {(gamma, n): reweighting(gamma, n, POINTS) for gamma in PANELS for n in STEP_COUNTS}
    draw_reweighting([runs[gamma, STEP_COUNTS[-1]] for gamma in PANELS])
    facts = {"samples": SAMPLES, "points": POINTS, "random_labels": wrong, "kept_labels": 1 - wrong}
    return facts | average_numbers(means) | straight_numbers(line) | reweighting_numbers(runs)


def main() -> None:
    """Make figures, numbers and page; --page sets the stored numbers into the page only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=CHROMIUM)
    parser.add_argument("--page", action="store_true", help="only make the page again, of the stored numbers")
    args = parser.parse_args()
    if not args.page:
        with own_host() as live, Client(live.address) as client:
            draw_words(client, WORDS)
            job = two_runs(client)
            export(client, args.chromium)
            trace = saved_trace(client, job, TRACE)
            numbers = run_numbers(trace) | draw_two_runs(client, job, trace.header["labels"])
            numbers |= classifier_half(client)
        write_json(NUMBERS, numbers | measure_page())
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    print(json.dumps(numbers, indent=1))
    markdown.write(PAGE, page_of(WORDS_OF_PAGE.read_text(encoding="utf-8"), numbers))


if __name__ == "__main__":
    main()
