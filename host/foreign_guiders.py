"""What was done with the predictions of a call, as far as the numbers prove it.

A guider of another pack combines them itself, under no scale that anybody could read. But if D lies on the line through
u and c, the scale is where it lies, and a prediction of unknown role that completes that line is u. A further pass
pulls D off that line, along a direction that is known, and what lies along it is its scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..guidance.vectors import flat, promoted, wide
from ..trace.recorder import Pass

ROUNDING = 1e-6  # share of the longest vector by which D may miss the sum: float32 and a few operations


def settled(
    denoised: Tensor,
    uncond: Tensor | None,
    cond: Tensor | None,
    unnamed: Sequence[Tensor],
    further: Sequence[Tensor] = (),
) -> tuple[Tensor | None, Tensor | None, float]:  # [B, ...] each
    """u, c and gamma of a foreign guider where they are proven, else None, None and nan.

    uncond, cond: as far as their roles are known. unnamed: predictions of which nobody says whether they are u or c.
    further: directions in which D was moved off the line through u and c.
    """
    if cond is None:
        cond = next((one for one in unnamed if torch.equal(one, denoised)), None)
    if cond is None:
        return uncond, None, math.nan
    if torch.equal(denoised, cond):
        return uncond, cond, 1.0
    for candidate in unnamed if uncond is None else [uncond]:
        (scale, *_) = scales_between(candidate, [promoted(cond) - promoted(candidate), *further], denoised)
        if math.isfinite(scale):
            return candidate, cond, scale
    return uncond, cond, math.nan


def proven_passes(
    denoised: Tensor, uncond: Tensor | None, cond: Tensor | None, gamma: float, passes: Mapping[str, Pass]
) -> dict[str, Pass]:
    """The same passes with the scales at which they took part.  D = u + gamma (c - u) + sum of scale * difference"""
    if not passes or cond is None or math.isnan(gamma):
        return dict(passes)
    first = promoted(cond if uncond is None else uncond)
    plain = first + gamma * (promoted(cond) - first)
    scales = scales_between(plain, [one.difference for one in passes.values()], denoised)
    return {name: replace(one, scale=scale) for (name, one), scale in zip(passes.items(), scales, strict=True)}


def scales_between(start: Tensor, directions: Sequence[Tensor], end: Tensor) -> list[float]:  # [B, ...] each
    """The w of end = start + sum of w_i d_i, one for all samples each; nan where there are none or they are not unique.

    Least squares on unit directions; a remainder beyond rounding in any sample proves that there is no such sum.
    """
    origin, goal, *lines = (wide(flat(v)) for v in (start, end, *directions))
    sizes = torch.stack([line.norm() for line in lines])
    unit = torch.stack([line.flatten() for line in lines]) / sizes[:, None]
    inner = unit @ unit.mT
    unknown = [math.nan] * len(lines)
    if not inner.isfinite().all() or int(torch.linalg.matrix_rank(inner, hermitian=True)) < len(lines):
        return unknown
    weights = torch.linalg.solve(inner, unit @ (goal - origin).flatten()) / sizes
    steps = [weight * line for weight, line in zip(weights, lines, strict=True)]
    missed = (goal - origin - sum(steps)).norm(dim=1)
    longest = torch.stack([one.norm(dim=1) for one in (origin, *steps)]).amax(dim=0)
    if not (missed <= ROUNDING * longest).all():
        return unknown
    room = (ROUNDING * longest.norm() / sizes).tolist()
    return [_near(scale, within) for scale, within in zip(weights.tolist(), room, strict=True)]


def _near(scale: float, within: float) -> float:
    """The number on a widget, where rounding alone lies between."""
    short = round(scale, 3)
    return short if abs(short - scale) <= within else scale
