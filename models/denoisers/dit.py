"""DiT and SiT: one transformer on the latents of Stable Diffusion's VAE, trained as diffusion or as flow.

Source: Peebles and Xie 2022, arXiv 2212.09748; Ma et al. 2024, arXiv 2401.08740. Names follow the released files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...files.claims import whole
from ..networks.imagenet import LABELS
from .latents import PIXELS, SD_LATENTS
from .spec import MOST_HEADS, Format, Published, Shapes, axes, labels_of_table
from .transformer import EPSILON, Attention, Block, FinalLayer, LabelEmbedder, TimeEmbedder, activations, picture_of

CLASSES = "y_embedder.embedding_table.weight"
MARKS = {"x_embedder.proj.weight", "t_embedder.mlp.0.weight", CLASSES, "pos_embed", "final_layer.linear.weight"}
LATENTS = {3: PIXELS, 4: SD_LATENTS}  # by the number of channels
XL = 1152  # the one width whose heads have 72 channels; those of the others have 64
DOUBT = (
    "The weights of a DiT (epsilon, vp_linear) and of a SiT (flow, flow) look alike; a file name with DiT or SiT in it "
    "tells them apart."
)


@dataclass(frozen=True)
class DiTSizes:
    """The size of a DiT.

    channels: of a sample.
    out: channels of the output; twice as many where the variance is learned too.
    patch: cells of a patch along a side.
    grid: patches along a side.
    width: of a token.
    depth: number of blocks.
    heads: of an attention.
    mlp: width inside an MLP.
    classes: number of labels, "no label" left out.
    shift: of the time's frequencies.
    epsilon: of the norms before the MLPs.
    """

    channels: int
    out: int
    patch: int
    grid: int
    width: int
    depth: int
    heads: int
    mlp: int
    classes: int
    shift: int = 0
    epsilon: float = EPSILON


class MLP(nn.Module):
    """Two layers with a GELU between, in its tanh form."""

    def __init__(self, width: int, inner: int, operations: Any, **place: Any):
        super().__init__()
        self.fc1 = operations.Linear(width, inner, **place)
        self.fc2 = operations.Linear(inner, width, **place)

    def forward(self, h: Tensor) -> Tensor:  # [B, N, D] -> the same
        """Apply both."""
        return self.fc2(nn.functional.gelu(self.fc1(h), approximate="tanh"))


class PatchEmbedder(nn.Module):
    """A token for each patch."""

    def __init__(self, channels: int, patch: int, width: int, operations: Any, **place: Any):
        super().__init__()
        self.proj = operations.Conv2d(channels, width, patch, stride=patch, **place)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, N, width]
        """Project the patches, row by row."""
        return self.proj(x).flatten(2).transpose(1, 2)


class DiT(nn.Module):
    """Predicts the noise in a sample.

    operations: where the layers come from (torch.nn, or the host's casting layers). device, dtype: of the weights.
    """

    def __init__(self, sizes: DiTSizes, operations: Any = nn, **place: Any):
        super().__init__()
        width = sizes.width
        self.sizes = sizes
        self.x_embedder = PatchEmbedder(sizes.channels, sizes.patch, width, operations, **place)
        self.t_embedder = TimeEmbedder(width, operations, sizes.shift, **place)
        self.y_embedder = LabelEmbedder(width, sizes.classes, operations, **place)
        self.pos_embed = nn.Parameter(torch.zeros(1, sizes.grid**2, width, **place), requires_grad=False)
        self.blocks = nn.ModuleList(_block(sizes, operations, **place) for _ in range(sizes.depth))
        self.final_layer = FinalLayer(
            operations.LayerNorm(width, elementwise_affine=False, eps=EPSILON, **place),
            operations.Linear(width, sizes.patch**2 * sizes.out, **place),
            operations.Linear(width, 2 * width, **place),
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, C, H, W], t [B], y [B] -> [B, C, H, W]
        """The prediction; a learned variance is left out.

        t: index in the table of noise levels. y: labels, 0 .. labels (= no label).
        """
        c = self.t_embedder(t, x.dtype) + self.y_embedder(y, x.dtype)
        h = self.x_embedder(x)
        h = h + self.pos_embed.to(h)
        for block in self.blocks:
            h = block(h, c, lambda heads: heads)
        return picture_of(self.final_layer(h, c), self.sizes.patch)[:, : self.sizes.channels]


class SiT(DiT):
    """A DiT that is told t = 1 - s and trained to predict x0 - eps; it gives eps - x0, as flow is defined here."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, C, H, W], t [B], y [B] -> [B, C, H, W]
        """The velocity.  t: the noise level s, 1 is noise alone. y: labels, 0 .. labels (= no label)."""
        return -super().forward(x, 1 - t, y)


def _block(sizes: DiTSizes, operations: Any, **place: Any) -> Block:
    width = sizes.width
    first, second = (
        operations.LayerNorm(width, elementwise_affine=False, eps=epsilon, **place)
        for epsilon in (EPSILON, sizes.epsilon)
    )
    attention = Attention(width, sizes.heads, operations, **place)
    mlp = MLP(width, sizes.mlp, operations, **place)
    return Block((first, second), attention, mlp, operations.Linear(width, 6 * width, **place))


def sizes_of(shapes: Shapes) -> dict[str, Any]:
    """Read a DiT's sizes off its weights; heads have 64 channels, and 72 at the width of the XL, as published.

    Raises KeyError for a missing weight, ValueError for patches that are no square, an output of odd size, or channels
    of an unknown VAE.
    """
    width, channels, patch, _ = axes(shapes, "x_embedder.proj.weight", 4)
    tokens, rows = axes(shapes, "pos_embed", 3)[1], shapes["final_layer.linear.weight"][0]
    grid, cells = math.isqrt(tokens), patch**2 * channels
    if grid**2 != tokens or rows not in (cells, 2 * cells):
        raise ValueError(f"has {tokens} patches of {cells} numbers and {rows} outputs for each")
    if channels not in LATENTS:
        raise ValueError(f"works on {channels} channels where a DiT has {' or '.join(map(str, LATENTS))}")
    depth = len({name.split(".")[1] for name in shapes if name.startswith("blocks.")})
    heads, mlp = max(1, width // (72 if width == XL else 64)), shapes["blocks.0.mlp.fc1.weight"][0]
    sizes = (channels, channels * rows // cells, patch, grid, width, depth, heads, mlp)
    return vars(DiTSizes(*sizes, classes=shapes[CLASSES][0] - 1))


def memory(sizes: Mapping[str, Any], batch: int, cells: int) -> int:
    """Activations of one forward."""
    tokens = cells // sizes["patch"] ** 2
    return batch * activations(sizes["width"], sizes["mlp"], sizes["heads"], tokens)


def _publication(sizes: Mapping[str, Any], **trained: Any) -> Published:
    channels, side = sizes["channels"], sizes["grid"] * sizes["patch"]
    space, labels = LATENTS[channels], LABELS if sizes["classes"] == len(LABELS) else ()
    return Published(channels, side, multiple=0, latents=space, labels=labels, doubt=DOUBT, **trained)


SIT = Format(
    name="sit",
    title="SiT",
    recognises=lambda shapes, metadata: False,  # its weights are a DiT's
    sizes=sizes_of,
    labels=lambda shapes: labels_of_table(shapes, CLASSES),
    published=lambda sizes: _publication(sizes, parametrisation="flow", schedule="flow", time="sigma"),
    network=lambda sizes, labels, **place: SiT(DiTSizes(**sizes), **place),
    memory=memory,
    settings={"heads": whole(1, MOST_HEADS)},
)
DIT = replace(
    SIT,
    name="dit",
    title="DiT",
    recognises=lambda shapes, metadata: shapes.keys() >= MARKS,
    published=lambda sizes: _publication(sizes, parametrisation="epsilon", schedule="vp_linear", time="index"),
    network=lambda sizes, labels, **place: DiT(DiTSizes(**sizes), **place),
    on_flow=SIT,
)
