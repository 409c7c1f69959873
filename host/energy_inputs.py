"""What the energy nodes share: their wires and widgets, and what a network must answer to be asked."""

from __future__ import annotations

from torch import Tensor

from ..guidance.printing import safe_text
from ..guidance.vectors import gradient_mode
from .knob_inputs import StatedNode
from .wires import EnergyWire, offering

CATEGORY = "guidance geometry/classifier"
NOBODY = -1  # an empty label is no label here
ENERGY = EnergyWire.Input("energy", tooltip="What a picture should be: from a label, a reference, or other energies.")
OUT = EnergyWire.Output(display_name="energy", tooltip="log p per image, for Classifier Guidance or Watch an Energy.")
ANSWERS = {  # of a network: what it says, and what has it
    "labels": ("one label a picture", "a classifier of whole pictures"),
    "text": ("how well a text fits", "a CLIP or SigLIP folder"),
    "segmentation": ("a class for every pixel", "a segmentation network: segformer, deeplabv3 or lraspp"),
    "depth": ("depth", "a depth network: Depth Anything or DPT"),
    "features": ("features", "a DINO, CLIP or SigLIP folder"),
}
ASKED = {  # how each is asked
    "labels": ("labels", "logits"),
    "text": ("scale", "bias", "image_features", "text_features"),
    "segmentation": ("labels", "logits"),
    "depth": ("inverse", "depth"),
    "features": ("features",),
}


class EnergyNode(StatedNode):
    """The node of an energy."""

    category = CATEGORY
    outputs = (OUT,)


def answering(classifier, *wanted: str) -> str | None:
    """A sentence if a network answers with something else than it is wanted for."""
    given = getattr(classifier, "output", "labels")
    if given in wanted and offering(*ASKED[given])(classifier):
        return None
    said, choose = ANSWERS[wanted[0]]
    answer, _ = ANSWERS.get(given, ("something else", ""))
    return f"{safe_text(classifier)} gives {answer}, but {said} is needed. Choose {choose}."


def pictures(image: Tensor) -> Tensor:  # IMAGE [B, H, W, C] in 0 .. 1 -> [B, 3, H, W] in -1 .. 1
    """Pictures as energies see them, on memory that allows gradients."""
    with gradient_mode():
        return image.clone()[..., :3].movedim(-1, 1) * 2 - 1


def region(mask: Tensor) -> Tensor:  # MASK [B, H, W] or [H, W] -> [B, H, W]
    """A mask on memory that allows gradients."""
    with gradient_mode():
        return mask.clone().reshape(-1, *mask.shape[-2:])
