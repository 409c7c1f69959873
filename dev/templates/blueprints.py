"""Subgraphs that the editor offers among its nodes: each is a part of a graph that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Blueprint:
    """One blueprint.

    api: a graph in API form. part: which of its nodes the subgraph holds, and what its own node shows; what its inputs
    and outputs are, the wires between these nodes and the others say. description, aliases: as the editor shows them,
    and by which it is found.
    """

    title: str
    description: str
    aliases: list[str]
    api: dict[str, dict]
    columns: list[dict[str, Any]]
    widgets: list[list[str]]

    @property
    def part(self) -> dict[str, Any]:
        """The subgraph, as a template has it."""
        return {"title": self.title, "columns": self.columns, "widgets": self.widgets}


START = {
    "1": {
        "class_type": "GGLoadDenoiser",
        "inputs": {
            "denoiser_name": "pocket-1",
            "parametrisation": "auto",
            "schedule": "auto",
            "weight_dtype": "default",
        },
    },
    "2": {"class_type": "GGClassLabel", "inputs": {"model": ["1", 0], "label": "*"}},
    "3": {
        "class_type": "GGEmptyCanvas",
        "inputs": {"model": ["1", 0], "width": 0, "height": 0, "batch_size": 4},
    },
}
RUN = {
    "4": {
        "class_type": "GGGuidedSampler",
        "inputs": {
            "model": ["1", 0],
            "seed": 0,
            "steps": 20,
            "cfg": 4.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "positive": ["2", 0],
            "negative": ["2", 1],
            "latent_image": ["3", 0],
            "denoise": 1.0,
            "capture": "pictures",
            "capture_mb": 256,
        },
    },
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 1]}},
    "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    "7": {"class_type": "GGSaveTrace", "inputs": {"trace": ["4", 2], "filename_prefix": "trace"}},
}
SEEN = {
    "8": {"class_type": "GGInspector", "inputs": {"trace": ["4", 2], "vae": ["1", 1], "pictures": 8}},
    "9": {"class_type": "GGReport", "inputs": {"trace": ["8", 0], "vae": ["1", 1]}},
    "10": {"class_type": "PreviewAny", "inputs": {"source": ["9", 0]}},
}
BY_CLASSIFIER = {
    "11": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-noisy-1"}},
    "12": {"class_type": "GGLabelEnergy", "inputs": {"classifier": ["11", 0], "label": "*", "kind": "label"}},
    "13": {
        "class_type": "GGClassifierGradient",
        "inputs": {
            "energy": ["12", 0],
            "scale": 2.0,
            "evaluation": "auto",
            "normalise": "none",
            "limit": 0.2,
            "start_percent": 0.0,
            "end_percent": 1.0,
            "every_k": 1,
            "preset": "scale",
            "vae": ["1", 1],
        },
    },
}
SAMPLED = [["4", "seed"], ["4", "steps"], ["4", "cfg"], ["4", "sampler_name"], ["4", "scheduler"]]


def guided_by(guidance: str) -> dict[str, dict]:
    """The run, guided by what a node gives."""
    sampler = RUN["4"]
    return RUN | {"4": sampler | {"inputs": sampler["inputs"] | {"cfg": 1.0, "guidance": [guidance, 0]}}}


BLUEPRINTS = {
    one.title: one
    for one in (
        Blueprint(
            "Inspected CFG",
            "KSampler with its guidance shown: open it for every step, and to measure your model.",
            ["guidance geometry", "cfg", "inspector", "ksampler", "guidance report"],
            START | RUN | SEEN,
            [
                {"width": 320, "nodes": ["4"]},
                {"width": 300, "nodes": ["5"]},
                {"width": 520, "nodes": ["8"]},
                {"width": 320, "nodes": ["9"]},
            ],
            SAMPLED,
        ),
        Blueprint(
            "Guided by a classifier",
            "KSampler steered by a classifier's gradient: choose a classifier, the label and the scale.",
            ["guidance geometry", "classifier guidance", "label", "gradient"],
            START | BY_CLASSIFIER | guided_by("13"),
            [
                {"width": 300, "nodes": ["11", "12"]},
                {"width": 320, "nodes": ["13"]},
                {"width": 320, "nodes": ["4"]},
                {"width": 260, "nodes": ["5"]},
            ],
            [["11", "classifier_name"], ["12", "label"], ["13", "scale"], *SAMPLED],
        ),
    )
}
