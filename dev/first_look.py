"""A first look at guidance: one workflow, the same seeds, several scales; what comes out, and what each run recorded.

    python lab first_look --server http://127.0.0.1:8188 --output output/demo

Leaves a contact sheet, the four figures of classifier-free guidance, one trace per scale and a table.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from ..figures.contact_sheet import contact_sheet
from ..measure.measurement import measurement_of
from ..models.classifiers.files import labels_of, load_classifier
from ..sweeps.comfyui.client import Client
from ..trace.file import load
from ..trace.trace import Trace
from .places import ROOT

WORKFLOW = ROOT / "sweeps" / "comfyui" / "first_look.json"
JUDGE = ROOT / "assets" / "classifiers" / "pocket-judge-1.safetensors"
GAMMAS = (1.0, 2.0, 4.0, 8.0, 14.0)
SHOWN_GAMMA = 4.0  # the scale whose run is drawn
FIGURES = {"F12": "two predictions", "F13": "difference", "F14": "scaled difference", "F15": "step"}
LABELS, BATCH = 10, 40  # four pictures of each label; the labels take turns
DRAWS = 1  # how often the model is asked about each picture
TITLE = "The same noise, five guidance scales"
NOTE = (
    "Rows: the label that was asked for. The demo model learned from labels of which 30 % were replaced at random, as "
    "careless as captions on the web. gamma = 1 draws what it learned; more exaggerates what the label adds. "
    f"Below: how many of {BATCH} pictures a separate classifier recognises as asked; two of four per label are shown."
)
CANVAS, SAMPLER, DECODE, FIGURE = "3", "4", "5", "8"  # node ids of the template
SHOWN = ("6", "7", FIGURE)  # what it shows in the editor, not needed here
PICTURES, SAVED_TRACE = "20", "21"  # nodes added here


@dataclass(frozen=True)
class Run:
    """What one scale gave. pictures: uint8 [B, H, W, 3]. correct: bool [B], the judge saw the wanted label."""

    gamma: float
    pictures: np.ndarray
    correct: np.ndarray
    trace: Trace


def workflow(gamma: float) -> dict:
    """Take the template's API form, set the scale, ask for a larger batch, and keep pictures, trace and figures."""
    template = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    graph = {node: template[node] for node in template if node not in SHOWN}
    graph[CANVAS]["inputs"]["batch_size"] = BATCH
    graph[SAMPLER]["inputs"] |= {"cfg": gamma, "measure": DRAWS}
    graph[PICTURES] = {"class_type": "PreviewImage", "inputs": {"images": [DECODE, 0]}}
    prefix = f"first-look-gamma-{gamma:g}"
    graph[SAVED_TRACE] = {"class_type": "GGSaveTrace", "inputs": {"trace": [SAMPLER, 2], "filename_prefix": prefix}}
    if gamma == SHOWN_GAMMA:
        graph |= figure_nodes(template[FIGURE])
    return graph


def figure_nodes(template: dict) -> dict:
    """Draw the figures of the post from the run, with the settings of the template's own figure."""
    settings = {"class_type": template["class_type"], "inputs": template["inputs"] | {"sample": -1}}
    return {name: settings | {"inputs": settings["inputs"] | {"figure": words}} for name, words in FIGURES.items()}


class Progress:
    """One line that grows with the sampler's steps over all runs."""

    def __init__(self, runs: int, width: int = 40):
        self.runs, self.finished_runs, self.width = runs, 0, width

    def listen(self, kind: str, data: dict) -> None:
        """Draw the line at every step of the sampler; into a file only at the end of a run."""
        if kind != "progress" or data.get("node") != SAMPLER:
            return
        ended = data["value"] == data["max"]
        share = (self.finished_runs + data["value"] / data["max"]) / self.runs
        if ended or sys.stdout.isatty():
            print(f"\r[{'#' * round(share * self.width):{self.width}}] {share:4.0%}", end="", flush=True)
        self.finished_runs += ended


