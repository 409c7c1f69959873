"""The demo's three classifiers: one for clean images, one for noisy ones, and a judge that never guides.

The two that may guide use smooth activations, because their input gradient is what guides.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

SIGMA_FEATURES = 64


class PocketClean(nn.Module):
    """Reads clean images in [-1, 1]; smooth, so that its gradient can guide."""

    architecture = "pocket-clean-1"
    noise_aware = False

    def __init__(self, labels: int = 10, operations: Any = nn, **place: Any):
        super().__init__()
        widths = (24, 48, 96, 96)
        self.config = {"labels": labels}
        self.convolutions = smooth_stack(widths, operations, **place)
        self.norms = nn.ModuleList(operations.GroupNorm(8, width, **place) for width in widths)
        self.hidden = operations.Linear(widths[-1] * 16, 96, **place)
        self.out = operations.Linear(96, labels, **place)

    def forward(self, x0: Tensor) -> Tensor:  # [B, 3, 32, 32] -> [B, K] logits
        """Logits of clean images."""
        h = x0
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            h = nn.functional.silu(norm(convolution(h)))
        return self.out(nn.functional.silu(self.hidden(h.flatten(1))))


class PocketNoisy(nn.Module):
    """Reads x0 + sigma * eps together with sigma; every layer is scaled and shifted by what sigma says."""

    architecture = "pocket-noisy-1"
    noise_aware = True

    def __init__(self, labels: int = 10, sigma_data: float = 0.6, operations: Any = nn, **place: Any):
        super().__init__()
        widths = (32, 64, 96, 96)
        self.sigma_data = sigma_data
        self.level = operations.Linear(1, SIGMA_FEATURES, **place)
        self.level_hidden = operations.Linear(SIGMA_FEATURES, SIGMA_FEATURES, **place)
        self.convolutions = smooth_stack(widths, operations, **place)
        self.norms = nn.ModuleList(operations.GroupNorm(8, width, **place) for width in widths)
        self.affines = nn.ModuleList(operations.Linear(SIGMA_FEATURES, 2 * width, **place) for width in widths)
        self.hidden = operations.Linear(widths[-1] * 16, 96, **place)
        self.out = operations.Linear(96, labels, **place)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:  # [B, 3, 32, 32], sigma [B] > 0 -> [B, K] logits
        """Logits of noisy images x = x0 + sigma * eps."""
        silu = nn.functional.silu
        t = (sigma.to(x.dtype).log() / 4)[:, None]
        e = silu(self.level_hidden(silu(self.level(t))))
        h = x / (sigma.to(x.dtype) ** 2 + self.sigma_data**2).sqrt()[:, None, None, None]
        for convolution, norm, affine in zip(self.convolutions, self.norms, self.affines, strict=True):
            a, b = affine(e)[:, :, None, None].chunk(2, dim=1)
            h = silu(norm(convolution(h)) * (1 + a) + b)
        return self.out(silu(self.hidden(h.flatten(1))))


class SmallNoisy(nn.Module):
    """Reads noisy samples of any channels and size; the one that `GGTrainNoisyClassifier` trains from nothing.

    reads_level: whether every layer is scaled and shifted by the noise level. sigma_data: size of clean samples, kept
    for whoever brings samples to unit size before they come here.
    """

    architecture = "small-noisy-1"
    noise_aware = True

    def __init__(
        self,
        labels: int,
        channels: int = 3,
        width: int = 32,
        told: bool = True,
        sigma_data: float = 1.0,
        operations: Any = nn,
        **place: Any,
    ):
        super().__init__()
        widths = (width, 2 * width, 3 * width, 3 * width)
        self.config = {"labels": labels, "channels": channels, "width": width, "told": told, "sigma_data": sigma_data}
        self.convolutions = smooth_stack(widths, operations, channels, **place)
        self.norms = nn.ModuleList(operations.GroupNorm(8, each, **place) for each in widths)
        self.hidden = operations.Linear(widths[-1], 3 * width, **place)
        self.out = operations.Linear(3 * width, labels, **place)
        self.reads_level = told
        if told:
            self.level = operations.Linear(1, SIGMA_FEATURES, **place)
            self.level_hidden = operations.Linear(SIGMA_FEATURES, SIGMA_FEATURES, **place)
            self.affines = nn.ModuleList(operations.Linear(SIGMA_FEATURES, 2 * each, **place) for each in widths)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:  # [B, C, H, W] of unit size, level [B] -> [B, K] logits
        """Logits of noisy samples.  level: ln(sigma / alpha) / 4"""
        silu = nn.functional.silu
        e = silu(self.level_hidden(silu(self.level(level[:, None])))) if self.reads_level else None
        h = x
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            h = norm(convolution(h))
            if e is not None:
                scale, shift = self.affines[index](e)[:, :, None, None].chunk(2, dim=1)
                h = h * (1 + scale) + shift
            h = silu(h)
        return self.out(silu(self.hidden(h.mean((2, 3)))))


class Residual(nn.Module):
    """The judge's stage: two 3 x 3 convolutions beside a 1 x 1, then a max-pool where wanted."""

    def __init__(self, channels: int, wanted: int, pool: bool, operations: Any, **place: Any):
        super().__init__()
        batch_norm = getattr(operations, "BatchNorm2d", None) or nn.BatchNorm2d  # the host casts no batch norm
        self.first = operations.Conv2d(channels, wanted, 3, padding=1, **place)
        self.first_norm = batch_norm(wanted, **place)
        self.second = operations.Conv2d(wanted, wanted, 3, padding=1, **place)
        self.second_norm = batch_norm(wanted, **place)
        self.short = operations.Conv2d(channels, wanted, 1, **place)
        self.pool = pool

    def forward(self, h: Tensor) -> Tensor:  # [B, C, H, W] -> [B, wanted, H/2, W/2] or [B, wanted, H, W]
        """Convolve, add, halve."""
        inner = self.first_norm(self.first(h)).relu()
        h = (self.short(h) + self.second_norm(self.second(inner))).relu()
        return nn.functional.max_pool2d(h, 2) if self.pool else h


