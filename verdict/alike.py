"""Whether two pictures are one picture to an eye that goes from one to the other.

Nobody compares places of pixels, so colours are means over cells, and count as changed only where the other picture
has no such colour nearby; what is drawn is compared in lightness, at every size at which a person looks. Both count
where the pictures differ most: a robot that turns blue is a small part of its picture.

Sources: CIEDE2000 as `ciede2000`; structural similarity, Wang et al. 2004; at several sizes, Wang et al. 2003.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .ciede2000 import ciede2000, lab_of, linear_light

SEEN, SMALL = 256, 32  # pixels of the longer side: of a picture as it is looked at, and as small as it still shows
CELLS = 16  # along the longer side; one is 1 / 16 of what is seen at once
PART = 0.1  # of the picture: the part that changed most
COLOUR, STRUCTURE = 10.0, 0.5  # at either of which d is 1
WIDTH, REACH = 1.5, 3  # pixels: deviation of the window of the structural similarity, and where it ends
FLAT = (0.01**2, 0.03**2)  # squares of lightness and of contrast below which nothing is seen


@dataclass(frozen=True)
class Change:
    """From one picture to another, in the tenth of it that changed most.

    colour: mean CIEDE2000, of which about 1 is the least that is seen, and 10 another shade. structure: 1 minus mean
    structural similarity of lightness, 0 to 2. Each [B].
    """

    colour: Tensor
    structure: Tensor

    @property
    def distance(self) -> Tensor:  # [B], >= 0
        """d = max(colour / 10, structure / 0.5)."""
        return torch.maximum(self.colour / COLOUR, self.structure / STRUCTURE)

    @property
    def of_colour(self) -> Tensor:  # [B] bool
        """Whether colours changed more than what is drawn."""
        return self.colour / COLOUR >= self.structure / STRUCTURE


def compare_pictures(first: Tensor, second: Tensor) -> Change:  # 2 x [B, 3, H, W] sRGB in 0 .. 1, any H and W
    """How far the pictures of two batches are apart, pair by pair; nan where one is not finite.

    Raises ValueError for batches of different shapes, and for what is not RGB.
    """
    if first.shape != second.shape or first.ndim != 4 or first.shape[1] != 3:
        raise ValueError(
            f"Pictures of {tuple(first.shape)} and {tuple(second.shape)} cannot be compared. Both must be [B, 3, H, W]."
        )
    lights = [_reduce(linear_light(batch.detach().cpu().float().clamp(0, 1)), SEEN) for batch in (first, second)]
    return Change(_change_of_colour(*lights), _change_of_structure(*lights))


def _change_of_colour(*lights: Tensor) -> Tensor:  # 2 x [B, 3, H, W] -> [B]
    """The distance of every cell to the nearest colour around its place, whichever picture lacks the other's more."""
    first, second = (lab_of(_reduce(light, CELLS)) for light in lights)
    return _worst(torch.maximum(_nearest(first, second), _nearest(second, first)))


def _nearest(lab: Tensor, other: Tensor) -> Tensor:  # 2 x [B, 3, h, w] -> [B, h, w]
    height, width = lab.shape[-2:]
    around = functional.pad(other, (1, 1, 1, 1), mode="replicate")
    places = [around[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return torch.stack([ciede2000(lab, place) for place in places]).amin(dim=0)


def _change_of_structure(*lights: Tensor) -> Tensor:  # 2 x [B, 3, H, W] -> [B]
    """The largest over sizes, each half of the one before, down to the smallest that still shows a picture.

    So a large picture is never nearer to another than the small ones are, on which the limits were found.
    """
    longest = max(lights[0].shape[-2:])
    sizes = [longest // 2**k for k in range(1 + max(0, int(math.log2(max(longest / SMALL, 1)))))]
    scaled = [[lab_of(_reduce(light, size))[:, :1] / 100 for light in lights] for size in sizes]
    return torch.stack([_worst(1 - _similarity(*pair)) for pair in scaled]).amax(dim=0)


def _similarity(x: Tensor, y: Tensor) -> Tensor:  # 2 x [B, 1, H, W] in 0 .. 1 -> [B, H, W], -1 .. 1
    """(2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2)) in a Gaussian window."""
    mx, my = _blur(x), _blur(y)
    sx, sy, sxy = _blur(x * x) - mx * mx, _blur(y * y) - my * my, _blur(x * y) - mx * my
    level, contrast = FLAT
    alike = (2 * mx * my + level) * (2 * sxy + contrast)
    return (alike / ((mx * mx + my * my + level) * (sx + sy + contrast)))[:, 0]


def _blur(x: Tensor) -> Tensor:  # [B, 1, H, W]
    window = (-(torch.arange(-REACH, REACH + 1, dtype=x.dtype) ** 2) / (2 * WIDTH**2)).exp()
    window = window / window.sum()
    padded = functional.pad(x, (REACH,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, window[None, None, None]), window[None, None, :, None])


def _reduce(light: Tensor, longest: int) -> Tensor:  # [B, 3, H, W] -> [B, 3, h, w]
    """Means over areas, so that the longer side has at most so many pixels."""
    sides = light.shape[-2:]
    if max(sides) <= longest:
        return light
    height, width = (max(1, round(side * longest / max(sides))) for side in sides)
    return functional.adaptive_avg_pool2d(light, (height, width))


def _worst(change: Tensor) -> Tensor:  # [B, h, w] -> [B]
    """Mean over the part that changed most."""
    values = change.flatten(1)
    return values.topk(math.ceil(PART * values.shape[1]), dim=1).values.mean(dim=1)
