"""Several conditions at once: two positives, a weighted negative, or the two scales of InstructPix2Pix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..printing import count_of
from ..vectors import promote
from .kinds import Conditions, Source

SUM = Paper("Liu et al. 2022", "2206.01714", "Compositional Visual Generation with Composable Diffusion Models")
TWO_SCALES = Paper("Brooks et al. 2022", "2211.09800", "InstructPix2Pix: Learning to Follow Image Editing Instructions")


@dataclass(frozen=True, eq=False)
class Negative(Conditions):
    """Further conditions, each with a weight: it pulls, or pushes where that is negative; or one in the middle.

        sum              D = u + gamma (c - u + sum_i w_i (c_i - u))
        InstructPix2Pix  D = u + w (m - u) + gamma (c - m)
        nested           D = u + w (m + gamma (c - m) - u)

    A condition that was not evaluated, because it is inactive at this noise level, counts as u. At gamma = 1 the result
    is c, and nothing else is evaluated.
    Source: conjunction and negation of Liu et al.; eq. 3 of InstructPix2Pix; nested is the second style of ComfyUI's
    DualCFGGuider.
    """

    node_id = "GGNegative"
    name = "Negative / Dual CFG (InstructPix2Pix)"
    search_words = ("negative prompt", "dual cfg", "ip2p", "image editing", "several prompts")
    description = (
        "More prompts beside the sampler's positive and negative, each with its weight. Each costs one more run of "
        "the model per step."
    )
    papers = (SUM, TWO_SCALES)
    maturity = "stable"
    claims = frozenset({"per item", "same in every space"})
    conditions: tuple[Any, ...]
    weights: tuple[float, ...]
    form: str = knob(
        "sum",
        f"sum: all prompts add up, {SUM}. InstructPix2Pix: from the negative to second by its weight, from there to "
        f"the positive by cfg, {TWO_SCALES}. nested: as in DualCFGGuider.",
        choices=("sum", "InstructPix2Pix", "nested"),
    )

    def __post_init__(self):
        super().__post_init__()
        if len(self.conditions) != len(self.weights):
            raise ValueError(
                f"There are {len(self.conditions)} extra conditions but {len(self.weights)} weights. Give each one a "
                "weight."
            )
        if self.form != "sum" and len(self.conditions) != 1:
            raise ValueError(
                f"{self.form} takes one middle condition, but {len(self.conditions)} were given. "
                "Connect one, or use the form sum."
            )

    @property
    def neutral(self) -> bool:
        """All weights of a sum are zero."""
        return self.form == "sum" and not any(self.weights)

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        weights = ", ".join(f"{weight:g}" for weight in self.weights)
        prompts = count_of(len(self.weights), "further prompt")
        return f"{prompts} x {weights}" if self.form == "sum" else f"{self.form}, scale {weights}"

    @property
    def sources(self) -> Mapping[str, Source]:
        """The conditions that count."""
        return {name: Source(condition) for name, condition, _ in self._counting()}

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Tensor, None]:
        """The combined prediction."""
        if gamma == 1:
            return p.cond, state
        uncond, cond = p.pair
        others = [(promote(p.extra.get(name, uncond)), weight) for name, _, weight in self._counting()]
        if self.form == "sum":
            pull = cond - uncond
            for other, weight in others:
                pull = pull + weight * (other - uncond)
            return (uncond + gamma * pull).to(p.cond.dtype), state
        [(middle, weight)] = others
        onward = gamma * (cond - middle)
        if self.form == "nested":
            return (uncond + weight * (middle - uncond + onward)).to(p.cond.dtype), state
        return (uncond + weight * (middle - uncond) + onward).to(p.cond.dtype), state

    def _counting(self) -> list[tuple[str, Any, float]]:
        rows = zip(self.conditions, self.weights, strict=True)
        named = [(f"condition {i}", condition, weight) for i, (condition, weight) in enumerate(rows, start=2)]
        return named if self.form != "sum" else [row for row in named if row[2] != 0]