def array(content: bytes) -> np.ndarray:  # -> uint8 [H, W, 3]
    """Decode a picture."""
    from PIL import Image

    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def ask_judge(pictures: np.ndarray, labels: list[str]) -> np.ndarray:  # uint8 [B, H, W, 3] -> bool [B]
    """Ask the judge, a classifier that never guides, whether each picture shows its label."""
    judge, metadata = load_classifier(JUDGE)
    names = labels_of(metadata)
    x0 = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        seen = judge(x0).argmax(dim=1).tolist()
    return np.array([names[index] == label for index, label in zip(seen, labels, strict=True)])


def sample_scale(client: Client, gamma: float, progress: Progress, output: Path) -> Run:
    """Run one scale, and fetch its pictures, its trace and, for the shown scale, its figures."""
    job = client.run(workflow(gamma), progress.listen)
    saved = output / f"trace-gamma-{gamma:g}.safetensors"
    written = job.outputs[SAVED_TRACE]["text"][0].split(":")[0]
    saved.write_bytes(client.file({"filename": written, "subfolder": "traces", "type": "output"}))
    for name in FIGURES if gamma == SHOWN_GAMMA else ():
        content = client.file(job.outputs[name]["images"][0])
        (output / f"{name} {FIGURES[name]}.png").write_bytes(content)
    pictures = np.stack([array(client.file(entry)) for entry in job.outputs[PICTURES]["images"]])
    trace = load(saved)
    return Run(gamma, pictures, ask_judge(pictures, trace.header["labels"]), trace)


def row(run: Run) -> list[str]:
    """The numbers of one run: means over the batch, and over the steps where the quantity is one of the run."""
    trace = run.trace
    strength, tug = (float(trace.column(name).nanmean()) for name in ("M1", "M6t"))
    said = measurement_of(trace.header)
    return [
        f"{run.gamma:g}",
        f"{int(run.correct.sum())} of {len(run.correct)}",
        "-" if math.isnan(strength) else f"{strength:.3f}",
        "-" if math.isnan(tug) else f"{tug:+.3f}",
        said.strength.text if said else "-",
        said.ratio.text if said else "-",
        f"{trace.header['evaluations']}",
    ]


def table(runs: list[Run]) -> str:
    """One line a scale."""
    heads = ["gamma", "judge agrees", "M1 strength", "M6t tug", "prompt strength", "denoising ratio", "evaluations"]
    rows = [heads, *(row(run) for run in runs)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in rows)


def sheet(runs: list[Run]):
    """One column a scale, one row a label, two pictures of each; under a column, how often the judge agrees."""
    labels = runs[0].trace.header["labels"][:LABELS]
    columns = []
    for run in runs:
        shown = torch.from_numpy(run.pictures[: 2 * LABELS].copy()).float() / 255
        pairs = torch.cat([shown[:LABELS], torch.ones_like(shown[:LABELS, :, :2]), shown[LABELS:]], dim=2)
        caption = f"{int(run.correct.sum())} of {len(run.correct)} as asked"
        columns.append((f"gamma = {run.gamma:g}", pairs, caption))
    return contact_sheet(columns, title=TITLE, scale=3, rows=labels, note=NOTE)


def main() -> None:
    """Run every scale and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="http://127.0.0.1:8188", help="address of a running ComfyUI with this pack")
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "demo")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    progress = Progress(len(GAMMAS))
    with Client(args.server) as client:
        runs = [sample_scale(client, gamma, progress, args.output) for gamma in GAMMAS]
    sheet(runs).save(args.output / "contact-sheet.png")
    summary = table(runs)
    (args.output / "summary.txt").write_text(summary + "\n", encoding="utf-8")
    print(f"\n\n{summary}\n\nIn {args.output}:")
    for file in sorted(args.output.iterdir()):
        print(f"  {file.name}")


if __name__ == "__main__":
    main()
