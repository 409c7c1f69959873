"""The networks a denoiser file may hold: name -> class, sizes read off the weights, and what they cost in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from .pocket import HEAD_WIDTH, PocketUNet

Shapes = Mapping[str, tuple[int, ...]]
POCKET_STAGES = ("encode_half", "encode_quarter", "middle", "decode_quarter", "decode_half", "head")
BYTES_PER_PIXEL = 480  # Pocket's activations alive at once, in float32: measured 320, attention not counted


@dataclass(frozen=True)
class Architecture:
    """One kind of network.

    network: called with the sizes, labels, operations, device, dtype; forward(x, t, y). sizes: weights' shapes -> its
    keyword arguments, without labels; raises KeyError for a missing weight. classes: weight whose rows are the labels
    and the null label. channels: of the picture. multiple: what its sides must be divisible by.
    memory: (sizes, batch, pixels of one picture) -> bytes of activations in float32.
    """

    network: Callable[..., nn.Module]
    sizes: Callable[[Shapes], dict[str, Any]]
    classes: str
    channels: int
    multiple: int
    memory: Callable[[Mapping[str, Any], int, int], int]


def pocket_sizes(shapes: Shapes) -> dict[str, Any]:
    """Read Pocket's sizes off its weights.

    Raises KeyError for a missing weight, ValueError for channels its groups and attention heads cannot share out.
    """
    ch = tuple(shapes[name][0] for name in ("stem.weight", "to_quarter.weight", "to_eighth.weight"))
    head, emb = shapes["head.look.weight"][0], shapes["embedding.first.weight"][0]
    blocks = tuple(_blocks(shapes, stage) for stage in POCKET_STAGES)
    for channels, divisor in ((ch[0], 8), (ch[1], HEAD_WIDTH), (ch[2], HEAD_WIDTH), (head, 4)):
        if channels < 1 or channels % divisor:
            raise ValueError(f"has {channels} channels where pocket-unet-1 needs a multiple of {divisor}")
    return {"ch": ch, "emb": emb, "head": head, "blocks": blocks}


def _blocks(shapes: Shapes, stage: str) -> int:
    return len({found[1] for key in shapes if (found := re.match(rf"{stage}\.blocks\.(\d+)\.", key))})


def pocket_memory(sizes: Mapping[str, Any], batch: int, pixels: int) -> int:
    """Activations of one forward: pixels, and attention's weights at a quarter of the resolution (before and after)."""
    wider = max(1.0, sizes["ch"][0] / 48, sizes["head"] / 16)
    attention = 2 * 4 * (sizes["ch"][1] // HEAD_WIDTH) * (pixels // 16) ** 2
    return int(batch * (BYTES_PER_PIXEL * wider * pixels + attention))


ARCHITECTURES: dict[str, Architecture] = {
    "pocket-unet-1": Architecture(PocketUNet, pocket_sizes, "embedding.classes.weight", 3, 8, pocket_memory),
}
