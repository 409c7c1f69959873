"""Tensors of a run as RGB pictures: by a decoder that is passed in, or by a linear map of the channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..trace.faults import NothingToShow
from ..trace.trace import END, Trace
from .words import percent

Decode = Callable[[Tensor], Tensor]  # [B, C, H, W] or [B, C, T, H, W] -> [B, H, W, 3] in 0..1
QUIET = 0.99  # the automatic gain leaves this share of the values unclipped
NAMES = {"x": "x", "u": "uncond", "c": "cond", "D": "guided"}  # what the sampler got, after all rules, is D


@dataclass(frozen=True)
class Pictures:
    """How to show a tensor in the model's space.

        picture = decode(x), or without a decoder  0.5 + 0.5 (F x + b)

    factors: F [C, 3]; bias: b [3]. Pixel models need neither: three channels are shown as they are, one as grey.
    """

    decode: Decode | None = None
    factors: Tensor | None = None
    bias: Tensor | None = None

    @property
    def how(self) -> str:
        """The map in words, for captions."""
        return "decoded" if self.decode else "linear"

    def can_show(self, shape: tuple[int, ...]) -> bool:
        """Whether a sample of this shape [C, ...] is a picture whose colours are known; audio never is."""
        factors = () if self.factors is None else (len(self.factors),)
        return len(shape) in (3, 4) and (self.decode is not None or shape[0] in (1, 3, *factors))

    def image(self, x: Tensor) -> Tensor:  # [B, C, ...] -> [B, H, W, 3], 0..1
        """Pictures of predictions or states; nan is shown as zero."""
        x = x.float().nan_to_num(0.0)
        if self.decode is not None:
            return self.decode(x).float().cpu().clamp(0, 1)
        return self.linear(x).clamp(0, 1)

    def linear(self, x: Tensor) -> Tensor:  # [B, C, ...] -> [B, H, W, 3]
        """Colours without a decoder, 0..1 and beyond: linear in x but for an offset."""
        return 0.5 + 0.5 * (self._mixed(x) + (0.0 if self.bias is None else self.bias))

    def difference(self, uncond: Tensor, cond: Tensor) -> Tensor:  # 2 x [B, C, ...] -> [B, H, W, 3], signed
        """What the condition changes in the picture: decode(c) - decode(u), or 0.5 F delta; nan where u is unknown.

        A decoder applied to delta itself would mean nothing.
        """
        if self.decode is None:
            return 0.5 * self._mixed(cond.float() - uncond.float())
        unknown = uncond.float().flatten(1).isnan().any(dim=1)
        change = self.image(cond) - self.image(uncond)
        return torch.where(unknown[:, None, None, None], torch.nan, change)

    def _mixed(self, x: Tensor) -> Tensor:
        flat = _flat_frame(x)
        factors = self._factors(flat.shape[1])
        return flat.movedim(1, -1) @ factors

    def _factors(self, channels: int) -> Tensor:
        if self.factors is not None and len(self.factors) == channels:
            return self.factors.float()
        by_channels = {1: torch.ones(1, 3), 3: torch.eye(3)}
        if channels not in by_channels:
            raise NothingToShow(
                f"A latent with {channels} channels has no colours, and no linear preview for it is known. Connect the "
                "model's VAE."
            )
        return by_channels[channels]


@dataclass(frozen=True)
class Greyed:
    """Signed pictures on grey, 0.5 + gain * change [..., H, W, 3]; nan is grey. clipped_share: share beyond 0..1."""

    pictures: Tensor
    gain: float
    clipped_share: float


def draw_on_grey(change: Tensor, gain: float = 0.0) -> Greyed:
    """One gain for all; 0 takes the largest power of two that clips at most 1 %."""
    factor = gain or automatic_gain(change)
    scaled = change * factor
    finite = scaled[scaled.isfinite()]
    clipped = float((finite.abs() > 0.5).double().mean()) if len(finite) else 0.0
    return Greyed((0.5 + scaled).nan_to_num(0.5).clamp(0, 1), factor, clipped)


def grey_words(grey: Greyed, what: str) -> str:
    """How a signed picture was made, for captions."""
    return f"grey 0.5 + {grey.gain:g} \u00d7 {what}; {percent(grey.clipped_share)} clipped"


def automatic_gain(change: Tensor) -> float:
    """The largest power of two that leaves 99 % of the values within grey; 1 where nothing changes."""
    size = change[change.isfinite()].abs()
    if len(size) == 0 or size.max() == 0:
        return 1.0
    rank = max(1, math.ceil(QUIET * len(size)))
    quiet = float(size.kthvalue(rank).values) or float(size.max())
    return 2.0 ** math.floor(math.log2(0.5 / quiet))


def _flat_frame(x: Tensor) -> Tensor:  # [B, C, H, W] or [B, C, T, H, W] -> [B, C, H, W]
    if x.ndim not in (4, 5):
        raise NothingToShow(f"A latent of shape {tuple(x.shape)} is not a picture. Pictures need [B, C, H, W].")
    return x if x.ndim == 4 else x[:, :, x.shape[2] // 2]


def shown_state(x: Tensor, sigma: float, space: str) -> Tensor:
    """A noisy state at the scale of a picture: x / sqrt(1 + sigma^2) on VE, x itself on flow."""
    return x.float() if space == "flow" else x.float() / (1 + sigma**2) ** 0.5


def step_pictures(trace: Trace, step: int, sample: int, pictures: Pictures) -> Mapping[str, np.ndarray]:
    """Thumbnails of one step, {"x", "u", "c", "G", "D", "next": [H, W, 3]}: those whose tensors the trace kept.

    Nothing for latents that are no pictures, or whose colours are not known.
    """
    if not pictures.can_show(trace.latent_shape):
        return {}
    captured = {name: trace.captured_tensor(name, step) for name in ("x", "uncond", "cond", "guided")}
    present = {name: tensor[sample].float() for name, tensor in captured.items() if tensor is not None}
    shown = {role: present[name] for role, name in NAMES.items() if name in present}
    if {"u", "c"} <= set(shown):
        shown["G"] = shown["u"] + float(trace.steps["gamma"][step]) * (shown["c"] - shown["u"])
    after = trace.captured_tensor("x", step + 1) if step + 1 < trace.n else trace.tensors.get(END)
    if after is not None:
        shown["next"] = after[sample].float()
    for role, level in (("x", "sigma"), ("next", "sigma_next")):
        if role in shown:
            shown[role] = shown_state(shown[role], float(trace.steps[level][step]), str(trace.header.get("space")))
    if END in trace.tensors:
        shown["end"] = trace.tensors[END][sample].float()
    finite = {role: tensor for role, tensor in shown.items() if bool(tensor.isfinite().all())}
    if not finite:
        return {}
    images = pictures.image(torch.stack(list(finite.values())))
    return {role: image.numpy() for role, image in zip(finite, images, strict=True)}
