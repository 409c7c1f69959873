"""Pictures, masks and maps as energies read them: one for every image in turn, at one size.

A map of classes [n, H, W] int64 is drawn as a mask, in grey levels or in colours; IGNORED is where no class counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IGNORED = -1  # class of a place that does not count
PROPORTION = 0.05  # by which a map's sides may be rounded
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


def resized_mask(mask: Tensor, x: Tensor) -> Tensor:  # [n, H, W] -> [B or 1, 1, h, w]
    """A mask at the size of pictures [B, C, h, w], repeated to fill the batch."""
    if x.ndim != 4:
        raise ValueError(f"A mask needs pictures [batch, channels, height, width] but the sample has {x.ndim} axes.")
    sized = nn.functional.interpolate(
        mask.reshape(-1, 1, *mask.shape[-2:]).to(x), x.shape[-2:], mode="bilinear", antialias=True
    )
    return in_turn(sized, len(x))


def in_turn(values: Tensor, count: int) -> Tensor:  # [n, ...] -> [count or 1, ...]
    """One of them for every image in turn, repeated to fill the batch; a single one is left to broadcast."""
    return values if len(values) == 1 else values[torch.arange(count, device=values.device) % len(values)]


def resized(x: Tensor, sides: torch.Size | tuple[int, int]) -> Tensor:  # [B, C, H, W] -> [B, C, *sides]
    """Scaled with antialiasing, so that every place has a share."""
    same = x.shape[-2:] == torch.Size(sides)
    return x if same else nn.functional.interpolate(x, tuple(sides), mode="bilinear", antialias=True)


def check_proportions(name: str, wanted: Tensor, x: Tensor) -> None:
    """Refuse a map [n, H, W] that would have to be distorted to lie on pictures [B, C, h, w]."""
    (height, width), (h, w) = wanted.shape[-2:], x.shape[-2:]
    if abs(height * w - width * h) > PROPORTION * height * w:
        raise ValueError(
            f"The {name} is {width} x {height} but the picture {w} x {h}: the proportions differ. Crop it to match."
        )
