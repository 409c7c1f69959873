"""What the energy nodes share: their wires and widgets, and what a network must answer to be asked."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...guidance.energies.composition import MaskedEnergy
from ...guidance.energies.protocol import Network
from ...guidance.knobs import knobs
from ...guidance.printing import safe_text
from .checks import insist
from .knob_inputs import StatedNode, input_for
from .wires import EnergyWire, offering

CATEGORY = "guidance geometry/classifier"
ENERGY = input_for(MaskedEnergy, "energy")
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

    @classmethod
    def search_aliases(cls) -> list[str]:
        """What an editor's search finds the node by: its own words, and what energies are for."""
        return [*super().search_aliases(), "classifier guidance"]

    @classmethod
    def outcome(cls, given: dict[str, Any]) -> io.NodeOutput:
        """An energy of the class.  Raises ValueError for a network that does not answer what it asks."""
        insist(*(answer_misfit(given[knob.name], knob.answers) for knob in knobs(cls.owner).values() if knob.answers))
        return super().outcome(given)


def answer_misfit(classifier: Network, *wanted: str) -> str | None:
    """A sentence if a network answers with something else than it is wanted for."""
    given = getattr(classifier, "output", "labels")
    if given in wanted and offering(*ASKED[given])(classifier):
        return None
    refusal, choose = ANSWERS[wanted[0]]
    answer, _ = ANSWERS.get(given, ("something else", ""))
    return f"{safe_text(classifier)} gives {answer}, but {refusal} is needed. Choose {choose}."
