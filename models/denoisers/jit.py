"""JiT: a plain transformer on large patches of pixels that predicts the clean picture.

Source: Li and He 2025, arXiv 2511.13720. Names follow the released files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...files.claims import whole
from ...guidance.vectors import per_item
from ..networks.imagenet import LABELS
from .spec import Format, Published, Shapes, axes, labels_of_table
from .transformer import EPSILON, Attention, Block, FinalLayer, LabelEmbedder, TimeEmbedder, activations, picture_of

CLASSES = "y_embedder.embedding_table.weight"
MARKS = {"x_embedder.proj1.weight", "in_context_posemb", CLASSES, "pos_embed", "blocks.0.mlp.w12.weight"}
UNIT_SIDE = 256  # pixels; larger pictures were trained with more noise, in proportion


@dataclass(frozen=True)
class JiTSizes:
    """The size of a JiT.

    channels: of a picture.
    patch: pixels of a patch along a side.
    grid: patches along a side.
    bottleneck: numbers that a patch is squeezed to first.
    width: of a token.
    depth: number of blocks.
    heads: of an attention.
    mlp: width inside an MLP.
    classes: number of labels, "no label" left out.
    context: tokens of the label.
    start: the block at which they enter.
    noise: size of the noise that it was trained with.
    """

    channels: int
    patch: int
    grid: int
    bottleneck: int
    width: int
    depth: int
    heads: int
    mlp: int
    classes: int
    context: int
    start: int
    noise: float


class SwiGLU(nn.Module):
    """w3 (silu(a) * b), where w12 gives a and b."""

    def __init__(self, width: int, inner: int, operations: Any, **place: Any):
        super().__init__()
        self.w12 = operations.Linear(width, 2 * inner, **place)
        self.w3 = operations.Linear(inner, width, **place)

    def forward(self, h: Tensor) -> Tensor:  # [B, N, D] -> the same
        """Apply it."""
        gate, value = self.w12(h).chunk(2, dim=2)
        return self.w3(nn.functional.silu(gate) * value)


class PatchEmbedder(nn.Module):
    """A token for each patch, through a narrow layer."""

    def __init__(self, sizes: JiTSizes, operations: Any, **place: Any):
        super().__init__()
        narrow, patch = sizes.bottleneck, sizes.patch
        self.proj1 = operations.Conv2d(sizes.channels, narrow, patch, stride=patch, bias=False, **place)
        self.proj2 = operations.Conv2d(narrow, sizes.width, 1, **place)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, N, width]
        """Project the patches, row by row."""
        return self.proj2(self.proj1(x)).flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class Rotation:
    """Rotary positions: pairs of channels turn with the row of a token in one half, with its column in the other.

    The first `context` tokens lie nowhere and are not turned.
    """

    grid: int
    context: int = 0

    def __call__(self, heads: Tensor) -> Tensor:  # [B, heads, N, D] -> the same
        """Turn queries or keys."""
        cos, sin = (waves.to(heads) for waves in self._waves(heads.shape[3], heads.device))
        first, second = heads.unflatten(3, (-1, 2)).unbind(4)
        return torch.stack([first * cos - second * sin, second * cos + first * sin], dim=4).flatten(3)

    def _waves(self, width: int, device: torch.device) -> tuple[Tensor, Tensor]:  # -> [N, width / 2] twice
        order = torch.arange(width // 4, dtype=torch.float32, device=device)
        angles = torch.arange(self.grid, device=device)[:, None] / 10_000 ** (4 * order / width)
        sides = (self.grid, self.grid, -1)
        both = torch.cat([angles[:, None].expand(sides), angles[None].expand(sides)], dim=2).flatten(0, 1)
        both = torch.cat([both.new_zeros(self.context, both.shape[1]), both])
        return both.cos(), both.sin()


class JiT(nn.Module):
    """Predicts the clean picture.

    operations: where the layers come from (torch.nn, or the host's casting layers). device, dtype: of the weights.
    """

    def __init__(self, sizes: JiTSizes, operations: Any = nn, **place: Any):
        super().__init__()
        width = sizes.width
        self.sizes = sizes
        self.x_embedder = PatchEmbedder(sizes, operations, **place)
        self.t_embedder = TimeEmbedder(width, operations, **place)
        self.y_embedder = LabelEmbedder(width, sizes.classes, operations, **place)
        self.pos_embed = nn.Parameter(torch.zeros(1, sizes.grid**2, width, **place), requires_grad=False)
        self.in_context_posemb = nn.Parameter(torch.zeros(1, sizes.context, width, **place))
        self.blocks = nn.ModuleList(_block(sizes, operations, **place) for _ in range(sizes.depth))
        self.final_layer = FinalLayer(
            operations.RMSNorm(width, eps=EPSILON, **place),
            operations.Linear(width, sizes.patch**2 * sizes.channels, **place),
            operations.Linear(width, 2 * width, **place),
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, C, H, W], t [B], y [B] -> [B, C, H, W]
        """x0-hat.

        Its own noise is k = `noise` times larger, z = t x0 + (1 - t) k eps, which at our level s has the same ratio of
        signal and noise at t = k (1 - s) / w, and z = x k / w, with w = s + k (1 - s).
        t: the noise level s. y: labels, 0 .. labels (= no label).
        """
        level, k = t.float(), self.sizes.noise
        total = level + k * (1 - level)
        return self.clean(x * per_item((k / total).to(x), x), k * (1 - level) / total, y)

    def clean(self, z: Tensor, t: Tensor, y: Tensor) -> Tensor:  # z [B, C, H, W], t [B], y [B] -> [B, C, H, W]
        """x0-hat in the coordinates it was trained in: t is 0 for noise and 1 for a clean picture."""
        label = self.y_embedder(y, z.dtype)
        c = self.t_embedder(t, z.dtype) + label
        h = self.x_embedder(z)
        h, turned = h + self.pos_embed.to(h), Rotation(self.sizes.grid)
        for number, block in enumerate(self.blocks):
            if number == self.sizes.start:
                h = torch.cat([label[:, None] + self.in_context_posemb.to(h), h], dim=1)
                turned = Rotation(self.sizes.grid, self.sizes.context)
            h = block(h, c, turned)
        return picture_of(self.final_layer(h[:, -(self.sizes.grid**2) :], c), self.sizes.patch)


def _block(sizes: JiTSizes, operations: Any, **place: Any) -> Block:
    width = sizes.width
    norms = (operations.RMSNorm(width, eps=EPSILON, **place), operations.RMSNorm(width, eps=EPSILON, **place))
    attention = Attention(width, sizes.heads, operations, normed=True, **place)
    mlp = SwiGLU(width, sizes.mlp, operations, **place)
    return Block(norms, attention, mlp, operations.Linear(width, 6 * width, **place))


def sizes_of(shapes: Shapes) -> dict[str, Any]:
    """Read a JiT's sizes off its weights. The label enters after a third of the blocks, as published.

    Raises KeyError for a missing weight, ValueError for patches that are no square, heads that cannot be, or latents.
    """
    bottleneck, channels, patch, _ = axes(shapes, "x_embedder.proj1.weight", 4)
    _, tokens, width = axes(shapes, "pos_embed", 3)
    grid, head = math.isqrt(tokens), shapes["blocks.0.attn.q_norm.weight"][0]
    if grid**2 != tokens or head < 4 or head % 4 or width % head:
        raise ValueError(f"has {tokens} patches, and heads of {head} channels in a width of {width}")
    if channels != 3:
        raise ValueError(f"works on {channels} channels where a JiT has 3")
    depth = len({name.split(".")[1] for name in shapes if name.startswith("blocks.")})
    mlp, context = shapes["blocks.0.mlp.w3.weight"][1], shapes["in_context_posemb"][1]
    sizes = (channels, patch, grid, bottleneck, width, depth, width // head, mlp, shapes[CLASSES][0] - 1, context)
    return vars(JiTSizes(*sizes, start=depth // 3, noise=max(1.0, grid * patch / UNIT_SIDE)))


def memory(sizes: Mapping[str, Any], batch: int, pixels: int) -> int:
    """Activations of one forward."""
    tokens = pixels // sizes["patch"] ** 2 + sizes["context"]
    return batch * activations(sizes["width"], sizes["mlp"], sizes["heads"], tokens)


def _publication(sizes: Mapping[str, Any]) -> Published:
    labels = LABELS if sizes["classes"] == len(LABELS) else ()
    return Published(3, sizes["grid"] * sizes["patch"], 0, "x0", "flow", time="sigma", labels=labels)


JIT = Format(
    name="jit",
    title="JiT",
    recognises=lambda shapes, metadata: shapes.keys() >= MARKS,
    sizes=sizes_of,
    labels=lambda shapes: labels_of_table(shapes, CLASSES),
    published=_publication,
    network=lambda sizes, labels, **place: JiT(JiTSizes(**sizes), **place),
    memory=memory,
    settings={"start": whole(0, 10_000), "noise": whole(1, 10_000)},
)
