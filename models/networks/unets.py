"""What the published U-Nets have in common, whatever their layers are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COPIES = 13  # activations of the finest level alive at once, beside what the encoder keeps: measured 5 to 13


def skip_channels(stem: int, widths: Sequence[int], depth: int) -> list[int]:
    """Channels of what an encoder keeps for the decoder: the stem, then of each level what was halved and the blocks.

    stem: channels after the first convolution. widths: channels of each level. depth: blocks of a level.
    """
    channels = [stem]
    for level, width in enumerate(widths):
        channels += [*channels[-1:] * bool(level), *[width] * depth]
    return channels


def unet_memory(sizes: Mapping[str, Any], batch: int, cells: int) -> int:
    """Bytes of activations of one forward in float32.

    sizes: `widths` (channels of each level) and `depth` (blocks of a level). cells: of one sample at the finest level.
    Attention is not counted: it is computed in tiles.
    """
    skipped = sum((sizes["depth"] + 1) * width / 4**level for level, width in enumerate(sizes["widths"]))
    return int(4 * batch * cells * (skipped + COPIES * sizes["widths"][0]))


def coarsest(widths: Sequence[int]) -> int:
    """What the sides of a sample must be divisible by, so that every level halves them."""
    return 2 ** (len(widths) - 1)


@dataclass(frozen=True)
class Step:
    """A layer of EDM's and EDM2's U-Nets.

    name: in the published files.
    role: conv, down, block, in0, in1 or up.
    channels, width: channels before and after it.
    attends: its level has attention.
    last: it is the last of its level.
    """

    name: str
    role: str
    channels: int
    width: int
    attends: bool = False
    last: bool = False


def way_down(sizes: Mapping[str, Any]) -> Iterator[Step]:
    """The encoder's layers.  sizes: `side`, `stem`, `widths`, `depth` and `attends` (levels)"""
    channels, depth = sizes["stem"], sizes["depth"]
    yield Step(f"{_sides(sizes, 0)}_conv", "conv", 0, channels)
    for level, width in enumerate(sizes["widths"]):
        name = _sides(sizes, level)
        if level:
            yield Step(f"{name}_down", "down", channels, channels)
        for index in range(depth):
            yield Step(f"{name}_block{index}", "block", channels, width, level in sizes["attends"], index == depth - 1)
            channels = width


def way_up(sizes: Mapping[str, Any]) -> Iterator[Step]:
    """The decoder's layers; skip connections join the channels before a block with those of the encoder."""
    widths, depth = sizes["widths"], sizes["depth"]
    skips = skip_channels(sizes["stem"], widths, depth)
    channels = skips[-1]
    for level, width in reversed([*enumerate(widths)]):
        name = _sides(sizes, level)
        for role in ("in0", "in1") if level == len(widths) - 1 else ("up",):
            yield Step(f"{name}_{role}", role, channels, channels, role == "in0", role == "in0")
        for index in range(depth + 1):
            joined, attends = channels + skips.pop(), level in sizes["attends"]
            yield Step(f"{name}_block{index}", "block", joined, width, attends, index == depth)
            channels = width


def _sides(sizes: Mapping[str, Any], level: int) -> str:
    """What names begin with at a level: the sides of a native sample there."""
    side = sizes["side"] >> level
    return f"{side}x{side}"


def ladder_sizes(shapes: Mapping[str, tuple[int, ...]], first: str) -> dict[str, Any]:
    """Sizes of a U-Net whose layers are named by their sides.  first: the name of a block's first convolution

    Raises KeyError for a missing weight, ValueError for sides that do not halve.
    """
    named = (re.match(r"enc\.(\d{1,5})x\1_(?:block(\d+))?", name) for name in shapes)
    places = {(int(name[1]), name[2]) for name in named if name}
    sides = sorted({side for side, _ in places}, reverse=True)
    if not sides or sides != [sides[0] >> level for level in range(len(sides))]:
        raise ValueError(f"has levels of {sides} places a side, and each must halve the one before")
    blocks = [f"enc.{side}x{side}_block0" for side in sides]
    return {
        "side": sides[0],
        "seen": shapes[f"enc.{sides[0]}x{sides[0]}_conv.weight"][1],
        "stem": shapes[f"enc.{sides[0]}x{sides[0]}_conv.weight"][0],
        "widths": [shapes[f"{block}.{first}.weight"][0] for block in blocks],
        "depth": len({block for side, block in places if side == sides[0] and block}),
        "attends": [level for level, block in enumerate(blocks) if shapes.keys() & _attention(block)],
    }


def _attention(block: str) -> set[str]:
    return {f"{block}.qkv.weight", f"{block}.attn_qkv.weight"}


def classes_of(shapes: Mapping[str, tuple[int, ...]], table: str) -> int:
    """Columns of a table of labels, one for each class; 0 without the table."""
    return next(reversed(shapes.get(table, ())), 0)
