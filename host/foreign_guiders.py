"""What a guider of another pack did with its predictions, as far as the numbers prove it.

Such a guider combines them itself, under no scale that anybody could read. But if D lies on the line through u and c,
the scale is where it lies, and a prediction of unknown role that completes that line is u.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..guidance.vectors import flat, wide
from ..trace.recorder import Call

ROUNDING = 1e-6  # share of the longest vector by which D may miss the line: float32 and a few operations


def settle(call: Call, denoised: Tensor) -> None:
    """Complete a call of a foreign guider: c, u and gamma where they are proven, else None, None and nan."""
    if call.cond is None:
        call.cond = next((one for one in call.unnamed if torch.equal(one, denoised)), None)
    call.gamma = math.nan
    if call.cond is None:
        return
    if torch.equal(denoised, call.cond):
        call.gamma = 1.0
        return
    for candidate in call.unnamed if call.uncond is None else [call.uncond]:
        scale = scale_between(candidate, call.cond, denoised)
        if math.isfinite(scale):
            call.uncond, call.gamma = candidate, scale
            return


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
