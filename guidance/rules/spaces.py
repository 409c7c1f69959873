"""The spaces in which a rule may measure a prediction: norms, angles and standard deviations differ between them.

Up to a factor per item, the output of a network is its x0-hat seen from a centre, which is the x0-hat of a zero output:

    output ~ scale x0 - keep x = scale (x0 - centre)          centre = keep x / scale

    x0       keep 0, scale 1
    epsilon  keep 1, scale alpha
    v        keep 1, scale 1 + sigma^2 on VE (v-prediction in its VP coordinates), 1 on flow (the velocity)
    ode      keep 1, scale 1              (x - x0) / sigma, the direction of the ODE: epsilon on VE, velocity on flow

A rule that only scales or projects needs no more than that, so nothing is divided by sigma.
Source: the table of predictions.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..predictions import Predictions
from ..vectors import per_item, promoted

SPACES = ("x0", "epsilon", "v", "ode")


def vector(space: str, x0: Tensor, p: Predictions) -> Tensor:  # x0 [B, ...] -> [B, ...]
    """What a network of this space would output for this x0-hat, up to a factor per item: scale x0 - keep x."""
    x0 = promoted(x0)
    return x0 if space == "x0" else per_item(_scale(space, p), x0) * x0 - promoted(p.x)


def centre(space: str, p: Predictions) -> Tensor:  # [B, ...]
    """The x0-hat of a zero output: keep x / scale.  Zero where scale is: there x says nothing about x0."""
    x = promoted(p.x)
    if space == "x0":
        return torch.zeros_like(x)
    scale = per_item(_scale(space, p), x)
    return torch.where(scale == 0, torch.zeros_like(x), x / scale)


def scaled(space: str, x0: Tensor, p: Predictions, factor: Tensor) -> Tensor:  # x0 [B, ...], factor [B] or [B, 1, ...]
    """The x0-hat whose output is `factor` times as long: factor x0 + (1 - factor) centre, in x0's dtype."""
    middle = centre(space, p)
    factor = factor.reshape(*factor.shape, *(1,) * (x0.ndim - factor.ndim))
    return (factor.to(middle) * promoted(x0) + (1 - factor).to(middle) * middle).to(x0.dtype)


def known_space(space: str) -> str:
    """The space itself.  Raises ValueError when there is none of that name."""
    if space not in SPACES:
        raise ValueError(f"Space {space!r} is unknown. Use one of {', '.join(SPACES)}.")
    return space


def _scale(space: str, p: Predictions) -> Tensor:  # [B]
    if space == "epsilon":
        return p.alpha
    if space == "v":
        return torch.where(p.alpha == 1, 1 + p.sigma**2, torch.ones_like(p.sigma))
    return torch.ones_like(p.sigma)
