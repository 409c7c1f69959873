"""Pictures, masks and maps as energies read them: one for every image in turn, at one size.

A map of classes [n, H, W] int64 is drawn as a mask, in grey levels or in colours; IGNORED is where no class counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..vectors import gradient_mode, put_beside, where_float64_is

IGNORED = -1  # class of a place that does not count
PROPORTION = 0.05  # by which a map's sides may be rounded
LEVELS = 255  # of a grey picture
NEAREST = 0.1  # of the range 0 .. 1, by which every channel of a drawn colour may be off


def pictures(image: Tensor) -> Tensor:  # IMAGE [B, H, W, C] in 0 .. 1 -> [B, 3, H, W] in -1 .. 1
    """Pictures as energies see them, on memory that allows gradients."""
    with gradient_mode():
        return image.clone()[..., :3].movedim(-1, 1) * 2 - 1


def region(mask: Tensor) -> Tensor:  # MASK [B, H, W] or [H, W] -> [B, H, W]
    """A mask on memory that allows gradients."""
    with gradient_mode():
        return mask.clone().reshape(-1, *mask.shape[-2:])


def grey(image: Tensor) -> Tensor:  # IMAGE [B, H, W, C] -> [B, H, W]
    """The mean of the channels, on memory that allows gradients."""
    return region(image[..., :3].mean(dim=-1))


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


def crop_to(picture: Tensor, like: Tensor) -> Tensor:  # [..., H, W] -> [..., h', w'] with the proportions of `like`
    """The middle of a picture, as much as has other proportions: what the host's common_upscale keeps."""
    (height, width), (h, w) = picture.shape[-2:], like.shape[-2:]
    rows, columns = min(height, round(width * h / w)), min(width, round(height * w / h))
    top, left = (height - rows) // 2, (width - columns) // 2
    return picture[..., top : top + rows, left : left + columns]


def why_black(mask: Tensor | None) -> str:  # [n, H, W]
    """That masks let nothing through, in words; empty where they do, or there is none."""
    dark = 0 if mask is None else int((mask.flatten(1).amax(dim=1) <= 0).sum())
    if mask is None or not dark:
        return ""
    which = "its mask is" if len(mask) == 1 else f"{dark} of its {len(mask)} masks {'is' if dark == 1 else 'are'}"
    return f"{which} black everywhere"


def resize_mask(mask: Tensor, x: Tensor) -> Tensor:  # [n, H, W] -> [B or 1, 1, h, w]
    """A mask at the size of pictures [B, C, h, w], cropped to their proportions and repeated to fill the batch."""
    if x.ndim != 4:
        raise ValueError(f"A mask needs pictures [batch, channels, height, width] but the sample has {x.ndim} axes.")
    return in_turn(resize(put_beside(crop_to(mask, x)[:, None], x), x.shape[-2:]), len(x))


def in_turn(values: Tensor, count: int) -> Tensor:  # [n, ...] -> [count or 1, ...]
    """One of them for every image in turn, repeated to fill the batch; a single one is left to broadcast."""
    return values if len(values) == 1 else values[torch.arange(count, device=values.device) % len(values)]


def resize(x: Tensor, sides: Sequence[int], mode: str = "bilinear") -> Tensor:  # [B, C, H, W] -> [B, C, *sides]
    """Scaled with antialiasing, so that every place has a share; nearest-exact takes single places.

    A Mac's GPU, which has no float64 either, has no gradient of this: there it is done on the CPU.
    """
    if x.shape[-2:] == torch.Size(sides):
        return x
    smooth = mode != "nearest-exact"
    scaled = nn.functional.interpolate(where_float64_is(x), tuple(sides), mode=mode, antialias=smooth)
    return scaled.to(x.device)


def check_proportions(name: str, wanted: Tensor, x: Tensor) -> None:
    """Refuse a map [n, H, W] that would have to be distorted to lie on pictures [B, C, h, w]."""
    (height, width), (h, w) = wanted.shape[-2:], x.shape[-2:]
    if abs(height * w - width * h) > PROPORTION * height * w:
        raise ValueError(
            f"The {name} is {width} x {height} but the picture {w} x {h}: the proportions differ. Crop it to match."
        )
