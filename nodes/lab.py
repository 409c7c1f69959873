"""Nodes for experiments with known answers."""

from __future__ import annotations

import math
import re

from comfy_api.latest import io

from .. import guidance, host
from ..guidance.printing import shorten
from ..guidance.vectors import gradient_mode
from ..host.editor.checks import CheckedNode
from ..host.editor.widgets import choice_input
from ..host.editor.wires import ClassifierWire
from ..models import classifiers

SPACES = ("ve", "flow")
LOOKS = 3  # components of every class
MOST_CLASSES = 1000
MOST_NUMBERS = 50_000_000  # of all means together, 400 MB in float64
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF


def parse_shape(text: str) -> tuple[int, ...]:
    """Read "3x32x32" as (3, 32, 32): channels first, then one to three sides."""
    sizes = re.split(r"\s*[x,*]\s*|\s+", text.strip().lower())
    if not 2 <= len(sizes) <= 4 or not all(re.fullmatch(r"[1-9]\d{0,5}", size) for size in sizes):
        raise ValueError(
            f"shape is {shorten(text, 60)!r} but must be channels and 1 to 3 sides, such as 3x32x32 (or 2x1x1)."
        )
    return tuple(map(int, sizes))


def too_large(shape: str | None, classes: int | None) -> str | None:
    """A sentence if the shape cannot be read, or the mixture would not fit into memory."""
    try:
        count = math.prod(parse_shape(shape)) * LOOKS * (classes or 1) if shape is not None else 0
    except ValueError as wrong:
        return str(wrong)
    if count <= MOST_NUMBERS:
        return None
    return (
        f"shape {shape} with {classes} classes needs {count:,} numbers; at most {MOST_NUMBERS:,} are made. "
        "Choose a smaller shape or fewer classes."
    )


class GGMixtureModel(CheckedNode):
    """A mixture whose denoiser and classifier are known in closed form, as MODEL and GG_CLASSIFIER."""

    name = "Exact Mixture Model (lab)"
    search_words = ("Gaussian mixture", "toy model", "ground truth")
    category = "guidance geometry/lab"
    description = (
        "A toy world that is known exactly: its model and its classifier are formulas. It shows guidance itself, "
        "without errors of a network."
    )
    inputs = (
        io.String.Input(
            "shape", default="3x32x32", tooltip="Channels, then sides: 3x32x32 is a small image, 2x1x1 a point."
        ),
        io.Int.Input(
            "classes", default=3, min=1, max=MOST_CLASSES, tooltip="Number of labels; each has three variants."
        ),
        choice_input(
            "kind",
            SPACES,
            "How noise is added. ve: x0 + sigma eps. flow: (1 - sigma) x0 + sigma eps.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=LARGEST_SEED,
            tooltip="Each seed gives a different world; the same seed gives the same world.",
        ),
    )
    outputs = (
        io.Model.Output(tooltip="The exact model; connect it like any MODEL, with Class Label."),
        ClassifierWire.Output(display_name="classifier", tooltip="The exact classifier at every noise, for guidance."),
    )

    @classmethod
    def validate_inputs(cls, shape: str | None, classes: int | None) -> str | None:
        return too_large(shape, classes)

    @classmethod
    def execute(cls, shape: str, classes: int, kind: str, seed: int) -> io.NodeOutput:
        with gradient_mode():  # gradients are taken through it
            mixture = guidance.mixture.make_mixture(parse_shape(shape), classes, seed, LOOKS)
        labels = tuple(f"class {index}" for index in range(classes))
        name = f"mixture {shape.strip()}, {classes} classes, {kind}, seed {seed}"
        return io.NodeOutput(
            host.models.native_model.native_mixture(mixture, kind, labels, name),
            classifiers.exact.MixtureClassifier(mixture, labels, kind),
        )
