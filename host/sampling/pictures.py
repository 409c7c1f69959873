"""From a model's x0-hat to the picture that an energy looks at, without a step that stops the gradient."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...guidance.energies.pictures import resize
from ...guidance.gradients.evaluation import OwnPixels
from ...models.denoisers.latents import SD_LATENTS
from ..models.native_model import PixelFormat
from .autograd import differentiable, staying, without_underflow

HALF_WAY = (-3.0, 0.0, 0.5)  # what a VAE with pictures in -1 .. 1 turns into 0, 0.5 and 0.75


class HostPicture(OwnPixels):
    """What an energy is shown of a MODEL's x0-hat: unless it says otherwise, the sample itself.

    patcher: of weights. warning: a sentence for who wired it.
    """

    patcher, warning = None, ""

    def stay(self) -> None:
        """Nothing moves."""


class LinearColours(HostPicture):
    """The host's linear map from latent to colour, eight times smaller: right for colours, blind for texture."""

    warning = (
        "no vae is connected, so energies see the host's preview colours, one pixel for each cell of the latent: "
        "enough for a colour, and not for what a picture shows. Connect the model's VAE"
    )

    def __init__(self, latent_format: Any):
        self.factors = latent_format.latent_rgb_factors
        self.unpack = getattr(latent_format, "latent_rgb_factors_reshape", None) or (lambda x0: x0)
        self.bias = latent_format.latent_rgb_factors_bias or [0.0, 0.0, 0.0]

    def __call__(self, x0: Tensor) -> Tensor:  # [B, C, H, W] or [B, C, 1, H, W] -> [B, 3, H, W]
        """Colours in about -1 .. 1; of a video model the only frame."""
        latent = self.unpack(still(x0, "The latent is"))
        factors, bias = x0.new_tensor(self.factors), x0.new_tensor(self.bias)
        return torch.einsum("bchw,cr->brhw", latent, factors) + bias[:, None, None]


class Decoded(HostPicture):
    """The VAE's decoder itself: the host's own `decode` clamps, and a clamped pixel has no gradient.

    The insides are computed again on the way back, since a decoder keeps more than the denoiser does. shrink: the
    latent is made this many times smaller first, and so are the picture, and the memory with its square.
    """

    def __init__(self, vae: Any, latent_format: Any, shrink: int = 1):
        self.vae, self.latent_format, self.shrink, self.patcher = vae, latent_format, shrink, vae.patcher
        self.space = getattr(latent_format, "space", SD_LATENTS)
        levels = torch.tensor(HALF_WAY)
        usual = [(picture / 2 + 0.5).clamp(0, 1) for picture in (levels, self.space.to_picture(levels))]
        if not any(torch.allclose(vae.process_output(levels), images) for images in usual):
            raise ValueError("This VAE does not decode to pictures in -1 .. 1. Use the VAE made for the model.")

    def stay(self) -> None:
        """Weights that stay in place, as a gradient needs them.  Raises ValueError where the host has none such."""
        patcher = staying(self.patcher)
        if patcher is None:
            raise ValueError(
                "The host pages the weights of this VAE, which breaks gradients, and there is no file to reload them "
                "from. Start ComfyUI with --disable-dynamic-vram, or use the host's own Load VAE."
            )
        self.patcher = patcher

    def ready(self) -> AbstractContextManager:
        """The decoder's weights allow gradients, and so do the numbers that scale its latents."""
        return differentiable(self.patcher.model, self.latent_format)

    def __call__(self, x0: Tensor) -> Tensor:  # [B, C, H, W] -> [B, 3, 8 H, 8 W]
        """Pictures in -1 .. 1, not clamped; of a video model the only frame."""
        return without_underflow(self._decode, smaller(self.latent_format.process_out(x0), self.shrink))

    def _decode(self, latent: Tensor) -> Tensor:
        decode = self.patcher.model.decode
        picture = still(checkpoint(decode, latent.to(self.vae.vae_dtype), use_reentrant=False).float())
        return self.space.to_picture(picture)


def still(video: Tensor, source: str = "The VAE decodes to") -> Tensor:  # [B, C, (1,) H, W] -> [B, C, H, W]
    """A picture, also out of a video model.  source: first words of the ValueError for more than one frame."""
    if video.ndim == 4:
        return video
    if video.ndim != 5 or video.shape[2] != 1:
        raise ValueError(f"{source} {tuple(video.shape[1:])}, and energies read single pictures. Make one frame.")
    return video.squeeze(2)


def smaller(latent: Tensor, times: int) -> Tensor:  # [B, ..., H, W] -> [B, ..., H / times, W / times]
    """A latent with shorter sides, of which every place has a share."""
    if times == 1:
        return latent
    sides = [max(1, side // times) for side in latent.shape[-2:]]
    return resize(latent.flatten(1, -3), sides).unflatten(1, latent.shape[1:-2])


def has_colours(latent_format: Any) -> bool:
    """Whether the host has preview colours for all of a latent: of video with sound it has them for the video."""
    factors = getattr(latent_format, "latent_rgb_factors", None)
    if factors is None or getattr(latent_format, "latent_rgb_factors_reshape", None) is not None:
        return factors is not None
    return len(factors) == latent_format.latent_channels


def picture_of(patcher: ModelPatcher, vae: Any, shrink: int = 1) -> HostPicture:
    """How this MODEL's x0-hat becomes a picture.  vae: None where none is wired. shrink: of what it decodes.

    Raises ValueError for a latent model without a VAE and without the host's preview colours.
    """
    latent_format = patcher.get_model_object("latent_format")
    if isinstance(latent_format, PixelFormat):
        return HostPicture()
    if vae is not None:
        return Decoded(vae, latent_format, shrink)
    if not has_colours(latent_format):
        raise ValueError(
            f"The energy reads pictures and the model works on {type(latent_format).__name__} latents, for which the "
            "host has no preview colours. Connect the model's VAE to Classifier Guidance."
        )
    return LinearColours(latent_format)
