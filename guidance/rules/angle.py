"""ADG, angle domain guidance: turn the prediction away from u instead of lengthening it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..vectors import angle, norm, per_item, ratio, reject
from .kinds import Combine

PAPER = Paper(
    "Jin et al. 2025",
    "2506.11039",
    "Angle Domain Guidance: Latent Diffusion Requires Rotation Rather Than Extrapolation",
)


@dataclass(frozen=True)
class Angle(Combine):
    """Angle domain guidance, in place of CFG, on x0-hats: turn c away from u by gamma - 1 times their angle t.

        D = cos(t') c + sin(t') |c| e        t' = (gamma - 1) t, clipped to +-max_angle
        e: unit vector along the part of c across u

    So |D| <= sqrt(2) |c|. Where u or c is zero, nothing turns. Below gamma = 1, where the paper is silent, it turns
    towards u: at gamma = 0 by the whole angle, so that D lies near the direction of u, as long as c.
    """

    node_id = "GGAngle"
    name = "ADG (Angle Domain Guidance)"
    search_words = ("burn", "rotation")
    description = "Turns towards the prompt instead of going further and further that way, so that colours do not burn."
    papers = (PAPER,)
    claims = frozenset({"in span", "per item", "same in every space"})
    max_angle: float = knob(
        60.0,
        "Largest turn in degrees: D = cos(t') c + sin(t') |c| e, t' = (cfg - 1) t up to this. "
        f"Small: cfg has little effect. 90: nothing of c may remain. {PAPER}.",
        limits=(1.0, 90.0, 1.0),
        main=True,
    )
    keep_norm: bool = knob(False, "On: the result is exactly as long as c. Off: at most sqrt(2) times as long.")

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"ADG up to {self.max_angle:g} deg{', length of c' if self.keep_norm else ''}"

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Tensor, None]:
        """The turned prediction."""
        (uncond, cond), most = p.pair, math.radians(self.max_angle)
        across = reject(cond - uncond, uncond)
        turn = ((gamma - 1) * angle(uncond, cond).nan_to_num(0)).clamp(-most, most)
        length = norm(across)
        share = torch.where(length == 0, torch.zeros_like(length), turn.sin() * norm(cond) / length)
        guided = per_item(turn.cos(), cond) * cond + per_item(share, cond) * across
        if self.keep_norm:
            guided = guided * per_item(ratio(norm(p.cond), norm(guided)), guided)
        return guided.to(p.cond.dtype), state
