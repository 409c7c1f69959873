"""How like a reference a picture is: in pixels, colours, features, style; and how smooth it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from ..vectors import flat, promote, put_beside
from .pictures import crop_to, in_turn, resize, resize_mask, why_black
from .protocol import CLEAN, At, Network, NetworkEnergy, PictureEnergy, ask_without_gradient, spread_knob

ROOT = 1e-12  # under a root: its slope at 0 is infinite


class FeatureNetwork(Network, Protocol):
    """One vector an image."""

    def features(self, x0: Tensor) -> Tensor:
        """Of images [B, 3, H, W] -> [B, D]"""
        ...


class MapNetwork(Network, Protocol):
    """Maps of features of several sizes."""

    def maps(self, x0: Tensor) -> tuple[Tensor, ...]:
        """Of images [B, 3, H, W] -> [B, C, h, w] each"""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class MeasuredEnergy(PictureEnergy):
    """How well a picture explains a measurement of it.

        -mean((y - A x)^2) / (2 spread^2)     mean over the measured pixels, so that size does not matter
        -|y - A x| / spread                   `length`: its gradient is as long far off as close by

    A: the identity where mask is 1 (inpainting), and an antialiased reduction to y's size (super-resolution). Of a
    reference with other proportions the middle counts.
    reference: y [1 or B, C, h, w] in -1 .. 1. mask: [n, H, W] or None for everything. spread: noise of y.
    Source: Chung et al. 2023, arXiv 2209.14687 (with the mean in place of the sum); its step size is zeta over the
    length of the residual, which is `length`.
    """

    reference: Tensor
    mask: Tensor | None = None
    spread: float = spread_knob()
    length: bool = False

    @property
    def why_zero(self) -> str:
        """A black mask."""
        return why_black(self.mask)

    @property
    def text(self) -> str:
        """What is measured."""
        distance = "the distance to " if self.length else ""
        return f"{distance}the reference's pixels" + ("" if self.mask is None else " in a mask")

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """Minus the error in units of the measurement's noise.  x: [B, C, H, W]"""
        wanted = in_turn(crop_to(put_beside(self.reference, x), x), len(x))
        seen = resize(x, wanted.shape[-2:])
        mask = x.new_ones(1, 1, 1) if self.mask is None else resize_mask(self.mask, seen)[:, 0]
        square = (wanted - seen).square()
        if self.length:
            return -(flat(square * mask[:, None]).sum(dim=1) + ROOT).sqrt() / self.spread
        error = square.mean(dim=1)
        if self.mask is None:
            return -flat(error).mean(dim=1) / (2 * self.spread**2)
        return -flat(error * mask).sum(dim=1) / flat(mask).sum(dim=1).clamp(min=1e-6) / (2 * self.spread**2)


@dataclass(frozen=True, eq=False, repr=False)
class ColourEnergy(PictureEnergy):
    """How much the colours of a picture are those of a reference, wherever they are.

        -sum_ck (h_ck(x) - h_ck(ref))^2 / (2 spread^2)     h_ck = mean over pixels of softmax_k(-(x - c_k)^2 / 2 w^2)

    Soft bins of width w = 2 / bins in every channel: hard ones have no gradient. reference: [1 or B, C, h, w].
    """

    reference: Tensor
    spread: float = spread_knob()
    bins: int = 16

    @property
    def text(self) -> str:
        """What is compared."""
        return "the reference's colours"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """Minus the squared distance of the histograms.  x: [B, C, H, W]"""
        wanted = in_turn(self._histogram(put_beside(self.reference, x)), len(x))
        return -flat(self._histogram(x) - wanted).square().sum(dim=1) / (2 * self.spread**2)

    def _histogram(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, bins]
        width = 2 / self.bins
        centres = torch.linspace(-1 + width / 2, 1 - width / 2, self.bins, dtype=x.dtype, device=x.device)
        apart = x.flatten(2)[..., None] - centres
        return (-apart.square() / (2 * width**2)).softmax(dim=-1).mean(dim=2)


