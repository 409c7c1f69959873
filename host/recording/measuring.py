"""The model's own measure of a latent, asked through the host: its loading, hooks, ControlNets, masks and memory.

Nothing that guides acts: each condition is asked by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...measure.levels import DRAWS, SEED
from ...measure.measurement import Measurement
from ...measure.report import PictureReport
from ..models import adapter
from .plain_predictions import UNKNOWN_SIZE, ask_about, host_levels, levels_within
from .run_recorder import without_recording
from .sampler_nodes import latent_of


class MeasuringSampler(comfy.samplers.Sampler):
    """A sampler of the host's form that asks about the latent instead of sampling.

    parts: what was measured of each part of the latent, when it has run.
    """

    def __init__(self, draws: int, seed: int):
        self.draws, self.seed = draws, seed
        self.parts: list[Measurement] = []

    def sample(
        self,
        guider: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Callable | None,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Any:
        """Ask about latent_image; the host calls this."""
        options, latent = extra_args["model_options"], cast(Tensor, latent_image)
        self.parts = ask_about(guider, options, latent, denoise_mask, self.draws, self.seed)
        return latent_image


def measure_latent(
    model: ModelPatcher, positive: Sequence, negative: Sequence, latent: dict, *, draws: int = DRAWS, seed: int = SEED
) -> list[Measurement]:
    """What a MODEL says of a finished latent: of each part, where it is nested.  Raises ValueError as `ask_about`."""
    model = without_recording(model)
    latent = latent_of(model, latent)
    size = adapter.data_deviation(model) or UNKNOWN_SIZE
    sigmas = host_levels(model, size, levels_within(model, size))
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    asking, samples = MeasuringSampler(draws, seed), latent["samples"]
    masked = {"denoise_mask": latent.get("noise_mask"), "disable_pbar": True, "seed": seed}
    guider.sample(zeros_like(samples), samples, asking, sigmas.cpu(), **masked)
    return asking.parts


def zeros_like(samples: Any) -> Any:
    """No noise, for samples that may be nested: the host's own noise would move its generator."""
    if not adapter.is_nested(samples):
        return torch.zeros_like(samples)
    return type(samples)([torch.zeros_like(part) for part in samples.unbind()])


def measure_pictures(
    model: ModelPatcher,
    positive: Sequence,
    negative: Sequence,
    latent: dict,
    *,
    plain: dict | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> PictureReport:
    """What a MODEL says of a latent, of the first part where it is nested.  plain: the same seeds at cfg 1."""
    measurement, *_ = measure_latent(model, positive, negative, latent, draws=draws, seed=seed)
    if plain is None:
        return PictureReport(measurement)
    unguided, *_ = measure_latent(model, positive, negative, plain, draws=draws, seed=seed)
    return PictureReport(measurement, unguided)


def in_order(latent: dict, order: Sequence[int]) -> dict:
    """The pictures of a latent in another order, or some of them."""
    samples, places = latent["samples"], [*order]
    if adapter.is_nested(samples):
        chosen = type(samples)([part[places] for part in samples.unbind()])
    else:
        chosen = samples[places]
    kept = {name: value for name, value in latent.items() if name not in ("samples", "batch_index", "noise_mask")}
    return {**kept, "samples": chosen}
