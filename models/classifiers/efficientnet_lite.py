"""EfficientNet-Lite: the EfficientNets without squeeze and excitation, with ReLU6, as published for PyTorch.

Names follow the published files, so that a state dict fits as it is.
Source: Tan and Le 2019, arXiv 1905.11946, table 1 and section 3.3 (compound scaling); the released EfficientNet-Lite
configurations, which leave the widths of stem and head and the depths of the first and the last stage unscaled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import Linear, functional

from ..networks.weights import check_weights, fill
from .contract import Contract
from .preprocessing import Preprocessing
from .wired import CleanClassifier

STEM, HEAD = 32, 1280
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # they were trained on (value - 127) / 128
EPSILON = 1e-3  # of the batch norms
MARKS = ("_conv_stem.weight", "_blocks.0._depthwise_conv.weight", "_fc.weight")
EXCITATION = "_blocks.0._se_reduce.weight"  # an EfficientNet that is not Lite has the same names, and this one


class Stage(NamedTuple):
    """Blocks of one width, unscaled."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


class Size(NamedTuple):
    """One released size.  side: of its pictures, in pixels"""

    width: float
    depth: float
    side: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
SIZES = (Size(1.0, 1.0, 224), Size(1.0, 1.1, 240), Size(1.1, 1.2, 260), Size(1.2, 1.4, 280), Size(1.4, 1.8, 300))


class Convolution(nn.Conv2d):
    """A convolution without bias whose output has ceil(side / stride) places: what is odd is added at the end."""

    def __init__(self, channels: int, wanted: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(channels, wanted, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # [B, C, H, W] -> [B, wanted, ceil(H / s), ceil(W / s)]
        """Pad, then convolve."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        edges = []
        for side in (input.shape[-1], input.shape[-2]):
            missing = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            edges += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(input, edges))


class Block(nn.Module):
    """Widen, convolve each channel alone, narrow; beside the input itself where nothing changes its shape."""

    def __init__(self, channels: int, wanted: int, stage: Stage, stride: int):
        super().__init__()
        wide = channels * stage.expansion
        self.wide, self.beside = wide > channels, stride == 1 and channels == wanted
        if self.wide:
            self._expand_conv, self._bn0 = Convolution(channels, wide, 1), norm(wide)
        self._depthwise_conv, self._bn1 = Convolution(wide, wide, stage.kernel, stride, groups=wide), norm(wide)
        self._project_conv, self._bn2 = Convolution(wide, wanted, 1), norm(wanted)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, wanted, H', W']
        """The block's answer."""
        h = functional.relu6(self._bn0(self._expand_conv(x))) if self.wide else x
        h = functional.relu6(self._bn1(self._depthwise_conv(h)))
        h = self._bn2(self._project_conv(h))
        return x + h if self.beside else h


class EfficientNetLite(nn.Module):
    """The network of one size.  labels: number of logits"""

    def __init__(self, size: Size, labels: int):
        super().__init__()
        self._conv_stem, self._bn0 = Convolution(3, STEM, 3, 2), norm(STEM)
        self._blocks = nn.ModuleList()
        channels = STEM
        for stage in STAGES:
            wanted = scaled_width(stage.width, size.width)
            for index in range(scaled_depth(stage, size.depth)):
                self._blocks.append(Block(channels, wanted, stage, 1 if index else stage.stride))
                channels = wanted
        self._conv_head, self._bn1 = Convolution(channels, HEAD, 1), norm(HEAD)
        self._fc = Linear(HEAD, labels)

    def forward(self, x: Tensor) -> Tensor:  # [B, 3, H, W] normalised -> [B, K]
        """Logits of images."""
        h = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            h = block(h)
        return self._fc(functional.relu6(self._bn1(self._conv_head(h))).mean(dim=(2, 3)))


def norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm as they have it."""
    return nn.BatchNorm2d(channels, eps=EPSILON)


def scaled_width(width: int, factor: float) -> int:
    """The nearest multiple of 8, at least 8 and never 10 % below."""
    wanted = width * factor
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * wanted else nearest + 8


def scaled_depth(stage: Stage, factor: float) -> int:
    """Blocks of a stage; those of the first and the last are not scaled."""
    return stage.repeats if stage in (STAGES[0], STAGES[-1]) else math.ceil(stage.repeats * factor)


def is_lite(keys: Mapping[str, Any]) -> bool:
    """Whether these are the names of an EfficientNet-Lite."""
    return all(mark in keys for mark in MARKS) and EXCITATION not in keys


def lite_classifier(weights: Mapping[str, Tensor], contract: Contract) -> CleanClassifier:
    """The released size that these weights belong to.  Raises ValueError where none fits"""
    try:
        size = size_of(weights)
    except ValueError as wrong:
        raise ValueError(f"{contract.file} {wrong} Save the whole state_dict of an unchanged network.") from None
    with torch.device("meta"):
        network = EfficientNetLite(size, len(weights["_fc.weight"]))
    check_weights(contract.file, network.state_dict(), weights)
    fill(network, weights)
    usual = Preprocessing((size.side, size.side), MEAN, STD, "bicubic")
    labels = contract.labels(network._fc.out_features)
    return CleanClassifier(contract.file, network, labels, contract.preprocessing(usual))


def size_of(weights: Mapping[str, Tensor]) -> Size:
    """Which released size these weights have, by the number of blocks and the width of the last.  Raises ValueError"""
    if weights["_fc.weight"].ndim != 2 or not weights["_fc.weight"].numel():
        raise ValueError(f"has _fc.weight of {tuple(weights['_fc.weight'].shape)}, and two axes are needed.")
    blocks = len({key.split(".")[1] for key in weights if key.startswith("_blocks.")})
    head = weights.get("_conv_head.weight", weights["_fc.weight"]).shape
    for size in SIZES:
        if (blocks, head[1]) == (depth_of(size), scaled_width(STAGES[-1].width, size.width)):
            return size
    depths = ", ".join(str(depth_of(size)) for size in SIZES)
    raise ValueError(f"has {blocks} blocks and a head of {tuple(head)}; EfficientNet-Lite 0 to 4 have {depths} blocks.")


def depth_of(size: Size) -> int:
    """The number of blocks of an EfficientNet-Lite."""
    return sum(scaled_depth(stage, size.depth) for stage in STAGES)
