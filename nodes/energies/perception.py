"""What networks should see in a picture, as wires: a text, a map of classes, depth."""

from __future__ import annotations

import re

from comfy_api.latest import io
from torch import Tensor

from ...denoisers.labels import entries_of, label_indices
from ...guidance.energies.perception import DISTANCES, TEXT_KINDS, DepthEnergy, SegmentationEnergy, TextEnergy
from ...guidance.energies.pictures import map_of_colours, map_of_levels, map_of_mask
from ...guidance.vectors import gradient_mode
from ...host.checks import insist
from ...host.energy_inputs import NOBODY, EnergyNode, answering, region
from ...host.knob_inputs import input_for
from ...host.widgets import choice_input
from ...host.wires import ClassifierWire

AVERAGES = ("pixels", "classes")
NEAR = ("white is near", "white is far")
LARGEST_LEVEL = 255
DRAWN = re.compile(r"#([0-9a-fA-F]{6})\s+(\S.*)")


class GGTextEnergy(EnergyNode):
    """A text as energy."""

    name = "Text Energy (CLIP, SigLIP)"
    description = (
        "How well a text fits, according to a CLIP or SigLIP network. The denoising model need not know any text."
    )
    inputs = (
        ClassifierWire.Input("classifier", tooltip="A CLIP or SigLIP folder, from Load Classifier."),
        io.String.Input(
            "text",
            default="a robot",
            multiline=True,
            tooltip="What the picture should show. One per image: separate with ; or line breaks. Repeated to "
            "fill the batch.",
        ),
        io.String.Input(
            "negative",
            default="a picture",
            multiline=True,
            tooltip="What else it could show: the text is compared with these. Separate with ; or line "
            "breaks. CLIP needs at least one, unless kind is cosine.",
        ),
        choice_input(
            "kind",
            TEXT_KINDS,
            "probability: of the text among the negative ones (CLIP), or of each by itself (SigLIP). cosine: "
            "the scaled cosine alone, which never stops pushing.",
        ),
    )

    @classmethod
    def execute(cls, classifier, text, negative, kind) -> io.NodeOutput:
        insist(answering(classifier, "text"))
        against = tuple(entries_of(negative)) if negative.strip() else ()
        return io.NodeOutput(TextEnergy(classifier, tuple(entries_of(text)), against, kind))


class GGSegmentationEnergy(EnergyNode):
    """A map of classes as energy."""

    name = "Segmentation Energy"
    description = (
        "The probability that a segmentation network gives to a map of classes: what should be where. "
        "Draw it as a mask, as grey levels or in colours."
    )
    inputs = (
        ClassifierWire.Input(
            "classifier", tooltip="A segmentation network (segformer, deeplabv3, lraspp), from Load Classifier."
        ),
        io.String.Input(
            "classes",
            default="0",
            multiline=True,
            tooltip="Names or indices. With a mask: the class of white, then, if wanted, that of black (sky; "
            "tree). With an image: a colour and its class in each line (#0000ff sky), or * where grey level k "
            "is class k.",
        ),
        choice_input(
            "average",
            AVERAGES,
            "pixels: every pixel counts the same. classes: every class does, so that small things count too.",
        ),
        io.Int.Input(
            "ignore_index",
            default=LARGEST_LEVEL,
            min=NOBODY,
            max=LARGEST_LEVEL,
            tooltip="For grey levels: this one does not count; -1 for none. With colours: any that is not "
            "listed does not count.",
        ),
        io.Image.Input("image", optional=True, tooltip="The map, in colours or grey levels."),
        io.Mask.Input("mask", optional=True, tooltip="The map, of one or two classes."),
    )

    @classmethod
    def execute(cls, classifier, classes, average, ignore_index, image=None, mask=None) -> io.NodeOutput:
        insist(answering(classifier, "segmentation"))
        with gradient_mode():
            wanted = drawn_map(tuple(classifier.labels), classes, ignore_index, image, mask)
            return io.NodeOutput(SegmentationEnergy(classifier, wanted, average == "classes"))


def drawn_map(
    labels: tuple[str, ...], classes: str, ignore_index: int, image: Tensor | None, mask: Tensor | None
) -> Tensor:  # -> [n, H, W] int64
    """The map of classes that a user drew.  Raises ValueError unless there is one, in one of the forms."""
    if image is None and mask is not None:
        return map_of_mask(region(mask), *mask_classes(classes, labels))
    if image is None or mask is not None:
        raise ValueError("The map is an IMAGE or a MASK, and exactly one of them must be connected.")
    if classes.strip() == "*":
        return map_of_levels(image, ignore_index)
    return map_of_colours(image, *drawn_classes(classes, labels))


def mask_classes(text: str, labels: tuple[str, ...]) -> list[int]:
    """The class of white, and that of black if there is one.  Raises ValueError for none, or for more."""
    named = entries_of(text)
    if not all(named) or len(named) > 2:
        raise ValueError(
            f"classes is {text!r}, and a mask has one or two: write that of white, then, if wanted, that of black."
        )
    return [one_class(entry, labels) for entry in named]


def drawn_classes(text: str, labels: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Colours and their classes from lines such as "#0000ff sky".  Raises ValueError for any other line."""
    found = [(entry, DRAWN.fullmatch(entry)) for entry in entries_of(text)]
    wrong = next((entry for entry, parts in found if parts is None), None)
    if wrong is not None:
        raise ValueError(
            f"{wrong!r} is not a colour with a class. Write lines such as '#0000ff {labels[0]}', or * alone where grey "
            "level k is class k."
        )
    pairs = [parts.groups() for _, parts in found if parts]
    return [int(colour, 16) for colour, _ in pairs], [one_class(name, labels) for _, name in pairs]


def one_class(entry: str, labels: tuple[str, ...]) -> int:
    """The index of a class by name or number.  Raises ValueError, with the nearest name."""
    found = label_indices(entry, labels, NOBODY, "classifier")
    if len(found) != 1:
        raise ValueError(f"{entry!r} is {len(found)} classes; one is needed: a name or an index.")
    return found[0]


class GGDepthEnergy(EnergyNode):
    """A depth map as energy."""

    name = "Depth Energy"
    description = (
        "How well the depth estimated by a network matches a wanted depth map, whatever the scale and offset of both."
    )
    inputs = (
        ClassifierWire.Input("classifier", tooltip="A depth network (Depth Anything, DPT), from Load Classifier."),
        io.Image.Input("image", tooltip="The wanted depth as a grey picture, one per image in turn."),
        choice_input(
            "shows", NEAR, "white is near: as depth preprocessors draw it. white is far: as distances are drawn."
        ),
        choice_input("distance", DISTANCES, "L1: tolerates a few outliers. L2: pulls hardest at the largest errors."),
        input_for(DepthEnergy, "spread"),
    )

    @classmethod
    def execute(cls, classifier, image, shows, distance, spread) -> io.NodeOutput:
        insist(answering(classifier, "depth"))
        return io.NodeOutput(DepthEnergy(classifier, grey(image), shows == NEAR[0], distance, spread))


def grey(image: Tensor) -> Tensor:  # IMAGE [B, H, W, C] -> [B, H, W]
    """The mean of the channels, on memory that allows gradients."""
    return region(image[..., :3].mean(dim=-1))
