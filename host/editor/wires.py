"""The pack's own wire types, and what any wire must carry before a node reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from comfy_api.latest import io

Guidance = io.Custom("GG_GUIDANCE")
ClassifierWire = io.Custom("GG_CLASSIFIER")
EnergyWire = io.Custom("GG_ENERGY")
RecorderWire = io.Custom("GG_RECORDER")
TraceWire = io.Custom("GUIDANCE_TRACE")
OptionsWire = io.Custom("GG_GRADIENT_OPTIONS")


class Carried(NamedTuple):
    """What a type of wire carries.  fits: whether a value is that. connect: what to connect, for messages."""

    fits: Callable[[Any], bool]
    connect: str


class NoiseSource(Protocol):
    """What a NOISE wire carries, of the host or of any pack."""

    seed: int

    def generate_noise(self, input_latent: Mapping[str, Any], /) -> torch.Tensor:
        """Standard normal noise in the shape of a LATENT's samples, [B, C, ...]."""
        ...


def offering(*names: str) -> Callable[[Any], bool]:
    """Whether an object of any pack has all these attributes; one that raises has not."""

    def fits(value: Any) -> bool:
        try:
            return all(hasattr(value, name) for name in names)
        except Exception:  # noqa: BLE001  any fault of any pack
            return False

    return fits


def tensor(*axes: int) -> Callable[[Any], bool]:
    """Whether a value is a tensor with one of these numbers of axes."""
    return lambda value: isinstance(value, torch.Tensor) and value.ndim in axes


def is_latent(value: Any) -> bool:
    """Whether a value is the host's dictionary around samples [B, C, ...], with a mask and places in a batch or none.

    Samples of several kinds at once, such as video and sound, are nested.
    """
    if not isinstance(value, Mapping):
        return False
    samples, mask, places = (value.get(name) for name in ("samples", "noise_mask", "batch_index"))
    latent = isinstance(samples, torch.Tensor) and samples.is_floating_point() and samples.ndim >= 3
    masked = mask is None or isinstance(mask, torch.Tensor) or _is_nested(mask)
    return (latent or _is_nested(samples)) and masked and isinstance(places, list | None)


def is_conditioning(value: Any) -> bool:
    """Whether a value is the host's list of [tensor or None, options] pairs, of at least one."""
    entries = value if isinstance(value, list | tuple) else []
    return len(entries) > 0 and all(
        isinstance(e, list | tuple) and len(e) == 2 and isinstance(e[1], Mapping) for e in entries
    )


def _is_nested(value: Any) -> bool:
    return offering("is_nested")(value) and value.is_nested is True


CARRIED = {
    "GG_GUIDANCE": Carried(offering("init", "step"), "a guidance rule, such as APG or CFG Schedule"),
    "GG_CLASSIFIER": Carried(offering("noise_aware", "judge"), "Load Classifier"),
    "GG_ENERGY": Carried(offering("log_prob", "noise_aware", "classifiers"), "Label Energy or another energy"),
    "GG_RECORDER": Carried(offering("begin", "runs"), "Record Guidance"),
    "GUIDANCE_TRACE": Carried(offering("header", "steps", "stage"), "a sampler with trace, or Load Trace"),
    "GG_GRADIENT_OPTIONS": Carried(offering("temperature", "draws", "checkpoint"), "Gradient Options"),
    "MODEL": Carried(offering("model"), "a model loader, or Load Denoiser"),
    "CLIP": Carried(offering("tokenize", "encode_from_tokens_scheduled"), "the CLIP of the model"),
    "VAE": Carried(offering("decode"), "the VAE of the model"),
    "CONDITIONING": Carried(is_conditioning, "CLIP Text Encode or Class Label"),
    "LATENT": Carried(is_latent, "an empty latent, or the output of a sampler"),
    "IMAGE": Carried(tensor(4), "a picture"),
    "MASK": Carried(tensor(2, 3), "a mask"),
    "SIGMAS": Carried(tensor(1), "a scheduler"),
    "SAMPLER": Carried(offering("sample"), "a sampler, such as KSamplerSelect or DDPM Sampler"),
    "GUIDER": Carried(offering("sample", "model_patcher"), "a guider, such as CFG Guider"),
    "NOISE": Carried(offering("generate_noise", "seed"), "RandomNoise"),
}


def misfit(name: str, kind: str, value: Any) -> str | None:
    """A sentence if a wire carries something else than its type says; None for types that are no wires."""
    wanted = CARRIED.get(kind)
    if wanted is None or wanted.fits(value):
        return None
    return f"{name} is a {type(value).__name__}; a {kind} is needed. Connect {wanted.connect}."
