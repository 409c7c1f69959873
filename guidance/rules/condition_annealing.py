"""CADS: what the network is told of the condition begins as noise, and clears up as the sample does."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..knobs import Paper, knob
from ..run import Run
from ..vectors import mean, per_item, promote, ratio, std
from .kinds import Embedding

PAPER = Paper(
    "Sadat et al. 2023",
    "2310.17347",
    "CADS: Unleashing the Diversity of Diffusion Models through Condition-Annealed Sampling",
)


@dataclass(frozen=True)
class ConditionAnnealing(Embedding):
    """Anneal the embedding y of the condition with noise n, a new draw at each step; u keeps its own embedding.

        y_noisy = sqrt(keep) y + s sqrt(1 - keep) n
        keep    = 1 for t <= tau1,   (tau2 - t) / (tau2 - tau1) between,   0 for t >= tau2
        y_same  = (y_noisy - mean(y_noisy)) / std(y_noisy) std(y) + mean(y)
        y'      = psi y_same + (1 - psi) y_noisy

    t falls from 1 at the first step to 0 at the end: the share of the steps that is still ahead. mean and std are over
    all numbers of an item's embedding.
    Source: eqs. 1-4 of CADS, read in others' accounts of the paper and not in the paper. That t goes by steps, and that
    all stages of a step share one draw, are choices made here.
    """

    node_id = "GGConditionAnnealing"
    name = "CADS (more variety)"
    search_words = ("diversity", "condition annealing", "conditioning noise", "variation", "same face")
    description = (
        "Blurs the prompt with noise in the first steps, so that pictures of one prompt differ more. "
        "Needs a model that reads text embeddings or class labels."
    )
    papers = (PAPER,)
    claims = frozenset({"gamma 0 is u", "same in every space", "in plane", "in span", "per item"})
    noise_scale: float = knob(
        0.1,
        f"s: how strong the noise on the prompt is while the prompt comes back. More noise, more variety. {PAPER}.",
        limits=(0.0, 2.0, 0.01),
        main=True,
    )
    tau1: float = knob(
        0.6,
        "The prompt is clean once this share of the steps is left. Lower: it is noisy for longer. 1: plain CFG.",
        limits=(0.0, 1.0, 0.01),
        off=1.0,
    )
    tau2: float = knob(
        0.9,
        "While more than this share of the steps is left, the prompt is noise alone. 1: only at the first step.",
        limits=(0.0, 1.0, 0.01),
    )
    psi: float = knob(
        1.0,
        "How far the noisy prompt gets the mean and spread of the clean one back. 1: fully. "
        "0: not at all, which varies more and fails more.",
        limits=(0.0, 1.0, 0.05),
    )

    def keep(self, run: Run, sigma: float) -> float:
        """Share of the condition that is kept at a noise level, 0 .. 1."""
        t = 1 - run.share(run.step(sigma))
        if t <= self.tau1:
            return 1.0
        return 0.0 if t >= self.tau2 else (self.tau2 - t) / (self.tau2 - self.tau1)

    def acts(self, run: Run, sigma: float) -> bool:
        """Whether some of the condition is noise."""
        return self.keep(run, sigma) < 1

    def embed(self, y: Tensor, noise: Tensor, run: Run, sigma: float) -> Tensor:
        """The annealed embedding [B, ...], in the dtype of y."""
        keep, clean = self.keep(run, sigma), promote(y)
        noisy = math.sqrt(keep) * clean + self.noise_scale * math.sqrt(1 - keep) * noise.to(clean)
        centred = noisy - per_item(mean(noisy), noisy)
        same = centred * per_item(ratio(std(clean), std(noisy)), noisy) + per_item(mean(clean), noisy)
        return (self.psi * same + (1 - self.psi) * noisy).to(y.dtype)
