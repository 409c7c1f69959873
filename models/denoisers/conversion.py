"""What a network of any parametrisation and schedule is shown, and what its output says about x0."""

from __future__ import annotations

from torch import Tensor

from ...guidance.predictions import x0_from_output
from ...guidance.vectors import per_item
from .schedules import SMALLEST_ALPHA, coordinates


def input_scale(kind: str, schedule: str, sigma: Tensor, sigma_data: float | None) -> Tensor:  # sigma [B] -> [B]
    """Factor on the sampler's x that gives the network's input.

    Its own coordinates for vp and flow. An edm network, and any network on the edm schedule, gets in addition
    1 / sqrt(sigma^2 + (alpha * sigma_data)^2), which makes the input's size 1; only they read sigma_data.
    Raises ValueError where they need it and it is None.
    """
    at = coordinates(schedule, sigma)
    if "edm" not in (kind, schedule):
        return at.scale
    if sigma_data is None:
        raise ValueError(
            f"A network of kind {kind} on {schedule} needs sigma_data, and none was given. Give the model's."
        )
    return at.scale / (at.sigma**2 + (at.alpha * sigma_data) ** 2).sqrt()


def network_input(kind: str, schedule: str, x: Tensor, sigma: Tensor, sigma_data: float | None) -> Tensor:
    """The sampler's x as the network sees it.  x [B, ...], sigma [B] -> [B, ...]"""
    return x * per_item(input_scale(kind, schedule, sigma, sigma_data), x)


def to_x0(kind: str, schedule: str, output: Tensor, x: Tensor, sigma: Tensor, sigma_data: float | None) -> Tensor:
    """x0-hat from the network's output at the sampler's x.  output, x [B, ...], sigma [B] -> [B, ...]

    The conversion happens in the network's own coordinates, which matters for the score: a variance-preserving
    network's score is the gradient with respect to x / sqrt(1 + n^2). Formulas: `guidance.predictions.x0_from_output`.
    """
    at = coordinates(schedule, sigma)
    alpha = at.alpha.clamp(min=SMALLEST_ALPHA) if ends_without_signal(kind, schedule) else at.alpha
    return x0_from_output(kind, output, x * per_item(at.scale, x), at.sigma, alpha, sigma_data)


def ends_without_signal(kind: str, schedule: str) -> bool:
    """Whether x0 is undefined at the noisiest level: epsilon and score divide by alpha, and flow ends at alpha = 0."""
    return schedule == "flow" and kind in ("epsilon", "score")
