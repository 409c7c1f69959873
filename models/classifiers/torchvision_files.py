"""Classifiers and segmentation networks of torchvision, recognised by the names and shapes of their tensors.

No two of torchvision have the same tensors. So the family is read off a tell-tale name, and every member of that family
is built without memory until one fits. Others have given the same names to other networks: ResNets that blur or average
where these take every second place, which has no weights. So a file of such a family must say which network it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.weights import claim, differences, fill
from .contract import Contract, library
from .preprocessing import Preprocessing
from .wired import CleanClassifier

AXES = {"conv_proj.weight": 4, "encoder.pos_embedding": 3}  # where the size of a transformer's pictures is read


@dataclass(frozen=True)
class Family:
    """How torchvision's names of these begin, their tell-tale tensors, and the tensor with one row a label.

    shared: other libraries use the same tensors for networks with other layers.
    """

    starts: tuple[str, ...]
    marks: tuple[str, ...]
    head: str
    output: str = "labels"
    shared: bool = False


FAMILIES = (
    Family(("lraspp",), ("classifier.low_classifier.weight",), "classifier.high_classifier.weight", "segmentation"),
    Family(("deeplabv3",), ("classifier.0.convs.0.0.weight",), "classifier.4.weight", "segmentation"),
    Family(("resnet", "resnext", "wide_resnet"), ("conv1.weight", "layer1.0.bn1.weight"), "fc.weight", shared=True),
    Family(("convnext",), ("features.1.0.layer_scale",), "classifier.2.weight"),
    Family(("vit_",), ("class_token", "conv_proj.weight"), "heads.head.weight"),
    Family(("swin_",), ("features.1.0.attn.relative_position_index",), "head.weight"),
    Family(("efficientnet",), ("features.0.1.running_mean", "features.1.0.block.0.0.weight"), "classifier.1.weight"),
)


class Segmentation(nn.Module):
    """The map of a network that answers with a dictionary of maps."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, K, H, W]
        """Logits of every place."""
        return self.network(x)["out"]


def family_of(keys: Mapping[str, Any]) -> Family | None:
    """The family whose tell-tale tensors are all there."""
    return next((family for family in FAMILIES if all(key in keys for key in (*family.marks, family.head))), None)


def torchvision_classifier(family: Family, weights: Mapping[str, Tensor], contract: Contract) -> CleanClassifier:
    """Build the member of the family that has exactly these tensors, and load them.

    Raises ValueError where torchvision is missing, or no member fits: it names the nearest and what is wrong.
    """
    models = library("torchvision", contract.file).models
    check_axes(family, weights, contract.file)
    classifying = {key: tensor for key, tensor in weights.items() if not key.startswith("aux_classifier.")}
    name, network = fitting(models, family, classifying, contract.file)
    check_architecture(family, name, contract)
    fill(network, classifying)
    segments = family.output == "segmentation"
    return CleanClassifier(
        contract.file,
        Segmentation(network) if segments else network,
        contract.labels(len(classifying[family.head])),
        contract.preprocessing(usual_preprocessing(models, name, getattr(network, "image_size", None))),
        family.output,
    )


def check_axes(family: Family, weights: Mapping[str, Tensor], file: str) -> None:
    """Refuse tensors without the axes from which the numbers of labels and places are read."""
    head = {family.head: 4 if family.output == "segmentation" else 2}
    for key, axes in (head | {key: axes for key, axes in AXES.items() if key in weights}).items():
        if weights[key].ndim != axes or not weights[key].numel():
            raise ValueError(
                f"{file}: {key} is {claim(weights[key])}; {axes} axes are needed. "
                "Save the whole state_dict of an unchanged torchvision network."
            )


def check_architecture(family: Family, name: str, contract: Contract) -> None:
    """Refuse a file that says that it is another network than the one whose tensors fit, or does not say what it is.

    Its own name says it, too, as torchvision's do: resnet50-11ad3fa6. What was trained here to read noise began as one.
    """
    stated = contract.claims.get("architecture")
    named = re.search(rf"(?<![a-z0-9]){name}(?![a-z0-9])", contract.file.lower())
    if stated == name or (stated is None and (named or not family.shared or contract.claims.get("noisy") is True)):
        return
    says = f"says that it is {stated!r}" if stated else "does not say what it is"
    raise ValueError(
        f"{contract.file} {says}. Its tensors fit {name} of torchvision, and those of networks with other layers too, "
        f"such as resnetaa50 and resnetblur50, which answer otherwise. If it is {name}, put {name} into its name, or "
        f'"architecture": "{name}" into the JSON beside it.'
    )


def fitting(models: Any, family: Family, weights: Mapping[str, Tensor], file: str) -> tuple[str, nn.Module]:
    """Name and network (on the meta device) of the member whose tensors have these names and shapes."""
    nearest = None
    for name, network in members(models, family, weights):
        wrong = differences(network.state_dict(), weights)
        if not wrong:
            return name, network
        if nearest is None or len(wrong) < nearest[1]:
            nearest = (name, len(wrong), wrong[0])
    name, count, first = nearest or (family.starts[0], 0, "torchvision has none")
    raise ValueError(
        f"{file} fits no {'/'.join(family.starts)} of torchvision. Nearest: {name}, {count} tensors differ, first: "
        f"{first}. Save the whole state_dict of an unchanged torchvision network."
    )


def members(models: Any, family: Family, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, nn.Module]]:
    """Every architecture of a family, without memory, with as many labels as the weights have."""
    settings: dict[str, Any] = {"num_classes": len(weights[family.head])}
    if family.output == "segmentation":
        settings |= {"weights_backbone": None}
    ending = ""
    if "encoder.pos_embedding" in weights:
        patch, places = weights["conv_proj.weight"].shape[-1], weights["encoder.pos_embedding"].shape[1] - 1
        settings |= {"image_size": patch * math.isqrt(places)}
        ending = f"_{patch}"
    for name in models.list_models():
        if name.startswith(family.starts) and name.endswith(ending):
            with torch.device("meta"):
                network = models.get_model(name, weights=None, **settings)
            yield name, network


def usual_preprocessing(models: Any, name: str, side: int | None = None) -> Preprocessing:
    """What torchvision's newest weights of this architecture were made with; the file need not say it.

    side: of the pictures of a network that may be made for another size than those
    """
    weights = models.get_model_weights(name)
    transforms = [made.transforms() for made in (weights.DEFAULT, *weights)]
    sized = [made for made in transforms if side and made.crop_size == [side]]
    usual = (sized or transforms)[0]
    resized, shown = usual.resize_size[0], getattr(usual, "crop_size", [None])[0]  # a map is of the whole picture
    if side and not sized:
        resized = shown = side
    cut = (shown, shown) if shown else None
    mean, std = tuple(usual.mean), tuple(usual.std)
    return Preprocessing((resized, resized), mean, std, usual.interpolation.value, "cover", cut=cut, even=True)
