"""The spaces in which a rule may measure a prediction: norms, angles and standard deviations differ between them.

Up to a factor per item, the output of a network is its x0-hat seen from a centre, which is the x0-hat of a zero output:

    output ~ scale x0 - keep x = scale (x0 - centre)          centre = keep x / scale

    x0       keep 0, scale 1
    epsilon  keep 1, scale alpha
    v        keep alpha, scale alpha^2 + sigma^2: v-prediction; on flow, the velocity: keep 1, scale 1
    ode      the direction of the ODE: epsilon; on flow, the velocity

A rule that only scales or projects needs no more than that, so nothing is divided by sigma.
Source: the table of predictions.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..predictions import Predictions
from ..vectors import per_item, promoted

SPACES = ("x0", "epsilon", "v", "ode")
ROUNDING = 1e-5  # of alpha + sigma, which is 1 for flow models alone


def vector(space: str, x0: Tensor, p: Predictions) -> Tensor:  # x0 [B, ...] -> [B, ...]
    """What a network of this space would output for this x0-hat, up to a factor per item: scale x0 - keep x."""
    x0 = promoted(x0)
    keep, scale = (per_item(number, x0) for number in _line(space, p))
    return x0 if space == "x0" else scale * x0 - keep * promoted(p.x)


def centre(space: str, p: Predictions) -> Tensor:  # [B, ...]
    """The x0-hat of a zero output: keep x / scale.  Zero where scale is: there x says nothing about x0."""
    x = promoted(p.x)
    keep, scale = (per_item(number, x) for number in _line(space, p))
    return torch.where(scale == 0, torch.zeros_like(x), keep * x / scale)


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


def _line(space: str, p: Predictions) -> tuple[Tensor, Tensor]:  # -> keep [B], scale [B]
    one, flow = torch.ones_like(p.alpha), (p.alpha + p.sigma - 1).abs() < ROUNDING
    if space == "x0":
        return torch.zeros_like(one), one
    if space == "epsilon":
        return one, p.alpha
    if space == "ode":
        return one, torch.where(flow, one, p.alpha)
    return torch.where(flow, one, p.alpha), torch.where(flow, one, p.alpha**2 + p.sigma**2)
