"""Sampling under observation, with all that the host's own sampler nodes do."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy.model_patcher import ModelPatcher

from ...trace.trace import Trace
from ..models.adapter import is_nested
from .watch import Recording, RecordingSampler, trace_without_steps

SCALES = ("downscale_ratio_spacial", "downscale_ratio_temporal")  # what newer hosts say of an empty latent


def latent_of(model: ModelPatcher, latent: dict) -> dict:
    """The LATENT as the model takes it: an empty one gets its channels, and on newer hosts its sides and frames."""
    samples = latent["samples"]
    fit = comfy.sample.fix_empty_latent_channels
    scales = {name: latent.get(name) for name in SCALES if name in inspect.signature(fit).parameters}
    unscaled = {name: value for name, value in latent.items() if name not in SCALES}
    return {**unscaled, "samples": fit(model, samples, **scales)}


class Start(NamedTuple):
    """Where a run of KSampler starts: its latent, its noise, nested where the latent is, and its noise levels."""

    latent: dict
    noise: Any
    sigmas: torch.Tensor


def start_of(
    model: ModelPatcher,
    latent_image: dict,
    seed: int,
    steps: int,
    sampler_name: str,
    scheduler: str,
    denoise: float = 1.0,
) -> Start:
    """The start of KSampler with the same inputs."""
    latent = latent_of(model, latent_image)
    noise = comfy.sample.prepare_noise(latent["samples"], seed, latent.get("batch_index"))
    return Start(latent, noise, schedule_of(model, steps, sampler_name, scheduler, denoise))


def schedule_of(
    model: ModelPatcher,
    steps: int,
    sampler_name: str,
    scheduler: str,
    denoise: float = 1.0,
) -> torch.Tensor:
    """The noise levels of KSampler with the same inputs, noisiest first."""
    return comfy.samplers.KSampler(model, steps, model.load_device, sampler_name, scheduler, denoise).sigmas


def unpack_like(x0: Any, samples: Any) -> Any:
    """A prediction in the form of the samples: older hosts show their previews the packed one."""
    if not is_nested(samples) or is_nested(x0):
        return x0
    shapes = [part.shape for part in samples.unbind()]
    return type(samples)(comfy.utils.unpack_latents(x0, shapes))


def sample_recorded(
    guider: Any,
    noise: Any,
    latent: dict,
    sampler: Any,
    sigmas: torch.Tensor,
    seed: int,
    recording: Recording,
    dtype: torch.dtype | None = None,
) -> tuple[dict, dict, Trace]:
    """Run a guider under observation, with the host's preview, progress bar and interruption: sample, denoised, trace.

    noise, latent["samples"]: [B, C, ...], or several of that kind, nested. The latent's noise mask is honoured. dtype:
    of the sample, None for its own.
    """
    previewed = {}
    callback = latent_preview.prepare_callback(guider.model_patcher, max(len(sigmas) - 1, 1), previewed)
    samples = guider.sample(
        noise,
        latent["samples"],
        RecordingSampler(sampler, recording),
        sigmas,
        denoise_mask=latent.get("noise_mask"),
        callback=callback,
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    out = {**latent, "samples": samples.to(device=comfy.model_management.intermediate_device(), dtype=dtype)}
    denoised = out
    if "x0" in previewed:
        clean = guider.model_patcher.model.process_latent_out(previewed["x0"].to("cpu"))
        denoised = {**latent, "samples": unpack_like(clean, samples)}
    trace = recording.trace or trace_without_steps(recording, sampler, guider, samples, seed)
    return out, denoised, trace
