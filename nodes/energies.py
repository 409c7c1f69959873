"""What a picture should be, as wires: labels, references, and energies made of energies."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from torch import Tensor

from ..classifiers.wired import ImageNetwork
from ..denoisers.labels import MOST, entries_of, label_indices
from ..guidance.energies.composition import CombinedEnergy, MaskedEnergy
from ..guidance.energies.label import LABEL_KINDS, LabelEnergy
from ..guidance.energies.reference import (
    ColourEnergy,
    FeatureEnergy,
    MeasuredEnergy,
    SmoothEnergy,
    StyleEnergy,
    TintEnergy,
)
from ..guidance.printing import shown
from ..host.checks import checked, choice, insist, validated, verdict
from ..host.widgets import choice_input
from ..host.wires import ClassifierWire, EnergyWire, offering

CATEGORY = "guidance geometry/classifier"
NOBODY = -1  # an empty label is no label here
ENERGY = EnergyWire.Input("energy", tooltip="What a picture should be: from a label, a reference, or other energies.")
OUT = EnergyWire.Output(display_name="energy", tooltip="log p per image, for Classifier Guidance or Watch an Energy.")
COMBINE = ("product", "mixture")
COMPARE = ("pixels", "colours", "smoothness", "distance", "mean colour", "features", "style")
ANSWERS = {  # of a network: what it says, and what has it
    "labels": ("one label a picture", "a classifier of whole pictures"),
    "text": ("how well a text fits", "a CLIP or SigLIP folder"),
    "segmentation": ("a class for every place", "a segmentation network: segformer, deeplabv3 or lraspp"),
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
LARGEST_WEIGHT, LARGEST_SPREAD = 1e4, 1e3


def answering(classifier, *wanted: str) -> str | None:
    """A sentence if a network answers with something else than it is wanted for."""
    given = getattr(classifier, "output", "labels")
    if given in wanted and offering(*ASKED[given])(classifier):
        return None
    said, choose = ANSWERS[wanted[0]]
    answer, _ = ANSWERS.get(given, ("something else", ""))
    return f"{shown(classifier)} answers with {answer}, and {said} is needed. Choose {choose}."


def wanted_labels(text: str, labels: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Read "cat | dog; 3; *" as the labels of one image after another; | separates what an image may be.

    Raises ValueError for anything that is no label, with the nearest name.
    """
    found: list[tuple[int, ...]] = []
    for entry in entries_of(text):
        if entry == "*":
            found += [(index,) for index in range(len(labels))]
        else:
            each = (label_indices(part, labels, NOBODY, "classifier") for part in entry.split("|"))
            found.append(tuple(dict.fromkeys(index for indices in each for index in indices)))
        if len(found) > MOST:
            raise ValueError(f"label names more than {MOST:,} labels, one for each image. Name fewer.")
    if any(NOBODY in indices for indices in found):
        raise ValueError(f"A label is empty. Write a name or an index; the classifier knows {', '.join(labels[:12])}.")
    return tuple(found)


def pictures(image: Tensor) -> Tensor:  # IMAGE [B, H, W, C] in 0 .. 1 -> [B, 3, H, W] in -1 .. 1
    """Pictures as energies see them, on memory that allows gradients."""
    with torch.inference_mode(False):
        return image.clone()[..., :3].movedim(-1, 1) * 2 - 1


def region(mask: Tensor) -> Tensor:  # MASK [B, H, W] or [H, W] -> [B, H, W]
    """A mask on memory that allows gradients."""
    with torch.inference_mode(False):
        return mask.clone().reshape(-1, *mask.shape[-2:])


def spread_input() -> io.Float.Input:
    """How much deviation an energy forgives."""
    return io.Float.Input(
        "spread",
        default=0.1,
        min=0.001,
        max=LARGEST_SPREAD,
        step=0.01,
        round=0.001,
        tooltip="How much deviation is forgiven: log p = -error / (2 spread^2). Half as much pulls four times as hard "
        "(smoothness, L1: twice). distance: log p = -|error| / spread.",
    )


