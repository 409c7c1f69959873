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

from dataclasses import dataclass

import torch
from torch import Tensor

from ..knobs import knob
from ..predictions import Predictions
from ..vectors import per_item, promote

SPACES = ("x0", "epsilon", "v", "ode")
MEANING = (
    "{} Leave it as it is unless you follow a paper. x0: on the clean picture. epsilon: on the noise. v: on a mix of "
    "both, which flow models and v models give. ode: on the noise, with flow models on that mix. Usual: {}."
)
ROUNDING = 1e-5  # of alpha + sigma, which is 1 for flow models alone


def space_knob(default: str, what: str) -> str:
    """The space in which a rule measures.  what: the beginning of its meaning."""
    return knob(default, MEANING.format(what, default), choices=SPACES)


@dataclass(frozen=True)
class View:
    """A space at one step: the output for an x0-hat is scale x0 - start, with start = keep x."""

    start: Tensor  # [B, ...]
    scale: Tensor  # [B, 1, ...]

    def outputs(self, *x0: Tensor) -> list[Tensor]:  # each [B, ...] -> [B, ...]
        """What a network of this space would output for these x0-hats, up to a factor per item."""
        return [self.scale * promote(prediction) - self.start for prediction in x0]

    @property
    def centre(self) -> Tensor:  # [B, ...]
        """The x0-hat of a zero output: keep x / scale.  Zero where scale is: there x says nothing about x0."""
        return self.start * torch.where(self.scale == 0, 0.0, 1 / self.scale)

    def rescale(self, x0: Tensor, factor: Tensor) -> Tensor:  # x0 [B, ...], factor [B] or [B, 1, ...] -> [B, ...]
        """The x0-hat whose output is `factor` times as long, centre + factor (x0 - centre), in x0's dtype."""
        wider, middle = promote(x0), self.centre
        extension = (factor - 1).to(wider).reshape(*factor.shape, *(1,) * (x0.ndim - factor.ndim))
        return (wider + extension * (wider - middle)).to(x0.dtype)


def view_in(space: str, p: Predictions) -> View:
    """The step as a network of this space sees it."""
    x = promote(p.x)
    keep, scale = (per_item(number, x) for number in _line(space, p))
    return View(keep * x, scale)


def _line(space: str, p: Predictions) -> tuple[Tensor, Tensor]:  # -> keep [B], scale [B]
    ones = torch.ones_like(p.alpha)
    if space == "x0":
        return torch.zeros_like(ones), ones
    if space == "epsilon":
        return ones, p.alpha
    flow = (p.alpha + p.sigma - 1).abs() < ROUNDING
    if space == "ode":
        return ones, torch.where(flow, ones, p.alpha)
    return torch.where(flow, ones, p.alpha), torch.where(flow, ones, p.alpha**2 + p.sigma**2)
