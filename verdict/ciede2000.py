"""How far two colours are apart for an eye: sRGB to CIELAB under D65, and the difference CIEDE2000.

Source: Sharma, Wu, Dalal 2005, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data,
and mathematical observations", Color Research and Application 30(1), whose equations the comments number; sRGB is IEC
61966-2-1.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
TURN = 2 * pi
OPPOSITE = pi * (1 + 1e-12)  # hues half a turn apart are not further, which rounding must not decide


def linear_light(rgb: Tensor) -> Tensor:  # [...] in 0 .. 1 -> [...] in 0 .. 1
    """sRGB values without their transfer curve, so that a mean of them is the colour that a far eye mixes."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def lab_of(light: Tensor) -> Tensor:  # [B, 3, ...] linear light in 0 .. 1 -> [B, 3, ...] L* in 0 .. 100, a*, b*
    """CIELAB of linear sRGB, with its own white (1, 1, 1).

    L* = 116 f(Y / Yn) - 16,  a* = 500 (f(X / Xn) - f(Y / Yn)),  b* = 200 (f(Y / Yn) - f(Z / Zn))
    """
    matrix = light.new_tensor(TO_XYZ)
    ratio = torch.einsum("ij,bj...->bi...", matrix / matrix.sum(dim=1, keepdim=True), light)
    low = 6 / 29
    x, y, z = torch.where(ratio > low**3, ratio.clamp(min=low**3) ** (1 / 3), ratio / (3 * low**2) + 4 / 29).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def ciede2000(first: Tensor, second: Tensor) -> Tensor:  # 2 x [B, 3, ...] L*, a*, b* -> [B, ...], >= 0
    """Delta E 00 with kL = kC = kH = 1: about 1 is the least that is seen side by side.

    sqrt((dL' / SL)^2 + (dC' / SC)^2 + (dH' / SH)^2 + RT (dC' / SC) (dH' / SH))
    """
    (lightness1, a1, b1), (lightness2, a2, b2) = first.unbind(1), second.unbind(1)
    chroma = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2  # (2), (3)
    stretch = 1.5 - 0.5 * _seventh(chroma)  # 1 + G, (4), (5)
    chroma1, chroma2 = torch.hypot(stretch * a1, b1), torch.hypot(stretch * a2, b2)  # (6)
    hue1, hue2 = (torch.atan2(b, stretch * a) % TURN for a, b in ((a1, b1), (a2, b2)))  # (7)
    grey = chroma1 * chroma2 == 0
    turn = hue2 - hue1
    far = turn.abs() > OPPOSITE
    turn = torch.where(far, turn - TURN * turn.sign(), turn).masked_fill(grey, 0)  # (10)
    d_hue = 2 * (chroma1 * chroma2).sqrt() * (turn / 2).sin()  # (11)
    lightness, chroma = (lightness1 + lightness2) / 2, (chroma1 + chroma2) / 2  # (12), (13)
    total = hue1 + hue2
    hue = torch.where(far, torch.where(total < TURN, total + TURN, total - TURN), total) / 2
    hue = torch.where(grey, total, hue)  # (14)
    degree = pi / 180
    weight = 1 - 0.17 * (hue - 30 * degree).cos() + 0.24 * (2 * hue).cos()  # (15)
    weight = weight + 0.32 * (3 * hue + 6 * degree).cos() - 0.2 * (4 * hue - 63 * degree).cos()
    rotation = 30 * degree * (-(((hue / degree - 275) / 25) ** 2)).exp()  # (16)
    middle = (lightness - 50) ** 2
    parts = (
        (lightness2 - lightness1) / (1 + 0.015 * middle / (20 + middle).sqrt()),  # (18)
        (chroma2 - chroma1) / (1 + 0.045 * chroma),  # (19)
        d_hue / (1 + 0.015 * chroma * weight),  # (20)
    )
    crossed = -(2 * rotation).sin() * 2 * _seventh(chroma)  # RT, (17), (21)
    return (sum(part**2 for part in parts) + crossed * parts[1] * parts[2]).clamp(min=0).sqrt()  # (22)


def _seventh(chroma: Tensor) -> Tensor:
    """sqrt(C^7 / (C^7 + 25^7))"""
    return (chroma**7 / (chroma**7 + 25.0**7)).sqrt()
