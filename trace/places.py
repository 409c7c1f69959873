"""Where the predictions and the step stand in the plane of every step, for whoever draws it: rms units."""

from __future__ import annotations

import torch
from torch import Tensor

from .gram import Coefficient, GramRecord, axes_of, coordinates, reference_scale
from .metrics import difference_combination

ACROSS = 0.005  # of a push: a smaller share across the difference is neither drawn nor told
NAMED = 0.02  # of that share: from here on a gradient or a further pass was taken out before it was measured
PLACES = ("u", "delta.x", "delta.y", "D.x", "D.y", "tip.x", "tip.y", "outside")


def places_of(record: GramRecord, gamma: Coefficient, count: int, scale: Tensor, share: Tensor) -> dict[str, Tensor]:
    """Coordinates by the names of PLACES, [...] each.

    u lies on the first axis; delta = c - u and D - u are told from there, since little of u's length tells them apart;
    tip from x. outside: of `push_outside`. count: N, elements of one sample. scale, share: M19 and M19a.
    """
    axes, unit = axes_of(record), count**-0.5
    delta, _ = coordinates(record, {"delta": 1.0}, axes)
    D, height = coordinates(record, difference_combination(gamma), axes)
    tip, _ = coordinates(record, {"move": 1.0}, axes)
    u = record.dot("a", "a").clamp(min=0).sqrt()
    parts = [u, *delta.unbind(-1), *D.unbind(-1), *tip.unbind(-1)]
    outside = push_outside(record, gamma, scale, share, height)
    return dict(zip(PLACES, [*(part * unit for part in parts), outside], strict=True))


def push_height(record: GramRecord, gamma: Coefficient) -> Tensor:
    """Distance of D from the plane: of D - u, since u and x lie in it."""
    return coordinates(record, difference_combination(gamma))[1]


def push_outside(record: GramRecord, gamma: Coefficient, scale: Coefficient, share: Tensor, height: Tensor) -> Tensor:
    """How much of the part of the push D - c across delta leaves the plane, 0 .. 1.

    nan where nothing goes across, or D holds more than what the share is of.  height: of D over the plane.
    """
    gamma = reference_scale(gamma)
    across, push = (record.square({"delta": gamma - beside, "D-G": 1.0}) for beside in (scale, 1.0))
    by_name = (across / push - share).abs() < NAMED
    return torch.where((share >= ACROSS) & by_name, (height * across**-0.5).clamp(max=1), torch.nan)
