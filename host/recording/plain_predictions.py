"""What the network of a run answers about its finished samples, condition by condition, with nothing that guides.

What shapes the model itself stays, such as LoRAs, ControlNets, hooks and wrappers of its network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...guidance.printing import quote
from ...measure.levels import COARSE, FINE, LEVELS, Answer, query_levels
from ...measure.measurement import Measurement
from ..models import adapter
from ..server import KEY
from .afterwards import SAME, relative_distance, without_guidance

UNKNOWN_SIZE = 1.0  # rms of clean latents, to which the host scales them
NOT_ASKED = ("easycache", "lazycache", KEY)  # keys of wrappers that answer from memory, and of what watches the run
MOVED = (
    "The model answers the same question in two ways: {} of the largest value lies between them. Something on its wire "
    "answers from memory or counts calls, such as a cache. Take it off and measure again."
)
UNCOVERED = (
    "No condition covers any part of these pictures at any noise level. Connect conditions without a time range."
)
FEW_LEVELS = "The model has noise levels from {} to {} only. The measure needs higher and lower ones."


def ask_about(
    guider: Any, options: Mapping[str, Any], clean: Tensor, mask: Tensor | None, draws: int, seed: int
) -> list[Measurement]:  # clean [B, ...]
    """What the network of a guider that samples now says of clean samples in its own numbers: of each part of them.

    options: of the run. mask: 1 where the run drew; None: everywhere. Raises ValueError where no noise level of the
    model is one of those that are asked, where no condition covers any of them, and where the model answers one
    question in two ways.
    """
    patcher = guider.model_patcher
    size = adapter.data_deviation(patcher) or UNKNOWN_SIZE
    levels, packing = levels_within(patcher, size), adapter.packing_of_run(guider)
    _begin_anew(guider)
    plain = PlainPredictions(guider, plain_options(options, host_levels(patcher, size, levels)), clean.float(), mask)
    bar, asked = comfy.utils.ProgressBar(2 * draws * len(levels)), [0]

    def predict(y: Tensor, sigma: float, both: bool) -> Answer:
        comfy.model_management.throw_exception_if_processing_interrupted()
        asked[0] += (1 + both) * len(y)
        bar.update(1)
        return plain.predict(y, sigma, both)

    parts = query_levels(predict, plain.clean, size, draws=draws, seed=seed, levels=levels, packing=packing)
    plain.check_steady()
    if not any(float(level.expected.abs().sum()) for part in parts for level in part):
        raise ValueError(UNCOVERED)
    shapes = [list(part.shape[1:]) for part in packing.split(plain.clean)]
    return [Measurement(part, {"size": shape}, asked[0]) for part, shape in zip(parts, shapes, strict=True)]


def plain_options(options: Mapping[str, Any], sigmas: Tensor) -> dict[str, Any]:
    """The options of a run without the host's caches and without what watches: another's wrappers stay.

    sigmas: those that will be asked, which context windows and hooks look up in place of the schedule.
    """
    own = comfy.patcher_extension.copy_nested_dicts(dict(options))
    of_network = own.setdefault("transformer_options", {})
    of_network["sample_sigmas"] = sigmas
    for kinds in of_network.get("wrappers", {}).values():
        for key in NOT_ASKED:
            kinds.pop(key, None)
    return own


def _begin_anew(guider: Any) -> None:
    """Put hooks back to their first keyframe: they only step forward, and levels descend once more."""
    for entry in (entry for entries in guider.conds.values() for entry in entries or ()):
        if entry.get("hooks") is not None:
            entry["hooks"].reset()
    guider.model_patcher.clean_hooks()


def host_levels(model: ModelPatcher, size: float, levels: Sequence[float]) -> Tensor:
    """The levels as a schedule of the host, which ends at 0."""
    flow = adapter.is_flow(model)
    return torch.tensor([*(host_level(size * level, flow) for level in levels), 0.0], device=model.load_device)


def host_level(sigma: float, flow: bool) -> float:
    """A noise level, noise over signal, as the host counts it."""
    return sigma / (1 + sigma) if flow else sigma


def levels_within(model: ModelPatcher, size: float) -> list[float]:
    """The levels that the model knows, descending.  Raises ValueError where it knows too few of them."""
    sampling: Any = model.get_model_object("model_sampling")
    low, high = float(sampling.sigma_min), float(sampling.sigma_max)
    flow = adapter.is_flow(model)
    known = [level for level in LEVELS if low <= host_level(size * level, flow) <= high]
    if not known or known[0] < COARSE or known[-1] > FINE:
        raise ValueError(FEW_LEVELS.format(quote(low), quote(high)))
    return known


class PlainPredictions:
    """The network of a run, and the pictures that it is asked about.

    clean: [B, ...] in the model's own numbers. mask: 1 where the run drew, 0 where it kept; None: everywhere.
    """

    def __init__(self, guider: Any, options: dict, clean: Tensor, mask: Tensor | None):
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
        uncond = self._one(x, levels, None, self.negative) if both and self.negative else None
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
