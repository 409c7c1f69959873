"""Maps of classes from what a user draws: a mask, grey levels, or colours.  -> [n, H, W] int64, IGNORED where none"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .perception import IGNORED

LEVELS = 255  # of a grey picture
NEAREST = 0.1  # of the range 0 .. 1, by which every channel of a drawn colour may be off


def map_of_mask(mask: Tensor, white: int, black: int = IGNORED) -> Tensor:  # [n, H, W] in 0 .. 1
    """One class where the mask is white, another or none where it is black."""
    return torch.where(mask >= 0.5, white, black)


def map_of_levels(image: Tensor, ignore: int) -> Tensor:  # [n, H, W, C] in 0 .. 1
    """The grey level 0 .. 255 is the class.  ignore: level of places that do not count, -1 for none"""
    levels = (image[..., 0] * LEVELS).round().long()
    return levels.masked_fill(levels == ignore, IGNORED)


def map_of_colours(image: Tensor, colours: Sequence[int], classes: Sequence[int]) -> Tensor:  # [n, H, W, 3] in 0 .. 1
    """The class of the nearest colour; a place that is none of them does not count.  colours: 0xRRGGBB"""
    drawn = torch.tensor([[colour >> shift & 255 for shift in (16, 8, 0)] for colour in colours]) / 255
    apart = (image[..., None, :3] - drawn.to(image)).abs().amax(dim=-1)
    least, index = apart.min(dim=-1)
    return torch.where(least <= NEAREST, torch.tensor(classes).to(index)[index], IGNORED)
