"""What the image transformers DiT, SiT and JiT share: patches, embeddings, and blocks that the embeddings modulate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.adm import time_features

FEATURES = 256  # cosines and sines of the time
EPSILON = 1e-6  # of every norm


def positions(side: int, width: int, device: Any = None) -> Tensor:  # -> [1, side * side, width]
    """The fixed position embedding: sines and cosines of the column in half of the channels, of the row in the others.

    Raises ValueError for a width that is no multiple of 4.
    """
    if width % 4:
        raise ValueError(f"width is {width} but must be a multiple of 4")
    place = device if torch.device(device or "cpu").type == "meta" else "cpu"  # sizes that are only claimed, or numbers
    order = torch.arange(width // 4, dtype=torch.float64, device=place)
    angles = torch.arange(side, dtype=torch.float64, device=place)[:, None] * 10_000 ** (-4 * order / width)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1).float().to(device)
    columns, rows = (waves.expand(side, side, -1), waves[:, None].expand(side, side, -1))
    return torch.cat([columns, rows], dim=2).flatten(0, 1)[None]


def modulate(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:  # h [B, N, D], shift, scale [B, D] -> as h
    """Scale and shift all tokens of a sample alike:  h * (1 + scale) + shift."""
    return h * (1 + scale[:, None]) + shift[:, None]


def picture_of(patches: Tensor, patch: int) -> Tensor:  # [B, N, patch * patch * C] -> [B, C, H, W]
    """Lay out square patches, row by row, as a square picture; within a patch the channels lie innermost."""
    side = math.isqrt(patches.shape[1])
    grid = patches.unflatten(1, (side, side)).unflatten(3, (patch, patch, -1))
    return grid.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


class TimeEmbedder(nn.Module):
    """Cosines and sines of the time, then two layers."""

    def __init__(self, width: int, operations: Any, shift: int = 0, **place: Any):
        super().__init__()
        layers = (operations.Linear(size, width, **place) for size in (FEATURES, width))
        self.mlp = nn.Sequential(next(layers), nn.SiLU(), next(layers))
        self.shift = shift

    def forward(self, t: Tensor, dtype: torch.dtype) -> Tensor:  # [B] -> [B, width]
        """Embed the time."""
        return self.mlp(time_features(t, FEATURES, self.shift).to(dtype))


class LabelEmbedder(nn.Module):
    """A row for each label, and one for no label."""

    def __init__(self, width: int, labels: int, operations: Any, **place: Any):
        super().__init__()
        self.embedding_table = operations.Embedding(labels + 1, width, **place)

    def forward(self, y: Tensor, dtype: torch.dtype) -> Tensor:  # [B] -> [B, width]
        """Look the labels up."""
        return self.label_vectors(y).to(dtype)

    def label_vectors(self, y: Tensor) -> Tensor:  # [B] -> [B, width]
        """Embeddings of labels; embeddings stay as they are."""
        return y if y.is_floating_point() else self.embedding_table(y.long())


class Attention(nn.Module):
    """Self-attention of all tokens.  normed: RMS-normalised queries and keys

    Raises ValueError where the heads cannot share the width out.
    """

    def __init__(self, width: int, heads: int, operations: Any, normed: bool = False, **place: Any):
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"has {heads} heads for {width} channels")
        self.heads = heads
        self.q_norm, self.k_norm = (
            operations.RMSNorm(width // heads, eps=EPSILON, **place) if normed else nn.Identity() for _ in range(2)
        )
        self.qkv = operations.Linear(width, 3 * width, **place)
        self.proj = operations.Linear(width, width, **place)

    def forward(self, h: Tensor, turned: Callable[[Tensor], Tensor]) -> Tensor:  # [B, N, D] -> the same
        """Let every token read from all.  turned: what is done to queries and keys [B, heads, N, D / heads] last"""
        q, k, v = self.qkv(h).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = turned(self.q_norm(q)), turned(self.k_norm(k))
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then an MLP, on norms of the tokens that the embedding scales and shifts, both through a gate."""

    def __init__(self, norms: tuple[nn.Module, nn.Module], attention: Attention, mlp: nn.Module, modulation: nn.Module):
        super().__init__()
        self.norm1, self.norm2 = norms
        self.attn, self.mlp = attention, mlp
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), modulation)

    def forward(self, h: Tensor, c: Tensor, turned: Callable[[Tensor], Tensor]) -> Tensor:  # h [B, N, D], c [B, D] -> h
        """Add to the tokens what both say."""
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.adaLN_modulation(c).chunk(6, dim=1)
        h = h + gate[:, None] * self.attn(modulate(self.norm1(h), shift, scale), turned)
        return h + gate_mlp[:, None] * self.mlp(modulate(self.norm2(h), shift_mlp, scale_mlp))


class FinalLayer(nn.Module):
    """From tokens to patches."""

    def __init__(self, norm: nn.Module, linear: nn.Module, modulation: nn.Module):
        super().__init__()
        self.norm_final, self.linear = norm, linear
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), modulation)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:  # h [B, N, D], c [B, D] -> [B, N, patch]
        """Norm, modulate, project."""
        shift, scale = self.adaLN_modulation(c).chunk(2, dim=1)
        return self.linear(modulate(self.norm_final(h), shift, scale))


def activations(width: int, mlp: int, heads: int, tokens: int) -> int:
    """Bytes that one item needs in float32: twelve tensors of the tokens, the MLP's two, the attention's weights."""
    return 4 * (tokens * (12 * width + 2 * mlp) + heads * tokens**2)