@dataclass(frozen=True, eq=False, repr=False)
class TintEnergy(PictureEnergy):
    """How near the mean colour of a picture is to that of a reference.

        -mean_c (m_c(x) - m_c(ref))^2 / (2 spread^2)     m_c = mean over the pixels, weighted by the mask

    Unlike a histogram it pulls from any distance, and leaves open how the colours are spread.
    reference: [1 or B, 3, h, w]. mask: [n, H, W] of the picture, or None for all of it.
    """

    reference: Tensor
    mask: Tensor | None = None
    spread: float = spread_knob()

    @property
    def why_zero(self) -> str:
        """A black mask."""
        return why_black(self.mask)

    @property
    def text(self) -> str:
        """What is compared."""
        return "the reference's mean colour" + ("" if self.mask is None else " in a mask")

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """Minus the squared distance of the mean colours.  x: [B, 3, H, W]"""
        wanted = in_turn(put_beside(self.reference, x).mean(dim=(2, 3)), len(x))
        weight = torch.ones_like(x[:1, :1]) if self.mask is None else resize_mask(self.mask, x)
        tint = (x * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3)).clamp(min=1e-6)
        return -(tint - wanted).square().mean(dim=1) / (2 * self.spread**2)


@dataclass(frozen=True, eq=False, repr=False)
class SmoothEnergy(PictureEnergy):
    """How smooth a picture is: minus its total variation, -mean sqrt(dx^2 + dy^2 + eps^2) / spread."""

    spread: float = spread_knob()

    @property
    def text(self) -> str:
        """What is measured."""
        return "smoothness"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """Minus the total variation.  x: [B, C, H, W]"""
        across = x[..., :-1, 1:] - x[..., :-1, :-1]
        down = x[..., 1:, :-1] - x[..., :-1, :-1]
        return -flat((across.square() + down.square() + 1e-6).sqrt()).mean(dim=1) / self.spread


@dataclass(frozen=True, eq=False, repr=False)
class FeatureEnergy(NetworkEnergy):
    """How like a reference a network finds a picture.

        -|f(x) - f(ref)|^2 / (2 spread^2) = -(1 - cos) / spread^2     f: features of length 1

    reference: pictures [n, 3, H, W] in -1 .. 1, one for every image in turn.
    """

    network: FeatureNetwork
    reference: Tensor
    spread: float = spread_knob()
    wanted: Tensor = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "wanted", ask_without_gradient(lambda: self._features(self.reference)))

    @property
    def text(self) -> str:
        """What is compared."""
        return "the reference's features"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """Minus the squared distance of the features.  x: [B, 3, H, W]"""
        features = self._features(x)
        apart = features - in_turn(put_beside(self.wanted, features), len(x))
        return -apart.square().sum(dim=1) / (2 * self.spread**2)

    def _features(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(promote(self.network.features(x)), dim=1)


@dataclass(frozen=True, eq=False, repr=False)
class StyleEnergy(NetworkEnergy):
    """How like a reference the textures of a picture are, wherever they are.

        -mean_l (|G_l(x) - G_l(ref)| / |G_l(ref)|)^2 / (2 spread^2)     G = F F^T / (C H W)

    F: maps of features [C, H W], one for each size l of a network's convolutions. reference: as for features.
    Source: Gatys et al. 2015, arXiv 1508.06576, eq. 3 to 5 (every layer relative to the reference's).
    """

    network: MapNetwork
    reference: Tensor
    spread: float = spread_knob()
    wanted: tuple[Tensor, ...] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "wanted", ask_without_gradient(lambda: self._grams(self.reference)))

    @property
    def text(self) -> str:
        """What is compared."""
        return "the reference's style"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """Minus the squared relative distance of the Gram matrices.  x: [B, 3, H, W]"""
        apart = torch.stack([self._apart(*pair, len(x)) for pair in zip(self._grams(x), self.wanted, strict=True)])
        return -apart.mean(dim=0) / (2 * self.spread**2)

    def _apart(self, grams: Tensor, wanted: Tensor, count: int) -> Tensor:  # [B, C, C], [n, C, C] -> [B]
        wanted = put_beside(wanted, grams)
        error = flat(grams - in_turn(wanted, count)).square().sum(dim=1)
        return error / in_turn(flat(wanted).square().sum(dim=1), count)

    def _grams(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(gram_matrix(promote(each)) for each in self.network.maps(x))


def gram_matrix(features: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, C]
    """Which features occur together, wherever: G = F F^T / (C H W)."""
    rows = features.flatten(2)
    return rows @ rows.transpose(1, 2) / rows[0].numel()
