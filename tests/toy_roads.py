"""The pack's three evaluations on the exact toy."""

import math

import torch

from guidance_geometry.guidance.gradients.estimators import at_denoised, noise_aware, through_denoiser
from guidance_geometry.tests import exact_toy as toy

DATA = math.sqrt(toy.VARIANCE)
LEVELS = [(1.0, 0.05), (1.0, 0.5), (1.0, 3.0), (1.0, 40.0), (0.9, 0.1), (0.3, 0.7), (0.02, 0.98)]  # alpha, sigma


def states(alpha, sigma, count=5):
    """A few noisy samples."""
    draws = torch.Generator().manual_seed(3)
    x0, eps = (torch.randn(count, 4, generator=draws, dtype=torch.float64) for _ in range(2))
    return alpha * x0 + sigma * eps


def target(point, sigma=0.0, alpha=1.0):
    """log p of the wanted class."""
    return toy.label_log_prob(point, sigma, alpha)[:, toy.TARGET]


def guided(evaluation, gamma):
    """D' of one evaluation: denoise(x, sigma, alpha)."""

    def noisy(x, sigma, alpha=1.0):
        return (
            toy.denoised(x, sigma, alpha)
            + gamma * noise_aware(lambda z: target(z, sigma, alpha), x, sigma, alpha).shift
        )

    def through(x, sigma, alpha=1.0):
        leaf = x.clone().requires_grad_()
        found = toy.denoised(leaf, sigma, alpha)
        return found.detach() + gamma * through_denoiser(target, leaf, found, sigma, alpha).shift

    def clean(x, sigma, alpha=1.0):
        found = toy.denoised(x, sigma, alpha)
        return found + gamma * at_denoised(target, found, sigma, alpha, DATA).shift

    return {"none": toy.denoised, "noisy": noisy, "through": through, "clean": clean}[evaluation]
