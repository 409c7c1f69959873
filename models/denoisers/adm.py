"""Guided-diffusion (ADM): the U-Nets of OpenAI for ImageNet at 64 to 512 pixels, for LSUN, and others of their kind.

They predict the noise, and beside it a variance that no sampler here asks for.
Source: Dhariwal and Nichol 2021, arXiv 2105.05233, and the released configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...files.claims import switch, whole
from ..networks.adm import Plan, time_features
from ..networks.unets import coarsest, skip_channels, unet_memory
from .spec import MOST_HEADS, Format, Published, Shapes

COLOURS = 3
COARSEST = 8  # pixels of a side at the coarsest level of every published network
HEADS_AT_128 = 4  # that network alone has a number of heads; the others have one per 64 channels
LABELS = "label_emb.weight"
MARKS = {"time_embed.0.weight", "middle_block.1.qkv.weight", "output_blocks.0.0.in_layers.2.weight"}


class AdmUNet(nn.Module):
    """The network of one plan.  width: features of the time. labels: 0 for none. outputs: channels of its output."""

    def __init__(self, plan: Plan, width: int, labels: int, outputs: int):
        super().__init__()
        operations, place, finest = plan.operations, plan.place, plan.widths[0]
        self.width = width
        self.time_embed = plan.embedding(width)
        self.label_emb: Any = operations.Embedding(labels, plan.emb, **place) if labels else None
        self.input_blocks = plan.encoder()
        self.middle_block = plan.middle()
        self.output_blocks = decoder(plan)
        self.out = nn.Sequential(
            operations.GroupNorm(32, finest, **place),
            nn.SiLU(),
            operations.Conv2d(finest, outputs, 3, padding=1, **place),
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, 3, H, W], t [B], y [B] -> [B, 3, H, W]
        """The noise in a variance-preserving sample.  t: index of the schedule's table, 0 .. 999. y: labels."""
        e = self.time_embed(time_features(t, self.width).to(x.dtype))
        if self.label_emb is not None:
            e = e + self.label_vectors(y).to(e.dtype)
        skips = []
        for block in self.input_blocks:
            x = block(x, e)
            skips.append(x)
        x = self.middle_block(x, e)
        for block in self.output_blocks:
            x = block(torch.cat([x, skips.pop()], dim=1), e)
        return self.out(x)[:, :COLOURS]

    def label_vectors(self, y: Tensor) -> Tensor:  # [B] -> [B, emb]
        """Embeddings of labels; embeddings stay as they are."""
        return y if y.is_floating_point() else self.label_emb(y)


def decoder(plan: Plan) -> nn.ModuleList:
    """From the coarsest level to the finest; each block also sees a skip connection from the encoder."""
    blocks, channels = nn.ModuleList(), plan.widths[-1]
    skips = skip_channels(plan.widths[0], plan.widths, plan.depth)
    for level in reversed(range(len(plan.widths))):
        width = plan.widths[level]
        for last in (*[False] * plan.depth, level > 0):
            doubled = [plan.residual(width, width, nn.Upsample(scale_factor=2))] if last else []
            blocks.append(plan.block(channels + skips.pop(), level, *doubled))
            channels = width
    return blocks


def sizes_of(shapes: Shapes) -> dict[str, Any]:
    """Read a network's sizes off its weights.

    No shape tells the heads of attention and their order: they are those of the published network that has as many
    levels. Raises KeyError for a missing weight, ValueError for a network of another kind.
    """
    seen, outputs = shapes["input_blocks.0.0.weight"][1], shapes["out.2.weight"][0]
    if seen != COLOURS:
        raise ValueError(f"takes {seen} channels (an upsampler takes 6), and a denoiser takes {COLOURS}")
    depth = _depth(shapes)
    starts = range(1, _count(shapes, "output_blocks"), depth + 1)  # the first residual block of each level
    return {
        "width": shapes["time_embed.0.weight"][1],
        "widths": [shapes[f"input_blocks.{start}.0.in_layers.2.weight"][0] for start in starts],
        "depth": depth,
        "attends": [n for n, start in enumerate(starts) if f"input_blocks.{start}.1.qkv.weight" in shapes],
        "outputs": outputs,
        "heads": HEADS_AT_128 if len(starts) == 5 else 0,
        "together": len(starts) != 4,
    }


def classes_of(shapes: Shapes) -> int:
    """Classes of the network's table, none of which means "no label"; 0 without a table."""
    return next(iter(shapes.get(LABELS, ())), 0)


def _depth(shapes: Shapes) -> int:
    """Residual blocks of a level: the decoder's first level has one more, of which the last doubles the sides."""
    for block in range(_count(shapes, "output_blocks")):
        if any(f"output_blocks.{block}.{layer}.in_layers.2.weight" in shapes for layer in (1, 2)):
            return block
    raise ValueError("has no residual block that doubles the sides, which all published networks have")


def _count(shapes: Shapes, stage: str) -> int:
    return len({name.split(".")[1] for name in shapes if name.startswith(f"{stage}.")})


def publication(sizes: Mapping[str, Any]) -> Published:
    """What follows from the number of levels: the native size, and the cosine schedule at 64 pixels alone."""
    multiple = coarsest(sizes["widths"])
    return Published(
        channels=COLOURS,
        image_size=COARSEST * multiple,
        multiple=multiple,
        parametrisation="epsilon",
        schedule="vp_cosine" if multiple == 8 else "vp_linear",
        time="index",
    )


def network(sizes: Mapping[str, Any], labels: int, operations: Any = nn, **place: Any) -> AdmUNet:
    """The network of these sizes."""
    width, widths, attends = sizes["width"], tuple(sizes["widths"]), tuple(sizes["attends"])
    plan = Plan(
        COLOURS, widths, sizes["depth"], attends, 4 * width, sizes["heads"], sizes["together"], operations, place
    )
    return AdmUNet(plan, width, labels, sizes["outputs"])


ADM = Format(
    name="adm",
    title="guided-diffusion (ADM)",
    recognises=lambda shapes, metadata: shapes.keys() >= MARKS,
    sizes=sizes_of,
    labels=classes_of,
    published=publication,
    network=network,
    memory=unet_memory,
    null_label=False,
    settings={"heads": whole(1, MOST_HEADS), "together": switch()},
)
