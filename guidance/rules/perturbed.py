"""Guidance away from a perturbed pass, on top of any other guidance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..knobs import Paper, knob, socket
from ..predictions import Predictions
from ..vectors import promote
from .kinds import Add, Source
from .window import Window, share_knob

PAPER = Paper("Ahn et al. 2024", "2403.17377", "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance")


@dataclass(frozen=True, eq=False)
class Perturbed(Add):
    """Add the way from a perturbed prediction to c, as PAG, SEG and skip-layer guidance do.

        D = G + scale (c - w)        G: what the chain makes of u and c

    c is the prediction as evaluated, and the sum comes last, whatever the other rules do: several add up, and it acts
    at any gamma, at 1 too, where u is not evaluated and D = c + scale (c - w); diffusers has scale - 1 there.
    w: the condition of c in a model that answers worse, at steps with start <= i / steps < end.
    Source: PAG; the perturbation itself is the model's own.
    """

    node_id = "GGPerturbed"
    name = "Perturbed Pass (PAG / SEG / SLG style)"
    search_words = ("perturbed attention guidance", "smoothed energy guidance", "skip layer guidance")
    description = (
        "Pushes away from a damaged copy of the model, on top of cfg. ComfyUI's own PAG and SLG nodes work without "
        "it: connect them to the sampler's model."
    )
    papers = (PAPER,)
    claims = frozenset({"same in every space", "per item"})
    perturbed: Source = socket(
        "MODEL",
        "The model with a patch that degrades every pass through it (attention or block patches). "
        "It gets the positive condition, once per step.",
        name="perturbed_model",
    )
    weight: float = knob(
        3.0,
        "w in D = G + w (c - c_perturbed), added last in any chain; several add up. 0: off. "
        f"1 to 3 usual; too high burns, whatever cfg is. PAG: {PAPER.number}.",
        limits=(-100.0, 100.0, 0.1),
        main=True,
        name="scale",
        off=0.0,
    )
    start: float = share_knob(
        0.0, "Share of the steps from which it acts; before it the pass is skipped.", "start_percent"
    )
    end: float = share_knob(1.0, "Share of the steps up to which it acts; after it the pass is skipped.", "end_percent")

    def __post_init__(self):
        super().__post_init__()
        if Window(self.start, self.end).empty:
            raise ValueError(
                f"window {self.start:g} .. {self.end:g} is empty or reversed: start is the noisier end. Swap them."
            )

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        window = "" if (self.start, self.end) == (0, 1) else f", {self.start:g} .. {self.end:g}"
        return f"perturbed pass x {self.weight:g}{window}"

    @property
    def sources(self) -> Mapping[str, Source]:
        """The perturbed one."""
        return {"perturbed": self.perturbed}

    @property
    def window(self) -> Window:
        """From start to end, within any other windows."""
        return Window(self.start, self.end).intersect(super().window)

    def needs(self, state: None, sigma: float, wanted: frozenset[str]) -> frozenset[str]:
        """The perturbed prediction, whatever gamma is."""
        return wanted | {"perturbed"}

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Tensor | None, None]:
        """The way from the perturbed prediction, None where that was not evaluated."""
        if "perturbed" not in p.extra:
            return None, state
        return self.weight * (promote(p.cond) - promote(p.extra["perturbed"])), state
