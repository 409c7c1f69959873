"""What a denoiser's samples are: pixels, or the latents of a VAE that the host loads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LatentSpace:
    """The map from a VAE's latents to a network's samples:  sample = (latent - shift) * scale, per channel.

    title: whose latents. downscale: pixels per latent cell, along each side. shift, scale: one number per channel.
    """

    title: str
    downscale: int
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()


PIXELS = LatentSpace("pixels", 1)
SD_LATENTS = LatentSpace("Stable Diffusion 1's VAE", 8, (0.0,) * 4, (0.18215,) * 4)
