"""Layers of guided-diffusion (ADM), of which its denoisers and its classifiers are built.

Names follow the released files, so that a state dict fits as it is.
Source: Dhariwal and Nichol 2021, arXiv 2105.05233, appendix and the released configurations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

HEAD = 64  # channels of one attention head, where a number of heads is not given


class Timed(nn.Sequential):
    """Layers in a row, of which the residual blocks also get the embedding of time and label."""

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Apply each in turn."""
        for layer in self:
            h = layer(h, e) if isinstance(layer, Residual) else layer(h)
        return h


class Residual(nn.Module):
    """norm, SiLU, (resize,) conv; then norm scaled and shifted by the embedding, SiLU, conv; beside the input itself.

    side: the layer that halves or doubles the sides, if they change.
    """

    def __init__(self, channels: int, wanted: int, emb: int, side: nn.Module | None, operations: Any, **place: Any):
        super().__init__()
        op = operations
        self.in_layers = nn.Sequential(
            op.GroupNorm(32, channels, **place), nn.SiLU(), op.Conv2d(channels, wanted, 3, padding=1, **place)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), op.Linear(emb, 2 * wanted, **place))
        self.out_layers = nn.Sequential(
            op.GroupNorm(32, wanted, **place),
            nn.SiLU(),
            nn.Identity(),
            op.Conv2d(wanted, wanted, 3, padding=1, **place),
        )
        self.skip_connection = nn.Identity() if channels == wanted else op.Conv2d(channels, wanted, 1, **place)
        self.side = side or nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:  # [B, C, H, W], e [B, emb] -> [B, wanted, H', W']
        """Add what the two convolutions find."""
        h = self.in_layers[2](self.side(self.in_layers[1](self.in_layers[0](x))))
        scale, shift = self.emb_layers(e)[:, :, None, None].chunk(2, dim=1)
        h = self.out_layers[0](h) * (1 + scale) + shift
        return self.skip_connection(self.side(x)) + self.out_layers[1:](h)


class Attention(nn.Module):
    """Self-attention over places.

    heads: 0 for one per 64 channels. together: whether every head's q, k and v lie together in `qkv` (the released,
    older order), or all q come first, then all k, all v. Raises ValueError where the heads do not share the channels.
    """

    def __init__(self, channels: int, heads: int, together: bool, operations: Any, **place: Any):
        super().__init__()
        self.heads, self.together = heads_of(channels, heads), together
        self.norm = operations.GroupNorm(32, channels, **place)
        self.qkv = operations.Conv1d(channels, 3 * channels, 1, **place)
        self.proj_out = operations.Conv1d(channels, channels, 1, **place)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> the same
        """Add what the places tell each other."""
        rows = x.flatten(2)
        qkv = self.qkv(self.norm(rows))
        apart = qkv.unflatten(1, (self.heads, 3, -1)) if self.together else qkv.unflatten(1, (3, self.heads, -1))
        q, k, v = apart.unbind(2 if self.together else 1)
        return x + self.proj_out(attend(q, k, v).flatten(1, 2)).view_as(x)


def heads_of(channels: int, heads: int = 0) -> int:
    """The heads that share these channels.  heads: 0 for one per 64.  Raises ValueError where some are left over."""
    if channels % (heads or HEAD):
        raise ValueError(f"has {channels} channels for {f'{heads} heads' if heads else f'heads of {HEAD}'}")
    return heads or channels // HEAD


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # each [B, heads, channels, places] -> the same
    """v softmax(q^T k / sqrt(channels))^T"""
    q, k, v = (part.transpose(2, 3).contiguous() for part in (q, k, v))  # in tiles only where channels lie together
    return nn.functional.scaled_dot_product_attention(q, k, v).transpose(2, 3)


def time_features(time: Tensor, width: int, shift: float = 0.0) -> Tensor:  # [B] -> [B, width] float32
    """cos, then sin of time * 10000^(-i / (half - shift)) for i < half = width / 2."""
    half = width // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, device=time.device) / (half - shift))
    angles = time.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)


@dataclass(frozen=True)
class Plan:
    """What an ADM network is built of.

    in_channels: channels of its input.
    widths: channels of each level.
    depth: residual blocks of a level.
    attends: levels with attention, 0 the finest.
    emb: width of the embedding.
    heads, together: as `Attention`.
    operations: where the layers come from.
    place: device and dtype of the weights.
    """

    in_channels: int
    widths: tuple[int, ...]
    depth: int
    attends: tuple[int, ...]
    emb: int
    heads: int
    together: bool
    operations: Any
    place: Mapping[str, Any]

    def embedding(self, width: int) -> nn.Sequential:
        """From the features of a time to its embedding."""
        linear = self.operations.Linear
        return nn.Sequential(linear(width, self.emb, **self.place), nn.SiLU(), linear(self.emb, self.emb, **self.place))

    def residual(self, channels: int, wanted: int, side: nn.Module | None = None) -> Residual:
        """A residual block."""
        return Residual(channels, wanted, self.emb, side, self.operations, **self.place)

    def attention(self, channels: int) -> Attention:
        """Attention over all places."""
        return Attention(channels, self.heads, self.together, self.operations, **self.place)

    def block(self, channels: int, level: int, *more: nn.Module) -> Timed:
        """A residual block of a level, with its attention where it has one."""
        attention = [self.attention(self.widths[level])] if level in self.attends else []
        return Timed(self.residual(channels, self.widths[level]), *attention, *more)

    def encoder(self) -> nn.ModuleList:
        """From the input to the coarsest level."""
        stem = self.operations.Conv2d(self.in_channels, self.widths[0], 3, padding=1, **self.place)
        blocks, channels = nn.ModuleList([Timed(stem)]), self.widths[0]
        for level, width in enumerate(self.widths):
            if level:
                blocks.append(Timed(self.residual(channels, channels, nn.AvgPool2d(2))))
            for _ in range(self.depth):
                blocks.append(self.block(channels, level))
                channels = width
        return blocks

    def middle(self) -> Timed:
        """What is done at the coarsest level."""
        width = self.widths[-1]
        return Timed(self.residual(width, width), self.attention(width), self.residual(width, width))
