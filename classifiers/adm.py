"""The noise-aware classifiers of guided-diffusion (ADM): the encoder half of its U-Net with an attention pool.

They read variance-preserving samples, x / sqrt(alpha^2 + sigma^2), and a time in 0 .. 999 of the schedule they were
trained on. Names follow the released files, so that a state dict fits as it is.
Source: Dhariwal and Nichol 2021, arXiv 2105.05233, appendix and the released configurations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

HEAD = 64  # channels of one attention head
STEPS = 1000
LABELS = 1000  # of ImageNet, which the released ones tell apart
MARK = "out.2.positional_embedding"
LINEAR_BETAS = (1e-4, 0.02)
COSINE_OFFSET, COSINE_MOST = 0.008, 0.999


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


class Timed(nn.Sequential):
    """Layers in a row, of which the residual blocks also get the time embedding."""

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        """Apply each in turn."""
        for layer in self:
            h = layer(h, time) if isinstance(layer, Residual) else layer(h)
        return h


class Residual(nn.Module):
    """norm, SiLU, (pool,) conv; then norm scaled and shifted by the time, SiLU, conv; beside the input itself."""

    def __init__(self, channels: int, wanted: int, time: int, down: bool, operations: Any, **place: Any):
        super().__init__()
        op = operations
        self.in_layers = nn.Sequential(
            op.GroupNorm(32, channels, **place), nn.SiLU(), op.Conv2d(channels, wanted, 3, padding=1, **place)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), op.Linear(time, 2 * wanted, **place))
        self.out_layers = nn.Sequential(
            op.GroupNorm(32, wanted, **place),
            nn.SiLU(),
            nn.Identity(),
            op.Conv2d(wanted, wanted, 3, padding=1, **place),
        )
        self.skip_connection = nn.Identity() if channels == wanted else op.Conv2d(channels, wanted, 1, **place)
        self.pool = nn.AvgPool2d(2) if down else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:  # [B, C, H, W], time [B, T] -> [B, wanted, H', W']
        """Add what the two convolutions find."""
        h = self.in_layers[2](self.pool(self.in_layers[1](self.in_layers[0](x))))
        scale, shift = self.emb_layers(time)[:, :, None, None].chunk(2, dim=1)
        h = self.out_layers[0](h) * (1 + scale) + shift
        return self.skip_connection(self.pool(x)) + self.out_layers[1:](h)


class Attention(nn.Module):
    """Self-attention over places. In `qkv` every head's q, k and v lie together (the released, older order)."""

    def __init__(self, channels: int, operations: Any, **place: Any):
        super().__init__()
        self.norm = operations.GroupNorm(32, channels, **place)
        self.qkv = operations.Conv1d(channels, 3 * channels, 1, **place)
        self.proj_out = operations.Conv1d(channels, channels, 1, **place)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> the same
        """Add what the places tell each other."""
        rows = x.flatten(2)
        heads = self.qkv(self.norm(rows)).unflatten(1, (-1, 3, HEAD))
        return x + self.proj_out(attended(*heads.unbind(2)).flatten(1, 2)).view_as(x)


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
        return self.c_proj(attended(q, k, v).flatten(1, 2))[:, :, 0]


