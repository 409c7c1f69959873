"""The size of clean data of a model of the host: measured on pictures through the VAE, or by construction."""

from __future__ import annotations

import comfy.latent_formats
from torch import Tensor

from ..trace.trace import Trace
from ..verdict.picks import model_key
from ..verdict.size import Size
from .native_model import PixelFormat, format_named

NO_VAE = "Pictures are connected, and no VAE: \u03c3_d is measured through it. Connect the model's VAE."
OTHER_VAE = "The VAE makes latents of {theirs} channels, the trace holds {own}. Connect the model's own VAE."
FLAT = "The size of these pictures came out as {value}. Connect pictures as the model makes them."


def by_construction(trace: Trace) -> Size | None:
    """1 where the latent format scales latents to about that; None for pixels, and for a format that scales nothing."""
    name = _format(trace)
    form = None if name == PixelFormat.__name__ else format_named(name)
    plain = comfy.latent_formats.LatentFormat
    if form is None or (form.scale_factor == 1.0 and type(form).process_in is plain.process_in):
        return None
    return Size(1.0, format=name)


def measured(trace: Trace, vae, pictures: Tensor) -> Size:  # pictures: [B, H, W, C]
    """Root mean square of pictures in the space of a run's model.  Raises ValueError that says what is missing."""
    if vae is None:
        raise ValueError(NO_VAE)
    form, latents = format_named(_format(trace)), vae.encode(pictures[..., :3])
    own = trace.latent_shape[0]
    if latents.shape[1] != own:
        raise ValueError(OTHER_VAE.format(theirs=latents.shape[1], own=own))
    inside = form.process_in(latents) if form else latents
    value = float(inside.cpu().double().square().mean().sqrt())
    if not 1e-9 < value < 1e9:
        raise ValueError(FLAT.format(value=value))
    return Size(value, len(pictures), key=model_key(trace.header.get("model") or {}) or "")


def _format(trace: Trace) -> str:
    return str((trace.header.get("latent") or {}).get("format"))
