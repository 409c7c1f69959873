"""The tensors of a trace as pictures: through the VAE, or by the host's linear preview colours."""

from __future__ import annotations

import torch
from comfy.latent_formats import LatentFormat
from comfy.sd import VAE
from torch import Tensor

from ...figures.pictures import Pictures
from ...trace.faults import NothingToShow
from ...trace.trace import END, Trace
from ...verdict.halved import Shown
from .native_model import format_named


def pictures_of(trace: Trace, vae: VAE | None = None) -> Pictures:
    """How to show this run's tensors: through the VAE, or with the linear colours of its latent format."""
    form = format_named(str((trace.header.get("latent") or {}).get("format")))
    if vae is not None:
        return Pictures(decode=lambda x: decode_pictures(vae, form, x))
    factors, bias = (getattr(form, name, None) for name in ("latent_rgb_factors", "latent_rgb_factors_bias"))
    return Pictures(factors=_tensor(factors), bias=_tensor(bias))


def finished_pictures(vae: VAE | None, trace: Trace, other: Trace) -> Shown | None:
    """What the VAE makes of the ends of two runs; None where one was not kept, is not finite, or is of another VAE."""
    ends = [run.tensors.get(END) for run in (trace, other)]
    whole = [end for end in ends if end is not None and bool(end.isfinite().all())]
    if len(whole) < len(ends):
        return None
    try:
        first, second = (pictures_of(trace, vae).image(end)[..., :3].movedim(-1, 1) for end in whole)
    except ValueError:  # the report says then that pictures were not compared
        return None
    return first, second


def decode_pictures(vae: VAE, form: LatentFormat | None, x: Tensor) -> Tensor:  # [B, C, ...] -> [B, H, W, 3]
    """The VAE's pictures of predictions in the model's space; of a video its middle frame."""
    wanted = getattr(vae, "latent_channels", x.shape[1])
    if wanted != x.shape[1]:
        raise NothingToShow(
            f"The VAE takes latents of {wanted} channels, the trace holds {x.shape[1]}. Connect the model's own VAE."
        )
    images = vae.decode(form.process_out(x) if form else x)
    return images[:, images.shape[1] // 2] if images.ndim == 5 else images


def _tensor(rows: list | None) -> Tensor | None:
    return None if rows is None else torch.tensor(rows, dtype=torch.float32)
