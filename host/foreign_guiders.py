"""What a guider of another pack did with its predictions, as far as the numbers prove it.

Such a guider combines them itself, under no scale that anybody could read. But if D lies on the line through u and c,
the scale is where it lies, and a prediction of unknown role that completes that line is u.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..guidance.vectors import flat, wide

ROUNDING = 1e-6  # share of the longest vector by which D may miss the line: float32 and a few operations


def settled(
    denoised: Tensor, uncond: Tensor | None, cond: Tensor | None, unnamed: Sequence[Tensor]
) -> tuple[Tensor | None, Tensor | None, float]:  # [B, ...] each
    """u, c and gamma of a foreign guider where they are proven, else None, None and nan.

    uncond, cond: as far as their roles are known. unnamed: predictions of which nobody says whether they are u or c.
    """
    if cond is None:
        cond = next((one for one in unnamed if torch.equal(one, denoised)), None)
    if cond is None:
        return uncond, None, math.nan
    if torch.equal(denoised, cond):
        return uncond, cond, 1.0
    for candidate in unnamed if uncond is None else [uncond]:
        scale = scale_between(candidate, cond, denoised)
        if math.isfinite(scale):
            return candidate, cond, scale
    return uncond, cond, math.nan


def scale_between(u: Tensor, c: Tensor, guided: Tensor) -> float:  # 3 x [B, ...]
    """The gamma of guided = u + gamma (c - u), one for all samples; nan where there is none."""
    u, c, guided = (wide(flat(v)) for v in (u, c, guided))
    delta, moved = c - u, guided - u
    size = float(delta.square().sum())
    if size == 0:
        return math.nan
    scale = float((moved * delta).sum()) / size
    missed = (moved - scale * delta).norm(dim=1)
    longest = torch.maximum(u.norm(dim=1), (scale * delta).norm(dim=1))
    if not (missed <= ROUNDING * longest).all():
        return math.nan
    near = round(scale, 3)  # the number on a widget, where rounding alone lies between
    return near if abs(near - scale) * size**0.5 <= ROUNDING * float(longest.norm()) else scale
