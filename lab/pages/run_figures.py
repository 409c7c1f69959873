"""Figures of the templates' own runs for the documentation: any word of GGFigure, drawn by the node, without metadata.

Classifier figures are of the run of `Classifier guidance`, all others of that of `The geometry of guidance`, so that a
reader who opens the template sees the same pictures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ...dev.places import ROOT
from ...dev.templates.layouts import LAYOUTS, Layout
from ...figures.registry import BY_NAME
from ...sweeps.comfyui.client import Client, Job
from ...trace.file import load
from ...trace.trace import Trace
from .pictures import write

FIGURES = ROOT / "docs" / "figures"
HELP = ROOT / "web" / "docs" / "GGFigure.webp"
RULE = {  # early it holds guidance back and pushes across it; of plain guidance the line would be flat
    "class_type": "GGAdaptiveProjected",
    "inputs": {"eta": 0.0, "threshold": 0.06, "momentum": -0.5, "threshold_unit": "per element", "space": "x0"},
}
STILL, FILM = {"save": "png", "theme": "light"}, {"save": "webp", "theme": "light", "size": "column 600"}


@dataclass(frozen=True)
class Source:
    """A sampler of a template, and the figure node whose settings are used.  has_rules: at cfg 8, with APG."""

    layout: Layout
    sampler: str
    figure: str
    has_rules: bool = False

    @cached_property
    def template(self) -> dict:
        """All nodes of the template."""
        return json.loads(self.layout.api.read_text(encoding="utf-8"))

    @property
    def run(self) -> dict:
        """The run alone: what everything else is drawn from."""
        run = upstream(self.template, [self.sampler])
        if not self.has_rules:
            return run
        sampler = run[self.sampler]
        inputs = sampler["inputs"] | {"cfg": 8.0, "guidance": ["rule", 0]}
        return run | {self.sampler: sampler | {"inputs": inputs}, "rule": RULE}

    def with_figures(self, words: Sequence[str]) -> dict:
        """The run with one figure node a word; animations are small ones."""
        settings, graph = self.template[self.figure], self.run
        for word in words:
            chosen = FILM if BY_NAME[word].film else STILL
            graph[word] = settings | {"inputs": settings["inputs"] | chosen | {"figure": word}}
        return graph


FREE = Source(LAYOUTS["The geometry of guidance"], "6", "23")
BY_GRADIENT = Source(LAYOUTS["Classifier guidance"], "31", "61")
RULED = replace(FREE, has_rules=True)
COLOURED = json.loads(LAYOUTS["A colour by a gradient"].api.read_text(encoding="utf-8"))


def upstream(template: Mapping, ends: Sequence[str]) -> dict:
    """The nodes that these need, and these."""
    wanted, kept = list(ends), {}
    while wanted:
        node = wanted.pop()
        kept[node] = template[node]
        wires = [value[0] for value in template[node]["inputs"].values() if isinstance(value, list)]
        wanted += [name for name in wires if name not in kept]
    return kept


def file_of(word: str) -> Path:
    """Where the documentation keeps a figure."""
    return FIGURES / f"{word.replace(' ', '-')}.webp"


def source_of(word: str) -> Source:
    """Which run a figure is drawn from."""
    return BY_GRADIENT if BY_NAME[word].by_classifier else RULED if word == "effective scale" else FREE


def draw_words(client: Client, words: Sequence[str]) -> None:
    """Run each source that is needed once, draw the figures of all words, and keep them in docs/figures."""
    for source in (FREE, RULED, BY_GRADIENT):
        mine = [word for word in words if source_of(word) is source]
        if mine:
            job = client.run(source.with_figures(mine))
            for word in mine:
                write(file_of(word), client.file(job.outputs[word]["images"][0]))


def draw_help(client: Client) -> None:
    """The picture of the node's help page: the same step plane on a narrow sheet."""
    (word, *_) = BY_NAME
    graph = FREE.with_figures([word])
    graph[word]["inputs"]["size"] = FILM["size"]
    write(HELP, client.file(client.run(graph).outputs[word]["images"][0]))


def saved_trace(client: Client, job: Job, node: str) -> Trace:
    """The trace that a node of a job saved."""
    name = job.outputs[node]["text"][0].split(":")[0]
    path = ROOT / "output" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(client.file({"filename": name, "subfolder": "traces", "type": "output"}))
    return load(path)
