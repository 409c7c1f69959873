"""The VAE output of a loaded denoiser: a pass-through for pixels, and a sentence for latents."""

from __future__ import annotations

from typing import Any

import comfy.sd
import torch

from ..denoisers.latents import PIXELS, LatentSpace


class AbsentVAE:
    """Stands where a latent denoiser's VAE would be: every use says which one to load."""

    def __init__(self, name: str, space: LatentSpace):
        self.sentence = f"{name} works on latents of {space.title}. Load that VAE with Load VAE and wire it here."

    def decode(self, *_: Any, **__: Any) -> Any:
        """Raises ValueError: the file of the denoiser holds no VAE."""
        raise ValueError(self.sentence)

    encode = decode_tiled = encode_tiled = decode

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(self.sentence)


def vae_of(name: str, space: LatentSpace) -> Any:
    """What turns a denoiser's samples (-1 .. 1) into images (0 .. 1), or says what does."""
    if space == PIXELS:
        return comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)}, dtype=torch.float32)
    return AbsentVAE(name, space)
