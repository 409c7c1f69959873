"""From an image in [-1, 1] to what a classifier was trained on, without a step that stops the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...guidance.energies import pictures
from ...guidance.vectors import constants

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
MODES = ("bilinear", "bicubic", "nearest-exact")
FITS = ("crop", "stretch", "cover", "keep")
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Preprocessing:
    """What a network wants to see: [B, 3, H, W], resized, cut, then (x - mean) / std of each channel, x in 0 .. 1.

    size: (height, width) in pixels; None for any size.
    mean, std: of each channel.
    mode: how it is resized, antialiased but for nearest-exact.
    fit: crop (scale the image until it covers `size`, cut the middle), cover (scale only), stretch (both sides on their
        own) or keep (scale by what changes the size least, so that one side fits).
    multiple: sides are divisible by it before anything is cut.
    cut: (height, width) of the middle that is left, black where the image is smaller.
    bgr: the channels are blue, green, red.
    even: half a pixel is rounded to even where it is cut, not down.
    Values outside [-1, 1] are not clamped: the gradient would be zero where a correction is needed most.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = HALF
    std: tuple[float, ...] = HALF
    mode: str = "bilinear"
    fit: str = "crop"
    multiple: int = 1
    cut: tuple[int, int] | None = None
    bgr: bool = False
    even: bool = False

    def __post_init__(self):
        for name, sides in (("size", self.size), ("cut", self.cut)):
            if sides and not all(1 <= side <= LARGEST_SIDE for side in sides):
                raise ValueError(f"{name} is {sides} but both sides must lie in 1 .. {LARGEST_SIDE} pixels.")
        if self.mode not in MODES or self.fit not in FITS:
            raise ValueError(f"mode, fit are {self.mode}, {self.fit}; choose from {MODES} and {FITS}.")
        finite = all(math.isfinite(value) for value in (*self.mean, *self.std))
        if not finite or len(self.mean) != 3 or len(self.std) != 3 or not all(deviation > 0 for deviation in self.std):
            raise ValueError(f"mean {self.mean}, std {self.std}: give three numbers each, the std above 0.")

    def __call__(self, x0: Tensor) -> Tensor:  # [B, 3, H, W] in [-1, 1] -> [B, 3, h, w] float32
        """Prepare images.  ((x0 + 1)/2 resized - mean) / std.  Raises ValueError for anything but RGB images."""
        if x0.ndim != 4 or x0.shape[1] != 3:
            raise ValueError(
                f"The classifier reads RGB images [B, 3, H, W] but got {tuple(x0.shape)}. "
                "A latent must be decoded first: wire the VAE."
            )
        x = (pictures.resize(x0.float(), self.target(x0.shape[-2:]), self.mode) + 1) / 2
        if self.middle:
            x = cut_middle(x, self.middle, round if self.even else math.floor)
        mean, std = (constants(tuple(v), torch.float32, x0.device)[:, None, None] for v in (self.mean, self.std))
        return ((x.flip(1) if self.bgr else x) - mean) / std

    @property
    def middle(self) -> tuple[int, int] | None:
        """(height, width) of what is left of a resized image, or None where all of it is."""
        return self.cut or (self.size if self.fit == "crop" else None)

    @property
    def shown(self) -> tuple[int, int] | None:
        """(height, width) that the network sees of every image, or None where it depends on the image."""
        return self.middle or (self.target(self.size) if self.size and self.fit == "stretch" else None)

    def target(self, sides: tuple[int, int] | torch.Size) -> tuple[int, int]:
        """(height, width) to which an image of these sides is resized."""
        wanted: tuple[float, ...] = self.size or sides
        if self.size and self.fit in ("crop", "cover"):
            wanted = covering(tuple(sides), self.size)
        elif self.size and self.fit == "keep":
            scales = [want / have for want, have in zip(self.size, sides, strict=True)]
            wanted = tuple(min(scales, key=lambda scale: abs(1 - scale)) * side for side in sides)
        height, width = (max(1, round(side / self.multiple)) * self.multiple for side in wanted)
        return height, width

    def __str__(self) -> str:
        size = f"{self.size[1]} x {self.size[0]} ({self.mode}, {self.fit})" if self.size else "any size"
        cut = f", the middle {self.cut[1]} x {self.cut[0]}" if self.cut else ""
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{'BGR' if self.bgr else 'RGB'} {size}{cut}, mean ({mean}), std ({std})"


def cut_middle(x: Tensor, size: tuple[int, int], rounded: Callable[[float], int] = math.floor) -> Tensor:
    """The middle of images, with zeros around those that are smaller.  x [B, C, H, W] -> [B, C, *size]"""
    edges = [max(want - have, 0) for want, have in zip(size, x.shape[-2:], strict=True)]
    if any(edges):
        x = nn.functional.pad(x, [part for edge in reversed(edges) for part in (edge // 2, edge - edge // 2)])
    top, left = (rounded((have - want) / 2) for have, want in zip(x.shape[-2:], size, strict=True))
    return x[..., top : top + size[0], left : left + size[1]]


def covering(sides: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """The smallest sides of the same proportion that cover `size`, rounded down."""
    (height, width), (high, wide) = sides, size
    if high * width >= wide * height:
        return high, high * width // height
    return wide * height // width, wide
