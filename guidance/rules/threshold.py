"""Thresholds that bring a guided prediction back into the range it should have."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..vectors import flat, per_item, promote
from .cfg import cfg
from .kinds import After

PAPER = Paper(
    "Saharia et al. 2022",
    "2205.11487",
    "Photorealistic Text-to-Image Diffusion Models with Deep Language Understanding",
)


@dataclass(frozen=True)
class DynamicThreshold(After):
    """Clip and rescale the guided prediction, as far as its extremes stick out.

        percentile   s = max(bound, quantile of |D|)       D' = clip(D, -s, s) bound / s            per item
        mimic        s = max(reach, quantile of |D - m|)   D' = m + clip(D - m, -s, s) reach / s    per channel

    m: mean of the channel. reach: the largest distance from its mean in plain CFG at min(mimic_scale, gamma), so that
    a mimic_scale of gamma or more changes nothing in a chain without other rules. percentile is for pixel models.
    At gamma = 1 nothing was guided and the result stays. A bound of inf is off.
    Source: sec. 2.3 (percentile); the mimic form has no paper.
    """

    node_id = "GGDynamicThreshold"
    name = "Dynamic Threshold (percentile / mimic)"
    search_words = ("burn", "dynthresh", "mimic scale", "clamp")
    description = (
        "Keeps the values of the picture in their usual range at a high cfg: cuts extremes and shrinks the rest."
    )
    papers = (PAPER,)
    maturity = "stable"
    claims = frozenset({"per item"})
    method: str = knob(
        "percentile",
        "mimic: the picture keeps the range that it has at mimic_scale; any model. percentile: all values within "
        f"bound, as in Imagen; pixel models only. {PAPER.number}.",
        choices=("percentile", "mimic"),
        shown="mimic",
    )
    quantile: float = knob(
        0.995,
        "Share of values that count as regular. 1: the maximum; one outlier greys the picture. "
        "Below 0.9: flat patches.",
        limits=(0.0, 1.0, 0.001),
        rounding=0.0001,
    )
    bound: float = knob(
        1.0,
        "percentile only: largest value of clean data, 1 for pixels in -1..1. Larger: less effect.",
        limits=(0.001, 1000.0, 0.05),
    )
    mimic_scale: float = knob(
        4.0,
        "mimic only: the cfg whose range is kept. cfg or more: no effect. 1: washed out.",
        limits=(0.0, 100.0, 0.1),
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.quantile <= 1 or self.bound <= 0:
            raise ValueError(
                f"quantile is {self.quantile:g} and bound {self.bound:g}. "
                "Give a quantile from 0 to 1 and a bound above 0."
            )

    @property
    def neutral(self) -> bool:
        """A bound, or a scale to mimic, that nothing exceeds."""
        return (self.bound if self.method == "percentile" else self.mimic_scale) == inf

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        to = f"bound {self.bound:g}" if self.method == "percentile" else f"mimic {self.mimic_scale:g}"
        return f"threshold {to}, quantile {self.quantile:g}"

    def step(self, state: None, p: Predictions, guided: Tensor, gamma: float) -> tuple[Tensor, None]:
        """The guided prediction within its range."""
        if gamma == 1:
            return guided, state
        if self.method == "percentile":
            return clip_to_bound(guided, self.quantile, self.bound), state
        return mimic_range(guided, cfg(p, gamma=min(self.mimic_scale, gamma)), self.quantile), state


def clip_to_bound(guided: Tensor, quantile: float, bound: float) -> Tensor:  # [B, ...] -> [B, ...]
    """Each item clipped at its quantile of |D| and scaled to the bound, if that quantile exceeds it."""
    d = promote(guided)
    limit = per_item(quantile_of(flat(d).abs(), quantile).clamp(min=bound), d)
    return (torch.minimum(torch.maximum(d, -limit), limit) * (bound / limit)).to(guided.dtype)


def mimic_range(guided: Tensor, example: Tensor, quantile: float) -> Tensor:  # [B, C, ...] x 2 -> [B, C, ...]
    """Each channel about its mean, clipped and scaled to the largest deviation that the example has there."""
    rows, model = (promote(v).flatten(2) for v in (guided, example))
    off = rows - rows.mean(dim=2, keepdim=True)
    reach = (model - model.mean(dim=2, keepdim=True)).abs().amax(dim=2, keepdim=True)
    limit = torch.maximum(reach, quantile_of(off.abs(), quantile)[..., None])
    share = torch.where(limit > reach, reach / limit, 1.0)
    held = torch.minimum(torch.maximum(off, -limit), limit) * share
    return (rows + (held - off)).reshape(guided.shape).to(guided.dtype)


def quantile_of(rows: Tensor, q: float) -> Tensor:  # [..., N] -> [...]
    """Quantile over the last axis, linear between neighbours; by sorting, as the library's stops at 2^24 elements."""
    ordered = rows.sort(dim=-1).values
    place = q * (rows.shape[-1] - 1)
    below = int(place)
    above = min(below + 1, rows.shape[-1] - 1)
    return ordered[..., below].lerp(ordered[..., above], place - below)