class PocketJudge(nn.Module):
    """Judges finished images; another architecture, norm and training than the guides, and never a guide itself."""

    architecture = "pocket-judge-1"
    noise_aware = False

    def __init__(self, labels: int = 10, operations: Any = nn, **place: Any):
        super().__init__()
        self.stem = operations.Conv2d(3, 32, 5, padding=2, **place)
        self.stages = nn.ModuleList(
            Residual(channels, wanted, pool, operations, **place)
            for channels, wanted, pool in ((32, 48, True), (48, 64, True), (64, 64, False))
        )
        self.out = operations.Linear(64, labels, **place)

    def features(self, x0: Tensor) -> Tensor:  # [B, 3, 32, 32] -> [B, 64]
        """The 64 numbers in which Frechet distances are measured."""
        h = nn.functional.max_pool2d(self.stem(x0).relu(), 2)
        for stage in self.stages:
            h = stage(h)
        return h.mean((2, 3))

    def forward(self, x0: Tensor) -> Tensor:  # [B, 3, 32, 32] -> [B, K] logits
        """Logits of clean images."""
        return self.out(self.features(x0))


ARCHITECTURES = {network.architecture: network for network in (PocketClean, PocketNoisy, PocketJudge, SmallNoisy)}


def smooth_stack(widths: tuple[int, ...], operations: Any, channels: int = 3, **place: Any) -> nn.ModuleList:
    """Convolutions: one at full resolution, then one of stride 2 for each further width."""
    inputs = (channels, *widths[:-1])
    return nn.ModuleList(
        operations.Conv2d(before, width, 3, stride=2 if index else 1, padding=1, **place)
        for index, (before, width) in enumerate(zip(inputs, widths, strict=True))
    )


def build(architecture: str, config: dict[str, Any], operations: Any = nn, **place: Any) -> nn.Module:
    """Make the network of that name.  config: its own arguments, e.g. labels."""
    return ARCHITECTURES[architecture](**config, operations=operations, **place)
