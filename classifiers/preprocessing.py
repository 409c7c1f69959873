"""From an image in [-1, 1] to what a classifier was trained on, without a step that stops the gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..guidance.energies import pictures
from ..guidance.vectors import constants

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
MODES = ("bilinear", "bicubic")
FITS = ("crop", "stretch")
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Preprocessing:
    """What a network wants to see: RGB, [B, 3, H, W], normalised as (x - mean) / std with x in 0 .. 1.

    size: (height, width) in pixels, or None for any size. mode: how it is resized, always antialiased.
    fit: crop (scale the image until it covers `size`, cut the middle) or stretch (both sides on their own, so that a
    map of the network covers the whole image). multiple: sides are divisible by it where size is None.
    Values outside [-1, 1] are not clamped: the gradient would be zero where a correction is needed most.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = HALF
    std: tuple[float, ...] = HALF
    mode: str = "bilinear"
    fit: str = "crop"
    multiple: int = 1

    def __post_init__(self):
        if self.size and not all(1 <= side <= LARGEST_SIDE for side in self.size):
            raise ValueError(f"size is {self.size} but both sides must lie in 1 .. {LARGEST_SIDE} pixels.")
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
        mean, std = (constants(tuple(v), torch.float32, x0.device)[:, None, None] for v in (self.mean, self.std))
        return ((resize_to(x0.float(), self.target(x0.shape[-2:]), self.mode, self.fit) + 1) / 2 - mean) / std

    def target(self, sides: tuple[int, int] | torch.Size) -> tuple[int, int]:
        """(height, width) that an image of these sides gets."""
        if self.size:
            return self.size
        height, width = (max(1, round(side / self.multiple)) * self.multiple for side in sides)
        return height, width

    def __str__(self) -> str:
        size = f"{self.size[1]} x {self.size[0]} ({self.mode}, {self.fit})" if self.size else "any size"
        return f"RGB {size}, mean {self.mean}, std {self.std}"


def resize_to(x: Tensor, size: tuple[int, int], mode: str, fit: str) -> Tensor:  # [B, C, H, W] -> [B, C, *size]
    """Scale with antialiasing, so that every pixel has a share in the result; then cut the middle if fit is crop."""
    sides = covering(tuple(x.shape[-2:]), size) if fit == "crop" else size
    x = pictures.resize(x, sides, mode)
    top, left = ((have - want) // 2 for have, want in zip(sides, size, strict=True))
    return x[..., top : top + size[0], left : left + size[1]]


def covering(sides: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """The smallest sides of the same proportion that cover `size`."""
    factor = max(want / have for have, want in zip(sides, size, strict=True))
    height, width = (max(want, round(have * factor)) for have, want in zip(sides, size, strict=True))
    return height, width
