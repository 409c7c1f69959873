"""The classifier half of the story: its figures and numbers.

They are of the runs of the templates `Classifier guidance` and `A colour by a gradient`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...dev.first_look import array, ask_judge
from ...dev.fixtures.classifier_run import ClassifierRun
from ...figures.classifier_curves import beside
from ...figures.contact_sheet import contact_sheet
from ...figures.pull import pull_of
from ...guidance.mixture import make_mixture
from ...sweeps.comfyui.client import Client, Job
from ...trace.terms import LOG_PROB
from ...trace.trace import Trace
from .pictures import write, write_pixels
from .run_figures import BY_GRADIENT, COLOURED, FIGURES, STILL, saved_trace, upstream

CANVAS, FOOLED = "3", "63"  # node ids of the template: the canvas, and the figure that shows a classifier fooled
METHODS = {"CFG": ("20", "21"), "noise-aware": ("31", "32"), "x0 + backprop": ("41", "42"), "x0": ("51", "52")}
COLOURS = {"a colour alone": "80", "a robot, and a colour": "86"}
NAMES = ("red", "green", "blue", "yellow")
JUDGE, GUIDE = f"{LOG_PROB}watch", f"{LOG_PROB}gradient"
STEP, SAMPLE, PLANET = 5, 2, 4  # as the template's figures
MANY = 50  # samples of the measured runs
SHOWN = (0, 2, 4, 5, 6, 8, 10, 12)
SURE, UNSURE = 0.9, 0.1


def round_digits(value: float) -> float:
    """Four significant digits: what a repeated run gives again."""
    return float(f"{value:.4g}")


def classifier_half(client: Client) -> dict:
    """Draw the methods, the colours and the fooled classifier; returns all numbers of this half."""
    job = shown_run(client)
    labels = saved_trace(client, job, "CFG").header["labels"]
    write(FIGURES / "story-judge.webp", client.file(job.outputs[FOOLED]["images"][0]))
    methods = [pictures(client, job, f"{name} pictures") for name in METHODS]
    rows = ["CFG", "noise-aware classifier", "x\u0302\u2080 + backprop", "x\u0302\u2080 without"]
    draw_sheet("four-methods", "The same noise, four methods for a label", (methods, rows), labels)
    coloured = [pictures(client, job, name) for name in COLOURS]
    draw_sheet("colours", "Colours that nobody taught", (coloured, list(COLOURS)), NAMES * 2)
    counts = {f"right_{k}": int(ask_judge(shown, labels).sum()) for k, shown in enumerate(methods)}
    fooled = saved_trace(client, job, "x0").steps
    planet = {name: math.exp(float(fooled[key][-1, PLANET])) for name, key in (("guide", GUIDE), ("judge", JUDGE))}
    step = step_numbers(saved_trace(client, job, "noise-aware"))
    many = many_runs(client)
    facts = {f"planet_{name}": round_digits(value) for name, value in planet.items()}
    return counts | facts | step | method_numbers(many) | agreement_numbers(many["noise-aware"]) | exact_numbers()


def shown_run(client: Client) -> Job:
    """The runs of both templates, with the pictures and the trace of every method."""
    template = BY_GRADIENT.template
    graph = upstream(COLOURED, [*COLOURS.values()])  # the nodes that both templates have are the same
    graph |= upstream(template, [FOOLED, *(decode for _, decode in METHODS.values())])
    graph[FOOLED] = template[FOOLED] | {"inputs": template[FOOLED]["inputs"] | STILL}
    shown = {f"{name} pictures": decode for name, (_, decode) in METHODS.items()} | COLOURS
    for name, decode in shown.items():
        graph[name] = {"class_type": "PreviewImage", "inputs": {"images": [decode, 0]}}
    return client.run(graph | traces())


def traces() -> dict:
    """Nodes that save the trace of every method, each under the name of its method."""
    return {name: saver(sampler) for name, (sampler, _) in METHODS.items()}


def saver(sampler: str) -> dict:
    """A node that saves the trace of a sampler."""
    return {"class_type": "GGSaveTrace", "inputs": {"trace": [sampler, 2], "filename_prefix": f"method-{sampler}"}}


def many_runs(client: Client) -> dict[str, Trace]:
    """The same methods with many samples, as numbers only; a job each, so that none of them takes long."""
    found = {}
    for name, (sampler, _) in METHODS.items():
        graph = upstream(BY_GRADIENT.template, [sampler])
        graph[CANVAS] = graph[CANVAS] | {"inputs": graph[CANVAS]["inputs"] | {"batch_size": MANY}}
        graph[sampler] = graph[sampler] | {"inputs": graph[sampler]["inputs"] | {"capture": "numbers"}}
        found[name] = saved_trace(client, client.run(graph | {name: saver(sampler)}), name)
    return found


def pictures(client: Client, job: Job, node: str) -> np.ndarray:  # -> uint8 [B, H, W, 3]
    """The pictures of a preview."""
    return np.stack([array(client.file(entry)) for entry in job.outputs[node]["images"]])


def draw_sheet(name: str, title: str, named: tuple[Sequence[np.ndarray], list[str]], heads: Sequence[str]) -> None:
    """Runs as rows, their samples as columns."""
    shown = torch.from_numpy(np.stack(named[0], axis=1)).float() / 255
    columns = [(head, shown[k], "") for k, head in enumerate(heads)]
    write_pixels(FIGURES / f"story-{name}.webp", contact_sheet(columns, title=title, scale=3, rows=named[1]))


def step_numbers(trace: Trace) -> dict:
    """What the figures of one step show."""
    pull = pull_of(trace, STEP, SAMPLE)
    cosine, ratio = pull.agreement or (math.nan, math.nan)
    lengths = {"g_step": math.hypot(*pull.scene.positions.points["u"]), "g_push": math.hypot(*pull.gradient)}
    found = {"g_scale": pull.scene.facts.gamma, "g_kappa": pull.kappa, "g_cosine": cosine, "g_ratio": ratio} | lengths
    share = lengths["g_push"] * pull.scene.facts.gamma / lengths["g_step"]
    return {name: round_digits(value) for name, value in (found | {"g_share": share}).items()}


def method_numbers(many: dict[str, Trace]) -> dict:
    """How often each method arrives, and how often its own classifier is convinced alone."""
    sure = {
        name: {key: trace.steps[key][-1].exp() for key in (JUDGE, GUIDE) if key in trace.steps}
        for name, trace in many.items()
    }
    rows = [method_row(name, ends[GUIDE], ends[JUDGE]) for name, ends in sure.items() if GUIDE in ends]
    free = float((sure["CFG"][JUDGE] > 0.5).double().mean())
    return {"methods": rows, "methods_cfg": round_digits(free), "methods_samples": MANY}


def method_row(name: str, guide: Tensor, judge: Tensor) -> dict:
    """One line of the table, from what both say of the ends [samples]."""
    fooled = (guide > SURE) & (judge < UNSURE)
    shares = {"judged": judge > 0.5, "claimed": guide > 0.5, "fooled": fooled}
    return {"method": name} | {key: round_digits(float(found.double().mean())) for key, found in shares.items()}


def agreement_numbers(trace: Trace) -> dict:
    """The gradient beside the difference: medians over the samples, by noise level."""
    columns = beside(trace)
    if columns is None:
        raise ValueError("The run holds no gradient to compare with. Draw from a run that a classifier guided.")
    cosine, g, delta = (values.nanmedian(dim=1).values for values in columns)
    sigma = trace.steps["sigma"]
    rows = [
        {
            name: round_digits(float(column[k]))
            for name, column in (("sigma", sigma), ("cosine", cosine), ("g", g), ("delta", delta))
        }
        for k in SHOWN
    ]
    return {"agreement": rows, "agree_first": rows[0]["cosine"], "agree_last": rows[-1]["cosine"]}


def exact_numbers() -> dict:
    """The same of a model and a classifier that are known exactly: one arrow."""
    found = beside(ClassifierRun(make_mixture((3, 16, 16), classes=3, seed=0), torch.arange(4) % 3, 3.0).trace())
    if found is None:
        raise ValueError("The exact run holds no gradient.")
    cosine, g, delta = found
    known = delta > 1e-6
    return {
        "exact_cosine": round_digits(float(cosine[known].min())),
        "exact_ratio": round_digits(float((g / delta)[known].max())),
    }
