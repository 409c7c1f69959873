"""Probes: a linear or small perceptron head on the features of a network in another folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from .contract import Contract
from .wired import CleanClassifier, FeatureExtractor, ImageTextModel, WiredNetwork

LAYER = re.compile(r"(?:layers\.(\d+)\.)?(weight|bias)")
ACTIVATIONS = {"gelu": nn.functional.gelu, "silu": nn.functional.silu, "relu": nn.functional.relu}


class Probe(nn.Module):
    """Layers on features, with an activation between them.  unit: features are scaled to length 1 first"""

    def __init__(self, features: nn.Module, layers: list[nn.Linear], unit: bool, activation: str):
        super().__init__()
        self.features, self.layers = features, nn.ModuleList(layers)
        self.unit, self.activation = unit, activation

    def forward(self, x: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, K]
        """Logits."""
        h = self.features(x)
        h = nn.functional.normalize(h, dim=1) if self.unit else h
        for layer in self.layers[:-1]:
            h = ACTIVATIONS[self.activation](layer(h))
        return self.layers[-1](h)


def is_probe(keys: Mapping[str, Tensor]) -> bool:
    """Whether these names are `weight`, `bias`, or `layers.<i>.weight`, `layers.<i>.bias`, and nothing else."""
    return bool(keys) and all(LAYER.fullmatch(key) for key in keys)


def probe_classifier(
    weights: Mapping[str, Tensor], contract: Contract, find: Callable[[str], WiredNetwork]
) -> CleanClassifier:
    """A probe on its feature network.  find: name of a folder -> the network in it

    Raises ValueError where the file does not name its feature network, or the sizes do not follow each other.
    """
    several = len({LAYER.fullmatch(key)[1] for key in weights}) > 1  # type: ignore[index]
    source, unit, activation = read_statement(contract, several)
    extractor = find(source)
    if not isinstance(extractor, FeatureExtractor | ImageTextModel):
        raise ValueError(f"{contract.file} is a probe on {source}, which has no features. Name a CLIP or DINO folder.")
    layers = layers_of(contract.file, weights)
    check_length(contract.file, source, extractor, layers[0].in_features)
    network = Probe(extractor.network, layers, unit, activation)
    labels = contract.labels(layers[-1].out_features)
    return CleanClassifier(contract.file, network, labels, contract.preprocessing(extractor.preprocessing))


def check_length(file: str, source: str, extractor: FeatureExtractor | ImageTextModel, wanted: int) -> None:
    """Refuse a probe that was trained on features of another length: one grey image is asked."""
    with torch.no_grad():
        given = extractor.network(extractor.preprocessing(torch.zeros(1, 3, 32, 32))).shape[1]
    if given != wanted:
        raise ValueError(f"{file} reads {wanted} features but {source} gives {given}. Name the network it was made on.")


def read_statement(contract: Contract, several: bool) -> tuple[str, bool, str]:
    """Feature network, whether its features are normalised, and the activation between layers, as the file says.

    None of it shows in the weights, so nothing is assumed.
    """
    claims = contract.claims
    source, unit = claims.get("features"), claims.get("unit_features")
    activation = claims.get("activation", None if several else "gelu")
    if not isinstance(source, str) or not isinstance(unit, bool) or activation not in ACTIVATIONS:
        raise ValueError(
            f"{contract.file} is a probe and must say gg.features (a folder in models/classifiers), gg.unit_features "
            f"(true or false) and, between layers, gg.activation ({', '.join(ACTIVATIONS)}); not {source!r}, {unit!r}, "
            f"{activation!r}."
        )
    return source, unit, activation


def layers_of(file: str, weights: Mapping[str, Tensor]) -> list[nn.Linear]:
    """The layers in order, checked to fit onto each other."""
    parts: dict[int, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        index, part = LAYER.fullmatch(key).groups()  # type: ignore[union-attr]
        parts.setdefault(int(index or 0), {})[part] = tensor
    ordered = [parts[index] for index in sorted(parts)]
    if not all("weight" in layer and layer["weight"].ndim == 2 for layer in ordered):
        raise ValueError(f"{file}: every layer of a probe needs a weight [out, in]. Save it again.")
    if not all(tensor.is_floating_point() for layer in ordered for tensor in layer.values()):
        raise ValueError(f"{file}: a layer of the probe holds whole numbers, which cannot be weights. Save it again.")
    for first, second in pairwise(ordered):
        if len(first["weight"]) != second["weight"].shape[1]:
            raise ValueError(f"{file}: a layer gives {len(first['weight'])} numbers, the next one takes "
                             f"{second['weight'].shape[1]}. Save the probe again.")  # fmt: skip
    return [linear(file, **layer) for layer in ordered]


def linear(file: str, weight: Tensor, bias: Tensor | None = None, operations: Any = nn) -> nn.Linear:
    """A layer with these values."""
    wanted, inputs = weight.shape
    if bias is not None and bias.shape != (wanted,):
        raise ValueError(f"{file}: a bias has shape {tuple(bias.shape)} but ({wanted},) is needed. Save it again.")
    layer = operations.Linear(inputs, wanted, bias=bias is not None, device="meta")
    layer.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}), assign=True)
    return layer
