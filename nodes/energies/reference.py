"""How like a reference a picture is, as a wire."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from ...guidance.energies.pictures import pictures, region
from ...guidance.energies.reference import (
    ColourEnergy,
    FeatureEnergy,
    FeatureNetwork,
    MeasuredEnergy,
    SmoothEnergy,
    StyleEnergy,
    TintEnergy,
)
from ...guidance.printing import safe_text
from ...host.editor.checks import insist
from ...host.editor.energy_inputs import EnergyNode, answer_misfit
from ...host.editor.knob_inputs import input_for
from ...host.editor.widgets import choice_input
from ...host.editor.wires import ClassifierWire
from ...models import classifiers

COMPARE = ("pixels", "colours", "smoothness", "distance", "mean colour", "features", "style")


class GGReferenceEnergy(EnergyNode):
    """A reference picture as energy."""

    name = "Reference Energy"
    search_words = ("style reference", "colour", "features", "inverse problem")
    description = (
        "How well a picture matches a reference: pixel by pixel (with a mask: inpainting; with a "
        "smaller reference: super-resolution), in its colours or their mean, in smoothness; or, as seen by a "
        "network, in what it shows (features) or how it is painted (style)."
    )
    inputs = (
        choice_input(
            "compare",
            COMPARE,
            "pixels: mean squared error. colours: histograms, wherever the colours are. smoothness: total "
            "variation, without a reference. distance: the length of the error of all pixels (DPS). mean "
            "colour: the dominant tint, from any distance. features: what a network sees. style: its "
            "textures, wherever they are (Gram matrices).",
        ),
        input_for(MeasuredEnergy, "spread"),
        io.Image.Input(
            "image",
            optional=True,
            tooltip="The reference; ignored for smoothness. Pixels and distance use its middle if its "
            "proportions differ.",
        ),
        io.Mask.Input(
            "mask", optional=True, tooltip="For pixels, distance and mean colour: only where it is white counts."
        ),
        ClassifierWire.Input(
            "classifier",
            optional=True,
            tooltip="For features: a DINO, CLIP or SigLIP folder. For style: a convolutional network, such as "
            "a resnet or pocket-clean-1.",
        ),
    )

    @classmethod
    def execute(
        cls,
        compare: str,
        spread: float,
        image: io.Image.Type | None = None,
        mask: io.Mask.Type | None = None,
        classifier: FeatureNetwork | None = None,
    ) -> io.NodeOutput:
        if compare == "smoothness":
            return io.NodeOutput(SmoothEnergy(spread))
        if image is None:
            raise ValueError(f"Comparing {compare} needs a reference, and none is connected. Connect an IMAGE.")
        if compare == "colours":
            return io.NodeOutput(ColourEnergy(pictures(image), spread))
        if compare in ("features", "style"):
            return io.NodeOutput(perceived_reference(compare, classifier, pictures(image), spread))
        masked = None if mask is None else region(mask)
        if compare == "mean colour":
            return io.NodeOutput(TintEnergy(pictures(image), masked, spread))
        return io.NodeOutput(MeasuredEnergy(pictures(image), masked, spread, length=compare == "distance"))


def perceived_reference(
    compare: str, classifier: FeatureNetwork | None, reference: Tensor, spread: float
) -> FeatureEnergy | StyleEnergy:
    """A reference as a network sees it.  Raises ValueError for one that does not see this."""
    if classifier is None:
        raise ValueError(f"Comparing {compare} needs a network, and none is connected. Connect a Load Classifier.")
    if compare == "features":
        insist(answer_misfit(classifier, "features", "text"))
        return FeatureEnergy(classifier, reference, spread)
    if not isinstance(classifier, classifiers.wired.ImageNetwork):
        raise ValueError(
            f"{safe_text(classifier)} reads no clean pictures. Choose a network that does, such as pocket-clean-1."
        )
    return StyleEnergy(classifier, reference, spread)