class GGLabelEnergy(io.ComfyNode):
    """A label as energy."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GGLabelEnergy",
            display_name="Label Energy",
            category=CATEGORY,
            description="How probable a classifier finds a label. The model that denoises need not know it.",
            inputs=[
                ClassifierWire.Input("classifier", tooltip="From Load Classifier or Exact Mixture Model."),
                io.String.Input(
                    "label",
                    default="0",
                    multiline=True,
                    tooltip="Name or index. One per image: separate with ; or line breaks. cat | dog is either. * is "
                    "every label in turn. Repeated to fill the batch.",
                ),
                choice_input(
                    "kind",
                    LABEL_KINDS,
                    "label: log p. not label: log(1 - p). joint logit: the logit itself, which never stops pushing. "
                    "multi-label: each named one present, all others absent.",
                ),
            ],
            outputs=[OUT],
        )

    @classmethod
    @validated
    def validate_inputs(cls, kind=None) -> bool | str:
        return verdict(choice("kind", kind, LABEL_KINDS))

    @classmethod
    @checked
    def execute(cls, classifier, label, kind) -> io.NodeOutput:
        insist(choice("kind", kind, LABEL_KINDS), answering(classifier, "labels"))
        return io.NodeOutput(LabelEnergy(classifier, wanted_labels(label, tuple(classifier.labels)), kind))


class GGReferenceEnergy(io.ComfyNode):
    """A reference picture as energy."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GGReferenceEnergy",
            display_name="Reference Energy",
            category=CATEGORY,
            description="How well a picture agrees with a reference: pixel by pixel (with a mask: inpainting; with a "
            "smaller reference: super-resolution), in its colours or their mean, in being smooth; or, as a network "
            "sees it, in what it shows (features) or how it is painted (style).",
            inputs=[
                choice_input(
                    "compare",
                    COMPARE,
                    "pixels: mean squared error. colours: histograms, wherever the colours are. smoothness: total "
                    "variation, without a reference. distance: the length of the error of all pixels (DPS). mean "
                    "colour: the dominant tint, from any distance. features: what a network sees. style: its "
                    "textures, wherever they are (Gram matrices).",
                ),
                spread_input(),
                io.Image.Input("image", optional=True, tooltip="The reference; not read for smoothness."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="For pixels, distance and mean colour: only where it is white counts.",
                ),
                ClassifierWire.Input(
                    "classifier",
                    optional=True,
                    tooltip="For features: a DINO, CLIP or SigLIP folder. For style: a network of convolutions, such "
                    "as a resnet or pocket-clean-1.",
                ),
            ],
            outputs=[OUT],
        )

    @classmethod
    @validated
    def validate_inputs(cls, compare=None) -> bool | str:
        return verdict(choice("compare", compare, COMPARE))

    @classmethod
    @checked
    def execute(cls, compare, spread, image=None, mask=None, classifier=None) -> io.NodeOutput:
        insist(choice("compare", compare, COMPARE))
        if compare == "smoothness":
            return io.NodeOutput(SmoothEnergy(spread))
        if image is None:
            raise ValueError(f"Comparing {compare} needs a reference, and none is connected. Wire an IMAGE.")
        if compare == "colours":
            return io.NodeOutput(ColourEnergy(pictures(image), spread))
        if compare in ("features", "style"):
            return io.NodeOutput(seen_reference(compare, classifier, pictures(image), spread))
        kept = None if mask is None else region(mask)
        if compare == "mean colour":
            return io.NodeOutput(TintEnergy(pictures(image), kept, spread))
        return io.NodeOutput(MeasuredEnergy(pictures(image), kept, spread, length=compare == "distance"))


def seen_reference(compare: str, classifier, reference: Tensor, spread: float) -> FeatureEnergy | StyleEnergy:
    """A reference as a network sees it.  Raises ValueError for one that does not see this."""
    if classifier is None:
        raise ValueError(f"Comparing {compare} needs a network, and none is connected. Wire a Load Classifier.")
    if compare == "features":
        insist(answering(classifier, "features", "text"))
        return FeatureEnergy(classifier, reference, spread)
    if not isinstance(classifier, ImageNetwork):
        raise ValueError(
            f"{shown(classifier)} reads no clean pictures. Choose a network that does, such as pocket-clean-1."
        )
    return StyleEnergy(classifier, reference, spread)


class GGMaskedEnergy(io.ComfyNode):
    """An energy that acts in a region."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GGMaskedEnergy",
            display_name="Masked Energy (region)",
            category=CATEGORY,
            description="Lets an energy change a region only. It still sees the whole picture.",
            inputs=[
                ENERGY,
                io.Mask.Input("mask", tooltip="White is changed, black is left alone; resized to the picture."),
            ],
            outputs=[OUT],
        )

    @classmethod
    @checked
    def execute(cls, energy, mask) -> io.NodeOutput:
        return io.NodeOutput(MaskedEnergy(energy, region(mask)))


class GGCombineEnergies(io.ComfyNode):
    """Two energies as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GGCombineEnergies",
            display_name="Combine Energies",
            category=CATEGORY,
            description="Joins two energies: both must hold (product), or either (mixture). With one of them: its "
            "weight, negative to be moved away from.",
            inputs=[
                EnergyWire.Input("energy_a", tooltip="The first energy."),
                choice_input(
                    "how",
                    COMBINE,
                    "product: weight_a log p_a + weight_b log p_b. mixture: log of the weighted mean of the "
                    "probabilities; the easier one wins.",
                ),
                *(
                    io.Float.Input(
                        name,
                        default=1.0,
                        min=-LARGEST_WEIGHT,
                        max=LARGEST_WEIGHT,
                        step=0.05,
                        tooltip=f"Weight of {of}. 0 leaves it out; below 0 (product only) moves away from it.",
                    )
                    for name, of in (("weight_a", "energy_a"), ("weight_b", "energy_b"))
                ),
                EnergyWire.Input("energy_b", optional=True, tooltip="The second energy."),
            ],
            outputs=[OUT],
        )

    @classmethod
    @validated
    def validate_inputs(cls, how=None) -> bool | str:
        return verdict(choice("how", how, COMBINE))

    @classmethod
    @checked
    def execute(cls, energy_a, how, weight_a, weight_b, energy_b=None) -> io.NodeOutput:
        insist(choice("how", how, COMBINE))
        given = [(energy_a, weight_a)] + ([(energy_b, weight_b)] if energy_b is not None else [])
        energies, weights = zip(*given, strict=True)
        return io.NodeOutput(CombinedEnergy(energies, weights, how == "mixture"))


NODES = [GGLabelEnergy, GGReferenceEnergy, GGMaskedEnergy, GGCombineEnergies]