class AdmClassifier(nn.Module):
    """The classifier of one size.  labels: number of logits. width: channels at width 1, 128 in the released files."""

    def __init__(self, size: AdmSize, labels: int = LABELS, width: int = 128, operations: Any = nn, **place: Any):
        super().__init__()
        self.size, self.labels, self.width = size, labels, width
        time, channels = 4 * width, int(size.widths[0] * width)
        self.time_embed = nn.Sequential(
            operations.Linear(width, time, **place), nn.SiLU(), operations.Linear(time, time, **place)
        )
        self.input_blocks = nn.ModuleList([Timed(operations.Conv2d(3, channels, 3, padding=1, **place))])
        for level, factor in enumerate(size.widths):
            attends = 2**level in size.attends
            for _ in range(size.depth):
                wanted = int(factor * width)
                layers: list[nn.Module] = [Residual(channels, wanted, time, False, operations, **place)]
                layers += [Attention(wanted, operations, **place)] if attends else []
                self.input_blocks.append(Timed(*layers))
                channels = wanted
            if level < len(size.widths) - 1:
                self.input_blocks.append(Timed(Residual(channels, channels, time, True, operations, **place)))
        self.middle_block = Timed(
            Residual(channels, channels, time, False, operations, **place),
            Attention(channels, operations, **place),
            Residual(channels, channels, time, False, operations, **place),
        )
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


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # each [B, heads, HEAD, places] -> the same
    """softmax(q^T k / sqrt(HEAD)) v; both factors carry half of the root, the softmax is in float32."""
    share = ((q * HEAD**-0.25).transpose(2, 3) @ (k * HEAD**-0.25)).float().softmax(dim=3).to(v.dtype)
    return v @ share.transpose(2, 3)


def time_features(time: Tensor, width: int) -> Tensor:  # [B] -> [B, width]
    """cos, then sin of time * 10000^(-i / half) for i < half = width / 2."""
    half = width // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, device=time.device) / half)
    angles = time.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def schedule_sigmas(schedule: str) -> Tensor:  # [1000] float64, rising
    """sigma / alpha at each time of a training schedule, linear or cosine.  sqrt((1 - abar) / abar)"""
    steps = torch.arange(STEPS, dtype=torch.float64)
    if schedule == "linear":
        betas = torch.linspace(*LINEAR_BETAS, STEPS, dtype=torch.float64)
    else:
        betas = (1 - cosine_share((steps + 1) / STEPS) / cosine_share(steps / STEPS)).clamp(max=COSINE_MOST)
    kept = (1 - betas).cumprod(dim=0)
    return ((1 - kept) / kept).sqrt()


def cosine_share(t: Tensor) -> Tensor:
    """cos^2((t + 0.008) / 1.008 * pi / 2): what is left of the signal's square at time t in 0 .. 1."""
    return ((t + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2).cos() ** 2


class AdmEntrance:
    """From the sampler's coordinates to ADM's: x / sqrt(alpha^2 + sigma^2), and the time of sigma / alpha.

    The time is interpolated in log sigma over the classifier's own schedule, and stays inside it.
    """

    def __init__(self, schedule: str):
        self.schedule = schedule
        self.log_sigmas = schedule_sigmas(schedule).log().float()

    def __call__(self, x: Tensor, sigma: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, C, H, W], sigma, alpha [B] -> variance-preserving x and time [B]"""
        return x / (alpha**2 + sigma**2).sqrt()[:, None, None, None], self.time_of(sigma / alpha)

    def time_of(self, sigma: Tensor) -> Tensor:  # [B] -> [B] in 0 .. 999
        """Where this noise level lies on the schedule."""
        levels = self.log_sigmas.to(sigma.device)
        wanted = sigma.log().clamp(levels[0], levels[-1])
        above = torch.searchsorted(levels, wanted).clamp(1, STEPS - 1)
        low, high = levels[above - 1], levels[above]
        return above - 1 + (wanted - low) / (high - low)


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


def planned(weights: Mapping[str, Tensor]) -> AdmClassifier:
    """The network, without memory, that weights of this size belong to.  Raises ValueError where there is none."""
    size, first, last = adm_size(weights), weights["time_embed.0.weight"], weights.get("out.2.c_proj.weight")
    if first.ndim != 2 or not first.numel() or first.shape[1] % HEAD:
        raise ValueError(f"has time_embed.0.weight of {tuple(first.shape)}; the released classifiers have (512, 128).")
    labels = len(last) if last is not None and last.ndim else LABELS
    return AdmClassifier(size, labels, first.shape[1], device="meta")
