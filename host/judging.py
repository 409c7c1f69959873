"""What an energy that did not guide finds in the finished pictures of a run."""

from __future__ import annotations

import comfy.model_management
import torch
from torch import Tensor

from ..guidance.energies.protocol import Energy
from ..guidance.printing import text_of
from ..trace.findings import Judged
from ..trace.trace import END, Trace
from .native_model import PixelFormat, format_named
from .pictures import still
from .trace_pictures import decoded

NO_END = "The trace keeps no finished pictures, which the energy would judge. Set capture to pictures and run again."
NO_VAE = "The energy judges pictures, and this trace holds latents. Connect the model's VAE."


def judged(trace: Trace, energy: Energy, vae=None) -> Judged:
    """Log-probabilities of the finished pictures.  Raises ValueError where there are none, or no VAE for latents."""
    end = trace.tensors.get(END)
    if end is None:
        raise ValueError(NO_END)
    form = format_named(str((trace.header.get("latent") or {}).get("format")))
    pictures = end.float() if isinstance(form, PixelFormat) or form is None else _decoded(vae, form, end.float())
    with torch.no_grad():
        found = energy.log_prob(still(pictures).to(comfy.model_management.get_torch_device()))
    return Judged(text_of(energy), found.double().cpu())


def _decoded(vae, form, latents: Tensor) -> Tensor:  # [B, C, ...] -> [B, 3, H, W] in -1 .. 1
    if vae is None:
        raise ValueError(NO_VAE)
    return decoded(vae, form, latents).movedim(-1, 1).float() * 2 - 1
