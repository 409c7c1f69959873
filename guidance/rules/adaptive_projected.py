"""APG, adaptive projected guidance: less of the difference along the prediction, a cap, and momentum."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..run import Run
from ..vectors import flat, norm, per_item, project, ratio
from .kinds import Before, with_difference
from .spaces import space_knob, view_in

PAPER = Paper(
    "Sadat et al. 2024",
    "2410.02416",
    "Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion Models",
)


@dataclass(frozen=True)
class Momentum:
    """Running difference: m' = delta + beta m.  A number until the first step."""

    mean: Tensor | float = 0.0


def cap_length(v: Tensor, radius: Tensor | float) -> Tensor:  # [B, ...] -> [B, ...]
    """Shorten each item to at most this length: v min(1, radius / |v|)."""
    length = norm(v)
    return v * per_item(ratio(length.clamp(max=radius), length), v)


def weigh_along(delta: Tensor, axis: Tensor, eta: float) -> Tensor:  # [B, ...], [B, ...] -> [B, ...]
    """The difference with its part along an axis weighed: delta_across + eta delta_along."""
    return delta + (eta - 1) * project(delta, axis)


def fold_parts(v: Tensor, part: str) -> Tensor:  # [B, C, ...] -> [B x parts, ...]
    """One item for each part: the sample, or each of its channels, or, in a video, each of its frames."""
    if part == "channel":
        return v.flatten(0, 1)
    return v.movedim(2, 1).flatten(0, 1) if part == "frame" and v.ndim == 5 else v


def unfold_parts(v: Tensor, part: str, like: Tensor) -> Tensor:  # [B x parts, ...] -> [B, C, ...]
    """The parts back in their places."""
    if part == "frame" and like.ndim == 5:
        return v.unflatten(0, (like.shape[0], like.shape[2])).movedim(1, 2)
    return v.reshape(like.shape)


@dataclass(frozen=True)
class AdaptiveProjected(Before):
    """Adaptive projected guidance.

        m = delta + beta m        d = m min(1, r / |m|)        delta' = d_across + eta d_along
        D = c + (gamma - 1) delta'

    r = threshold sqrt(N) for the N elements of a part, or, if absolute, the threshold. Momentum adds up x0 differences
    in every space. Only a video has frames; of anything else, a frame is the sample.
    Source: algorithm 1. The paper's code takes the last three axes: the sample of a picture, each channel of a video.
    ACE-Step takes the last two: each channel of a picture.
    """

    node_id = "GGAdaptiveProjected"
    name = "APG (Adaptive Projected Guidance)"
    search_words = ("burn", "projection", "momentum")
    description = (
        "Less burn: takes out the part of guidance that only brightens and saturates, limits the rest, and avoids "
        "pushing the same way at every step."
    )
    papers = (PAPER,)
    maturity = "stable"
    claims = frozenset({"per item"})
    eta: float = knob(
        0.0,
        "How much stays of the part that only brightens and saturates. 0: nothing. 1: plain CFG. Above 1 "
        f"oversaturates, below 0 washes out. {PAPER}.",
        limits=(-1.0, 2.0, 0.05),
        off=1.0,
    )
    threshold: float = knob(
        0.06,
        "Limit on how hard a step is pushed; 0 is off. Too low: cfg has no effect. 0.06 per element is the paper's "
        "15 for SDXL (4x128x128).",
        limits=(0.0, 1000.0, 0.01),
        main=True,
        off=0.0,
    )
    momentum: float = knob(
        -0.5,
        "How much earlier steps count. Negative: push away from where they pushed, as in the paper. 0: off. Near 1 "
        "the pushes pile up.",
        limits=(-0.95, 0.95, 0.05),
        off=0.0,
    )
    absolute: bool = knob(
        False,
        "per element: the threshold fits every resolution. absolute: as papers and other nodes give it (2.5 to 15).",
        choices={"per element": False, "absolute": True},
        name="threshold_unit",
    )
    space: str = space_knob("x0", "Where that part is measured.")
    part: str = knob(
        "sample",
        "What is measured as one. sample: the whole, as in the paper for pictures. channel: each channel, as the "
        "paper's code for video, and ACE-Step. frame: each frame.",
        choices=("sample", "channel", "frame"),
        name="norm_over",
        later=True,
    )

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        cap = f", cap {self.threshold:g}{'' if self.absolute else ' sqrt(N)'}" if self.threshold else ""
        memory = f", momentum {self.momentum:g}" if self.momentum else ""
        part = "" if self.part == "sample" else f", by {self.part}"
        return f"APG eta {self.eta:g}{cap}{memory} in {self.space}{part}"

    def init(self, run: Run) -> Momentum:
        """No difference yet."""
        return Momentum()

    def step(self, state: Momentum, p: Predictions, gamma: float) -> tuple[Predictions, Momentum]:
        """Predictions whose difference is delta'."""
        uncond, cond = p.pair
        mean = delta = cond - uncond + self.momentum * state.mean
        axis = cond if self.space == "x0" else view_in(self.space, p).outputs(cond)[0]
        delta, axis = (fold_parts(v, self.part) for v in (delta, axis))
        if self.threshold:
            delta = cap_length(delta, self.threshold * (1 if self.absolute else flat(delta).shape[1] ** 0.5))
        delta = unfold_parts(weigh_along(delta, axis, self.eta), self.part, cond)
        return with_difference(p, delta), Momentum(mean)
