"""What should be where in a picture, drawn as a map of classes, as a wire."""

from __future__ import annotations

import re

from comfy_api.latest import io
from torch import Tensor

from ...guidance.energies.label import NOBODY
from ...guidance.energies.perception import SegmentationEnergy
from ...guidance.energies.pictures import map_of_colours, map_of_levels, map_of_mask, region
from ...guidance.energies.protocol import Classifier
from ...guidance.labels import entries_of, label_indices
from ...guidance.vectors import gradient_mode
from ...host.editor.checks import insist
from ...host.editor.energy_inputs import EnergyNode, answer_misfit
from ...host.editor.knob_inputs import input_for

LARGEST_LEVEL = 255
DRAWN = re.compile(r"#([0-9a-fA-F]{6})\s+(\S.*)")


class GGSegmentationEnergy(EnergyNode):
    """A map of classes as energy."""

    owner = SegmentationEnergy
    inputs = (
        input_for(SegmentationEnergy, "network"),
        io.String.Input(
            "classes",
            default="0",
            multiline=True,
            tooltip="Names or indices. With a mask: the class of white, then, if wanted, that of black (sky; "
            "tree). With an image: a colour and its class in each line (#0000ff sky), or * where grey level k "
            "is class k.",
        ),
        input_for(SegmentationEnergy, "balanced"),
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
    def execute(
        cls,
        classifier: Classifier,
        classes: str,
        average: str,
        ignore_index: int,
        image: io.Image.Type | None = None,
        mask: io.Mask.Type | None = None,
    ) -> io.NodeOutput:
        insist(answer_misfit(classifier, "segmentation"))
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
    entries = [(entry, DRAWN.fullmatch(entry)) for entry in entries_of(text)]
    wrong = next((entry for entry, parts in entries if parts is None), None)
    if wrong is not None:
        raise ValueError(
            f"{wrong!r} is not a colour with a class. Write lines such as '#0000ff {labels[0]}', or * alone where grey "
            "level k is class k."
        )
    pairs = [parts.groups() for _, parts in entries if parts]
    return [int(colour, 16) for colour, _ in pairs], [one_class(name, labels) for _, name in pairs]


def one_class(entry: str, labels: tuple[str, ...]) -> int:
    """The index of a class by name or number.  Raises ValueError, with the nearest name."""
    indices = label_indices(entry, labels, NOBODY, "classifier")
    if len(indices) != 1:
        raise ValueError(f"{entry!r} is {len(indices)} classes; one is needed: a name or an index.")
    return indices[0]
