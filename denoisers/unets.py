"""What the published U-Nets have in common, whatever their layers are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COPIES = 8  # activations of the finest level that are alive at once, beside what the encoder keeps: measured 6 to 8


def unet_memory(sizes: Mapping[str, Any], batch: int, cells: int) -> int:
    """Bytes of activations of one forward in float32.

    sizes: `widths` (channels of each level) and `depth` (blocks of a level). cells: of one sample at the finest level.
    Attention is not counted: it is computed in tiles.
    """
    kept = sum((sizes["depth"] + 1) * width / 4**level for level, width in enumerate(sizes["widths"]))
    return int(4 * batch * cells * (kept + COPIES * sizes["widths"][0]))


def coarsest(widths: Sequence[int]) -> int:
    """What the sides of a sample must be divisible by, so that every level halves them."""
    return 2 ** (len(widths) - 1)
