"""What a classifier asks of a prediction: gradients of log p(y | x) in units of x0-hat."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def noise_aware(
    log_prob: Callable[[Tensor], Tensor], x: Tensor, sigma: float, alpha: float = 1.0
) -> Tensor:  # -> [B, ...]
    """Shift of x0-hat by a classifier that reads the noisy sample itself.

        g = (sigma^2 / alpha) grad_x log p(y | x, sigma)

    u + w g is the prediction under p(x) p(y | x)^w; for the exact classifier g = c - u. log_prob: [B, ...] -> [B], each
    from its own item alone. alpha = 0 (flow at sigma = 1) has no such shift: the result is not finite.
    Source: Dhariwal and Nichol 2021, arXiv 2105.05233, algorithm 2, for an x0-hat.
    """
    with torch.inference_mode(False), torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(log_prob(point).sum(), point)
    return gradient * (sigma**2 / alpha)
