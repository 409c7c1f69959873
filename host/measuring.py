"""The model's own measure of a latent, asked through the host: its loading, hooks, ControlNets, masks and memory.

Nothing that guides acts: each condition is asked by itself. What shapes the model itself stays, such as LoRAs,
ControlNets, hooks and wrappers of its network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any

import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ..guidance.printing import quote
from ..measure.levels import DRAWS, LEVELS, SEED, Answer, Level, query_levels
from ..measure.measurement import Measurement
from ..measure.report import PictureReport
from . import adapter
from .afterwards import SAME, relative_distance, without_guidance
from .run_recorder import without_recording
from .sampling import latent_of

NOTHING: Mapping[str, Any] = MappingProxyType({})
UNKNOWN_SIZE = 1.0  # rms of clean latents, to which the host scales them
CACHES = ("easycache", "lazycache")  # keys of the host's wrappers that answer from memory
MOVED = (
    "The model answers the same question in two ways: {} of the largest value lies between them. Something on its wire "
    "answers from memory or counts calls, such as a cache. Take it off and measure again."
)
UNCOVERED = (
    "No condition covers any part of these pictures at any noise level. Connect conditions without a time range."
)
FEW_LEVELS = "The model has noise levels from {} to {} only: none that the measure needs."


class MeasuringSampler(comfy.samplers.Sampler):
    """A sampler of the host's form that asks about the latent instead of sampling.

    parts: the sums of each part of the latent, when it has run. evaluations: of the network, one a picture.
    """

    def __init__(self, levels: Sequence[float], sigma_data: float, draws: int, seed: int):
        self.levels, self.sigma_data, self.draws, self.seed = levels, sigma_data, draws, seed
        self.parts: list[list[Level]] = []
        self.evaluations = 0

    def sample(
        self, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        """Ask about latent_image; the host calls this."""
        latent: Any = latent_image
        plain = PlainPredictions(guider, extra_args["model_options"], latent.float(), denoise_mask)
        bar = comfy.utils.ProgressBar(2 * self.draws * len(self.levels))

        def predict(y: Tensor, sigma: float, both: bool) -> Answer:
            comfy.model_management.throw_exception_if_processing_interrupted()
            self.evaluations += (1 + both) * len(y)
            bar.update(1)
            return plain.predict(y, sigma, both)

        packing = adapter.packing_of_run(guider)
        self.parts = query_levels(
            predict, plain.clean, self.sigma_data, draws=self.draws, seed=self.seed, levels=self.levels, packing=packing
        )
        plain.check_steady()
        return latent_image


class PlainPredictions:
    """The network of a run, and the pictures that it is asked about.

    clean: [B, ...] in the model's own numbers. mask: 1 where the run drew, 0 where it kept; None: everywhere.
    """

    def __init__(self, guider, options: dict, clean: Tensor, mask: Tensor | None):
        self.model, self.options, self.clean, self.mask = guider.inner_model, options, clean, mask
        self.positive, self.negative = ([without_guidance(entry) for entry in guider.conds.get(name) or []]
                                        for name in ("positive", "negative"))  # fmt: skip
        self.flow = adapter.is_flow(guider.model_patcher)
        self.last: tuple[Tensor, float, Tensor] | None = None

    def predict(self, y: Tensor, sigma: float, both: bool) -> Answer:
        """The plain predictions at y = x + sigma n, in the coordinates that the model has."""
        levels = torch.full([len(y)], host_level(sigma, self.flow), device=y.device)
        x = y / (1 + sigma) if self.flow else y
        if self.mask is not None:
            noise = (y - self.clean) / sigma
            kept = self.model.scale_latent_inpaint(x=x, sigma=levels, noise=noise, latent_image=self.clean)
            x = x * self.mask + kept * (1 - self.mask)
        cond = self._one(x, levels, self.positive, None)
        uncond = self._one(x, levels, None, self.negative) if both else None
        self.last = (y, sigma, cond)
        return Answer(cond, uncond, self._weight(x, levels))

    def _one(self, x: Tensor, levels: Tensor, *conds: list | None) -> Tensor:
        """The prediction of one condition, in its place of a run: packs tell conditions by their place."""
        asked: Any = [*conds]  # the host takes None, and does not say so
        answers = comfy.samplers.calc_cond_batch(self.model, asked, x, levels, dict(self.options))
        return answers[next(i for i, one in enumerate(conds) if one is not None)].float()

    def _weight(self, x: Tensor, levels: Tensor) -> Tensor:
        """What the positive condition covers here, within the mask: elsewhere the host answers 0."""
        covered = torch.zeros_like(x)
        for entry in self.positive:
            area = comfy.samplers.get_area_and_mult(entry, x, levels)
            if area is not None:
                place = covered
                for axis, (size, start) in enumerate(_sides(area.area, x)):
                    place = place.narrow(axis + 2, start, size)
                place.add_(area.mult > 0)
        return covered.clamp(max=1) if self.mask is None else covered.clamp(max=1) * self.mask

    def check_steady(self) -> None:
        """Ask the last question once more.  Raises ValueError where the answer is another."""
        if self.last is not None:
            y, sigma, cond = self.last
            again = self.predict(y, sigma, False).cond
            if (moved := relative_distance(again, cond)) > SAME:
                raise ValueError(MOVED.format(f"{moved:.2g}"))


def _sides(area: Sequence[int] | None, x: Tensor) -> list[tuple[int, int]]:
    """Size and start of an area along each axis of space; the host writes all sizes first."""
    if area is None:
        return []
    dims = x.ndim - 2
    return [*zip(area[:dims], area[dims:], strict=True)]


def measure_latent(
    model,
    positive,
    negative,
    latent: dict,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    setting: Mapping[str, Any] = NOTHING,
) -> list[Measurement]:
    """What a MODEL says of a finished latent: of each part, where it is nested.

    Raises ValueError where no noise level of the model is one of those that are asked, where no condition covers any of
    them, and where the model answers one question in two ways.
    """
    model = plain_model(model)
    size = adapter.data_deviation(model) or UNKNOWN_SIZE
    latent = latent_of(model, latent)
    levels = levels_within(model, size)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    asking, samples = MeasuringSampler(levels, size, draws, seed), latent["samples"]
    flow = adapter.is_flow(model)
    sigmas = torch.tensor([*(host_level(size * level, flow) for level in levels), 0.0])
    guider.sample(
        zeros_like(samples),
        samples,
        asking,
        sigmas,
        denoise_mask=latent.get("noise_mask"),
        disable_pbar=True,
        seed=seed,
    )
    if not any(float(level.expected.abs().sum()) for part in asking.parts for level in part):
        raise ValueError(UNCOVERED)
    shapes = [tuple(part.shape[1:]) for part in adapter.parts_of(samples)]
    return [Measurement(part, {"size": shape, **setting}, asking.evaluations)
            for part, shape in zip(asking.parts, shapes, strict=True)]  # fmt: skip


def plain_model(model):
    """A MODEL whose calls are neither recorded nor answered from a cache of the host's."""
    plain = without_recording(model).clone()
    for kind, key in product(plain.wrappers, CACHES):
        plain.remove_wrappers_with_key(kind, key)
    return plain


def host_level(sigma: float, flow: bool) -> float:
    """A noise level, noise over signal, as the host counts it."""
    return sigma / (1 + sigma) if flow else sigma


def levels_within(model, size: float) -> list[float]:
    """The levels that the model knows, descending.  Raises ValueError where it knows none of them."""
    sampling = model.get_model_object("model_sampling")
    low, high = float(sampling.sigma_min), float(sampling.sigma_max)
    flow = adapter.is_flow(model)
    known = [level for level in LEVELS if low <= host_level(size * level, flow) <= high]
    if not known:
        raise ValueError(FEW_LEVELS.format(quote(low), quote(high)))
    return known


def zeros_like(samples):
    """No noise, for samples that may be nested: the host's own noise would move its generator."""
    if not adapter.is_nested(samples):
        return torch.zeros_like(samples)
    return type(samples)([torch.zeros_like(part) for part in samples.unbind()])


def measure_pictures(
    model, positive, negative, latent: dict, *, plain: dict | None = None, draws: int = DRAWS, seed: int = SEED
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
