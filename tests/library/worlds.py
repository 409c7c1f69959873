"""An exact world to sample from."""

import torch

from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.library.denoisers import ExactDenoiser
from guidance_geometry.library.sampling import karras

WORLD = make_mixture((3, 8, 8), classes=3, seed=0)
DENOISER = ExactDenoiser(WORLD)
FLOW = ExactDenoiser(WORLD, flow=True)
SIGMAS = karras(8)
FLOW_SIGMAS = [0.96 - 0.12 * i for i in range(8)] + [0.0]


def noise(batch=2, scale=SIGMAS[0], seed=0):
    """The state in which a run begins."""
    draws = torch.Generator().manual_seed(seed)
    return scale * torch.randn(batch, 3, 8, 8, generator=draws, dtype=torch.float64)
