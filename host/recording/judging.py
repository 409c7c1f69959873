"""What an energy that did not guide finds in the finished pictures of a run."""

from __future__ import annotations

import logging

import comfy.model_management
import torch
from comfy.sd import VAE
from torch import Tensor

from ...guidance.energies.protocol import Energy
from ...guidance.printing import shorten, text_of, words_of
from ...trace.trace import END, Trace
from ...verdict.case import Judged
from ..models import adapter
from ..models.native_model import PixelFormat, format_named
from ..models.trace_pictures import decode_pictures
from ..sampling.pictures import still

NO_END = "The trace keeps no finished pictures, which the energy would judge. Set capture to pictures and run again."
NO_VAE = "The energy judges pictures, and this trace holds latents. Connect the model's VAE."


LONGEST = 300  # characters of what went wrong


def ask_judge(trace: Trace, energy: Energy, vae: VAE | None = None, title: str = "") -> Judged:
    """What `judge_pictures` finds; a judge that fails says why, and stops no prompt.  title: of the judge's node."""
    name = f"{title} ({text_of(energy)})" if title else text_of(energy)
    try:
        return Judged(name, judge_pictures(trace, energy, vae))
    except adapter.STOPS:
        raise
    except Exception as error:
        logging.warning("Guidance Geometry: a judge failed", exc_info=True)
        return Judged(name, torch.zeros(0), shorten(words_of(error), LONGEST))


def judge_name(energy: Energy) -> str:
    """What a judge is called on what it chose: its networks, whatever they are asked for; else what it is asked for."""
    networks = (getattr(network, "name", None) for network in energy.classifiers)
    return ", ".join(dict.fromkeys(map(str, filter(None, networks)))) or text_of(energy)


def judge_pictures(trace: Trace, energy: Energy, vae: VAE | None = None) -> Tensor:  # -> [B]
    """Log-probabilities of the finished pictures.  Raises ValueError where there are none, or no VAE for latents."""
    end = trace.tensors.get(END)
    if end is None:
        raise ValueError(NO_END)
    name = str((trace.header.get("latent") or {}).get("format"))
    pictures = end.float()
    if name != PixelFormat.__name__:
        if vae is None:
            raise ValueError(NO_VAE)
        pictures = decode_pictures(vae, format_named(name), pictures).movedim(-1, 1).float() * 2 - 1
    with torch.no_grad():
        scores = energy.log_prob(still(pictures).to(comfy.model_management.get_torch_device()))
    return scores.cpu().double()
