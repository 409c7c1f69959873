"""The VAE output of a loaded denoiser: nothing for pixels; for latents the wired one, the file's own, or a sentence."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import comfy.model_patcher
import comfy.sd
import torch
from torch import Tensor, nn

from ...models.denoisers.latents import PIXELS, LatentSpace

BYTES_PER_PIXEL = 400  # activations of a small VAE alive at once, in float32


class AbsentVAE:
    """Stands where a latent denoiser's VAE would be: every use says which one to load."""

    def __init__(self, name: str, space: LatentSpace):
        self.sentence = (
            f"{name} works on latents of {space.title}. Load that VAE with Load VAE and wire it into Load Denoiser."
        )

    def decode(self, *_: Any, **__: Any) -> Any:
        """Raises ValueError: the file of the denoiser holds no VAE."""
        raise ValueError(self.sentence)

    encode = decode_tiled = encode_tiled = decode

    def __getattr__(self, name: str) -> Any:
        sentence = self.__dict__.get("sentence")  # a copy is asked for names before it has one
        raise AttributeError(name if sentence is None or name.startswith("__") else sentence)


def vae_of(name: str, space: LatentSpace, wired: Any = None) -> Any:
    """What turns a denoiser's samples into images (0 .. 1), or says what does.  wired: for latents, their VAE"""
    if space == PIXELS:
        return _pixels()
    return AbsentVAE(name, space) if wired is None or isinstance(wired, AbsentVAE) else fit_vae(wired, space)


def _pixels() -> comfy.sd.VAE:
    return comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)}, dtype=torch.float32)


def vae_from_file(network: nn.Module, weights: Mapping[str, Tensor], space: LatentSpace) -> comfy.sd.VAE:
    """The VAE that lies in a denoiser's file, as the host's own object: its memory, tiles and devices all apply."""
    network.load_state_dict(dict(weights))
    vae = _pixels()
    # setattr, as the host's types list its own networks only
    setattr(vae, "first_stage_model", network.eval().requires_grad_(False).to(vae.vae_dtype))  # noqa: B010
    vae.patcher = comfy.model_patcher.ModelPatcher(network, vae.patcher.load_device, vae.patcher.offload_device)
    vae.latent_channels, vae.downscale_ratio, vae.upscale_ratio = len(space.scale), space.downscale, space.downscale
    vae.memory_used_encode = lambda shape, dtype: BYTES_PER_PIXEL * shape[2] * shape[3]
    vae.memory_used_decode = lambda shape, dtype: BYTES_PER_PIXEL * shape[2] * shape[3] * space.downscale**2
    vae.size = None
    vae.model_size()
    return vae


def fit_vae(vae: Any, space: LatentSpace) -> Any:
    """A copy of a VAE that brings its images to the range of this space's pictures; itself where that is -1 .. 1."""
    if space.darkest == -1:  # as everybody's, and the host's
        return vae
    fit, span = copy.copy(vae), 1 - space.darkest
    fit.process_input = lambda image: image * span + space.darkest
    fit.process_output = lambda picture: ((picture - space.darkest) / span).clamp(0, 1)
    return fit
