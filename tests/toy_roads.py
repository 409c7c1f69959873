"""The pack's three evaluations on the exact toy."""

import math

from guidance_geometry.guidance.gradients import at_denoised, noise_aware, through_denoiser
from guidance_geometry.tests import exact_toy as toy

DATA = math.sqrt(toy.VARIANCE)


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
