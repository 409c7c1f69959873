"""The noise-aware classifiers of guided-diffusion (ADM): the encoder half of its U-Net with an attention pool.

They read variance-preserving samples, x / sqrt(alpha^2 + sigma^2), and a time in 0 .. 999 of the schedule they were
trained on.
Source: Dhariwal and Nichol 2021, arXiv 2105.05233, appendix and the released configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..denoisers.schedules import index_of, table
from ..networks.adm import HEAD, Plan, attend, time_features
from ..networks.imagenet import LABELS

MARK = "out.2.positional_embedding"


@dataclass(frozen=True)
class AdmSize:
    """One released size: blocks a level, widths in units of 128 channels, where it attends, its noise schedule."""

    side: int
    depth: int
    widths: tuple[float, ...]
    attends: tuple[int, ...]
    schedule: str

    @property
    def blocks(self) -> int:
        """Number of input blocks: the stem, the residual blocks and the down-samplings."""
        return 1 + self.depth * len(self.widths) + len(self.widths) - 1


SIZES = (
    AdmSize(64, 4, (1, 2, 3, 4), (2, 4, 8), "cosine"),
    AdmSize(128, 2, (1, 1, 2, 3, 4), (4, 8, 16), "linear"),
    AdmSize(256, 2, (1, 1, 2, 2, 4, 4), (8, 16, 32), "linear"),
    AdmSize(512, 2, (0.5, 1, 1, 2, 2, 4, 4), (16, 32, 64), "linear"),
)


class AttentionPool(nn.Module):
    """One token, the mean, asks all places. In `qkv_proj` all q come first, then all k, all v (the newer order)."""

    def __init__(self, places: int, channels: int, labels: int, operations: Any, **place: Any):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(channels, places + 1, **place))
        self.qkv_proj = operations.Conv1d(channels, 3 * channels, 1, **place)
        self.c_proj = operations.Conv1d(channels, labels, 1, **place)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, K]
        """Logits from the token's answer."""
        tokens = x.flatten(2)
        tokens = torch.cat([tokens.mean(dim=2, keepdim=True), tokens], dim=2) + self.positional_embedding
        q, k, v = self.qkv_proj(tokens).unflatten(1, (3, -1, HEAD)).unbind(1)
        return self.c_proj(attend(q, k, v).flatten(1, 2))[:, :, 0]


class AdmClassifier(nn.Module):
    """The classifier of one size.  labels: number of logits. width: channels at width 1, 128 in the released files."""

    def __init__(self, size: AdmSize, labels: int = len(LABELS), width: int = 128, operations: Any = nn, **place: Any):
        super().__init__()
        self.size, self.labels, self.width = size, labels, width
        widths = tuple(int(factor * width) for factor in size.widths)
        attends = tuple(level for level in range(len(widths)) if 2**level in size.attends)
        plan = Plan(3, widths, size.depth, attends, 4 * width, 0, True, operations, place)
        self.time_embed = plan.embedding(width)
        self.input_blocks = plan.encoder()
        self.middle_block = plan.middle()
        channels = widths[-1]
        places = (size.side // 2 ** (len(size.widths) - 1)) ** 2
        self.out = nn.Sequential(
            operations.GroupNorm(32, channels, **place),
            nn.SiLU(),
            AttentionPool(places, channels, labels, operations, **place),
        )

    def forward(self, x: Tensor, time: Tensor) -> Tensor:  # [B, 3, S, S] variance-preserving, time [B] -> [B, K]
        """Logits of noisy images; time in 0 .. 999, fractions allowed."""
        e = self.time_embed(time_features(time, self.width))
        h = x
        for block in self.input_blocks:
            h = block(h, e)
        return self.out(self.middle_block(h, e))


class AdmEntrance:
    """From the sampler's coordinates to ADM's: x / sqrt(alpha^2 + sigma^2), and the time of sigma / alpha.

    The time is interpolated in log sigma over the classifier's own schedule, and stays inside it.
    """

    def __init__(self, schedule: str):
        self.schedule, self.log_sigmas = schedule, table(f"vp_{schedule}").log().float()

    def __call__(self, x: Tensor, sigma: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, C, H, W], sigma, alpha [B] -> variance-preserving x and time [B]"""
        return x / (alpha**2 + sigma**2).sqrt()[:, None, None, None], self.time_of(sigma / alpha)

    def time_of(self, sigma: Tensor) -> Tensor:  # [B] -> [B] in 0 .. 999
        """Where this noise level lies on the schedule."""
        return index_of(self.log_sigmas.to(sigma.device), sigma)


def is_adm(keys: Mapping[str, Any]) -> bool:
    """Whether these are the names of a guided-diffusion classifier."""
    return MARK in keys and "time_embed.0.weight" in keys


def adm_size(weights: Mapping[str, Tensor]) -> AdmSize:
    """Which of the four sizes these weights are: all pool 8 x 8 places, but each has its own number of blocks."""
    numbers = (key.split(".")[1] for key in weights if key.startswith("input_blocks."))
    blocks = 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)
    for size in SIZES:
        if size.blocks == blocks:
            return size
    raise ValueError(f"has {blocks} input blocks; the released classifiers have {[size.blocks for size in SIZES]}.")


def plan_network(weights: Mapping[str, Tensor]) -> AdmClassifier:
    """The network, without memory, that weights of this size belong to.  Raises ValueError where there is none."""
    size, first, last = adm_size(weights), weights["time_embed.0.weight"], weights.get("out.2.c_proj.weight")
    if first.ndim != 2 or not first.numel() or first.shape[1] % HEAD:
        raise ValueError(f"has time_embed.0.weight of {tuple(first.shape)}; the released classifiers have (512, 128).")
    labels = len(last) if last is not None and last.ndim else len(LABELS)
    return AdmClassifier(size, labels, first.shape[1], device="meta")
