"""CFGNorm: at every location, the length of the conditional prediction, kept."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..knobs import knob
from ..predictions import Predictions
from ..vectors import ratio, widen
from .kinds import After
from .spaces import space_knob, view_in


def _lengths(v: Tensor) -> Tensor:  # [B, C, ...] -> [B, 1, ...] float64
    return (widen(v) ** 2).sum(dim=1, keepdim=True).sqrt()


@dataclass(frozen=True)
class LocationNorm(After):
    """Scale the channels of each location until they are at most as long as those of the conditional output.

        o' = o_G (1 + k (f - 1))       f = min(1, |o_c| / |o_G|) per location; with match f = |o_c| / |o_G|

    Source: the guidance of HiDream-E1 (shorten, in x0 in ComfyUI's CFGNorm) and of Qwen-Image (match, in the velocity).
    """

    node_id = "GGLocationNorm"
    name = "CFGNorm (norm per location)"
    search_words = ("burn",)
    description = "Weakens guidance at those places of the picture which it makes too strong."
    claims = frozenset({"per item"})
    strength: float = knob(
        1.0,
        "k in o' = o (1 + k (f - 1)), f = min(1, |o_c|/|o|) over the channels of a location. "
        "0: plain CFG. 1: never longer than c, flat where cfg pushes hardest. From HiDream-E1.",
        limits=(0.0, 1.0, 0.05),
        main=True,
        off=0.0,
    )
    match: bool = knob(
        False,
        "On: f = |o_c|/|o|, which also lengthens, as Qwen-Image does; dark places then become noisier.",
    )
    space: str = space_knob("x0", "Where the lengths are measured.")

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"CFGNorm {self.strength:g}{' match' if self.match else ''} in {self.space}"

    def step(self, state: None, p: Predictions, guided: Tensor, gamma: float) -> tuple[Tensor, None]:
        """The prediction with the lengths of c."""
        view = view_in(self.space, p)
        share = ratio(*(_lengths(v) for v in view.outputs(p.cond, guided)))
        share = share if self.match else share.clamp(max=1)
        return view.rescale(guided, 1 + self.strength * (share - 1)), state
