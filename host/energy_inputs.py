"""What the energy nodes share: their wires and widgets, and what a network must answer to be asked."""

from __future__ import annotations

from functools import partial
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..guidance.energies.protocol import PictureEnergy
from ..guidance.knobs import Stated
from ..guidance.printing import shown
from ..guidance.vectors import gradient_mode
from .checks import CheckedNode
from .knob_inputs import inputs_of, node_of, values_of
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


def stated_schema(owner: type[Stated], output: Any) -> io.Schema:
    """Schema of a node beside the energies that is made of what a class states of itself."""
    return io.Schema(
        node_id=owner.node_id,
        display_name=owner.name,
        category=CATEGORY,
        description=owner.description,
        inputs=[*inputs_of(owner), *inputs_of(owner, later=True)],
        outputs=[output],
    )


def energy_node(energy: type[PictureEnergy]) -> type[CheckedNode]:
    """The node of an energy, made of what its class states of itself."""

    def execute(cls, given: dict[str, Any]) -> io.NodeOutput:
        return io.NodeOutput(energy(**values_of(energy, given)))

    return node_of(energy, partial(stated_schema, energy, OUT), execute)


def answering(classifier, *wanted: str) -> str | None:
    """A sentence if a network answers with something else than it is wanted for."""
    given = getattr(classifier, "output", "labels")
    if given in wanted and offering(*ASKED[given])(classifier):
        return None
    said, choose = ANSWERS[wanted[0]]
    answer, _ = ANSWERS.get(given, ("something else", ""))
    return f"{shown(classifier)} gives {answer}, but {said} is needed. Choose {choose}."


def pictures(image: Tensor) -> Tensor:  # IMAGE [B, H, W, C] in 0 .. 1 -> [B, 3, H, W] in -1 .. 1
    """Pictures as energies see them, on memory that allows gradients."""
    with gradient_mode():
        return image.clone()[..., :3].movedim(-1, 1) * 2 - 1


def region(mask: Tensor) -> Tensor:  # MASK [B, H, W] or [H, W] -> [B, H, W]
    """A mask on memory that allows gradients."""
    with gradient_mode():
        return mask.clone().reshape(-1, *mask.shape[-2:])
