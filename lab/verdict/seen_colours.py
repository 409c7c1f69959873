"""Whether the colours of two pictures differ visibly: a count that shares nothing with the distance.

No CIELAB and no places: hues, saturation and brightness of what stands before the background, and the background's
colour, in plain sRGB. It counts a change where a person would name one, and knows nothing of shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

APART = 0.15  # of 0 .. 1, in any channel: what stands before the background
BINS = 24  # of the circle of hues
GREY = 0.1  # mean saturation below which hues say nothing
HUE, SHARE = 20.0, 0.1  # degrees, and of 0 .. 1: a change that is visible


@dataclass(frozen=True)
class Colours:
    """Of a batch of pictures.

    hues: [B, BINS] shares of the subject's saturation. saturation, brightness: [B] means over the subject, 0 .. 1.
    background: [B, 3] median colour of the border.
    """

    hues: Tensor
    saturation: Tensor
    brightness: Tensor
    background: Tensor


def colours_of(pictures: Tensor) -> Colours:  # [B, 3, H, W] in 0 .. 1
    """Count the colours.  saturation = max - min of the channels, brightness = max."""
    border = torch.cat([pictures[:, :, 0], pictures[:, :, -1], pictures[..., 0], pictures[..., -1]], dim=2)
    background = border.median(dim=2).values
    subject = ((pictures - background[..., None, None]).abs().amax(dim=1) > APART).to(pictures.dtype)
    brightness, channel = pictures.max(dim=1)
    saturation = (brightness - pictures.amin(dim=1)) * subject
    red, green, blue = pictures.unbind(1)
    turns = torch.stack([green - blue, blue - red + 2 * saturation, red - green + 4 * saturation], dim=1)
    hue = turns.gather(1, channel[:, None])[:, 0] / saturation.clamp(min=1e-9) % 6  # in sixths of the circle
    bins = (hue * BINS / 6).long().clamp(0, BINS - 1).flatten(1)
    hues = pictures.new_zeros(len(pictures), BINS).scatter_add_(1, bins, saturation.flatten(1))
    count = subject.flatten(1).sum(dim=1).clamp(min=1)
    means = (saturation.flatten(1).sum(dim=1) / count, (brightness * subject).flatten(1).sum(dim=1) / count)
    return Colours(hues / hues.sum(dim=1, keepdim=True).clamp(min=1e-9), *means, background)


def hue_shift(first: Tensor, second: Tensor) -> Tensor:  # 2 x [B, BINS] shares -> [B] degrees
    """How far hues were moved on the circle: the earth mover's distance, whose cut is where it costs least."""
    moved = (first - second).cumsum(dim=1)
    return (moved - moved.median(dim=1, keepdim=True).values).abs().sum(dim=1) * 360 / BINS


def colours_changed(first: Tensor, second: Tensor) -> Tensor:  # 2 x [B, 3, H, W] in 0 .. 1 -> [B] bool
    """Hues by more than 20 degrees, or saturation, brightness or background by more than a tenth."""
    one, other = colours_of(first), colours_of(second)
    coloured = torch.minimum(one.saturation, other.saturation) > GREY
    shares = ((one.saturation - other.saturation).abs(), (one.brightness - other.brightness).abs())
    background = (one.background - other.background).abs().amax(dim=1)
    return (hue_shift(one.hues, other.hues) > HUE) & coloured | (torch.stack([*shares, background]) > SHARE).any(dim=0)
