"""Figures of the templates' own runs for the documentation: any word of GGFigure, drawn by the node, without metadata.

Classifier figures are of the run of `Classifier guidance`, all others of that of `The geometry of guidance`, so that a
reader who opens the template sees the same pictures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...figures.registry import BY_NAME
from ...trace.file import load
from ...trace.trace import Trace
from ..host.client import Client, Job
from ..places import ROOT
from ..templates.layouts import CLASSIFIER_GUIDANCE, COLOURS, THE_GEOMETRY, Layout
from .pictures import write

FIGURES = ROOT / "docs" / "figures"
STILL, FILM = {"save": "png", "theme": "light"}, {"save": "webp", "theme": "light", "size": "column 600"}


@dataclass(frozen=True)
class Source:
    """A sampler of a template, and the figure node whose settings are used."""

    layout: Layout
    sampler: str
    figure: str

    @cached_property
    def template(self) -> dict:
        """All nodes of the template."""
        return json.loads(self.layout.api.read_text(encoding="utf-8"))

    @property
    def run(self) -> dict:
        """The run alone: what everything else is drawn from."""
        return upstream(self.template, [self.sampler])

    def drawn(self, words: Sequence[str]) -> dict:
        """The run with one figure node a word; animations are small ones."""
        settings, graph = self.template[self.figure], self.run
        for word in words:
            chosen = FILM if BY_NAME[word].film else STILL
            graph[word] = settings | {"inputs": settings["inputs"] | chosen | {"figure": word}}
        return graph


FREE, BY_GRADIENT = Source(THE_GEOMETRY, "6", "23"), Source(CLASSIFIER_GUIDANCE, "31", "61")
COLOURED = json.loads(COLOURS.api.read_text(encoding="utf-8"))


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


def draw_words(client: Client, words: Sequence[str]) -> None:
    """Run each source that is needed once, draw the figures of all words, and keep them in docs/figures."""
    for source in (FREE, BY_GRADIENT):
        mine = [word for word in words if BY_NAME[word].by_classifier == (source is BY_GRADIENT)]
        if mine:
            job = client.run(source.drawn(mine))
            for word in mine:
                write(file_of(word), client.file(job.outputs[word]["images"][0]))


def saved_trace(client: Client, job: Job, node: str) -> Trace:
    """The trace that a node of a job saved."""
    name = job.outputs[node]["text"][0].split(":")[0]
    path = ROOT / "output" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(client.file({"filename": name, "subfolder": "traces", "type": "output"}))
    return load(path)
