"""An ablation: the run again with one window at gamma 1, beside the push of that window and what should be left."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from ...dev.places import ROOT
from ...guidance.mixture import make_mixture
from ...guidance.rules.schedule import ScaleSchedule
from ...guidance.vectors import flat
from ...library.denoisers import ExactDenoiser, NetworkDenoiser, load_denoiser
from ...library.recording import Recording, record
from ...library.sampling import karras
from ...samplers.steps import follow, level, up_and_down
from ...trace.pushes import contraction, push
from .sources import kept, origin

CACHE = ROOT / ".cache" / "ablation"
DEMO, EXACT = ("pocket-1", "pocket-flow-1"), "exact mixture"
WEIGHTS = tuple(ROOT / "assets" / "denoisers" / f"{name}.safetensors" for name in DEMO)
SHAPE, CLASSES = (4, 8, 8), 5  # of the mixture
NOISE = {"none": ("euler", 0.0), "fresh": ("ddpm", 1.0)}  # the sampler, and its share of fresh noise
STEPS, WIDTH, GAMMA, SAMPLES, SEED = 20, 4, 3.0, 80, 0
WINDOWS = [list(range(first, first + WIDTH)) for first in range(0, STEPS, WIDTH)]


def denoiser_of(model: str) -> NetworkDenoiser | ExactDenoiser:
    """A demo model, or the mixture."""
    return ExactDenoiser(make_mixture(SHAPE, CLASSES, 3)) if model == EXACT else load_denoiser(model)


def run_of(denoiser: NetworkDenoiser | ExactDenoiser, sampler: str, window: Sequence[int] = ()) -> Recording:
    """One run of SAMPLES samples, whose labels cycle; gamma is 1 at the steps of the window."""
    exact = isinstance(denoiser, ExactDenoiser)
    shape, count = (SHAPE, CLASSES) if exact else (denoiser.shape, len(denoiser.labels))
    scales = ScaleSchedule("list", values=tuple(1.0 if i in window else GAMMA for i in range(STEPS)))
    levels, labels = levels_of(denoiser), [i % count for i in range(SAMPLES)]
    made = record(denoiser, levels, labels, gamma=GAMMA, rule=scales, capture="numbers")
    noise = torch.randn(SAMPLES, *shape, generator=torch.Generator().manual_seed(SEED))
    made.sample(levels[0] * noise, sampler, SEED)
    return made


def levels_of(denoiser: NetworkDenoiser | ExactDenoiser) -> list[float]:
    """The noise levels of a run, noisiest first, and 0."""
    flow = denoiser.facts["space"] == "flow"
    return np.linspace(1, 0, STEPS + 1).tolist() if flow else karras(STEPS, 0.002, 80.0)


def changes(denoiser: NetworkDenoiser | ExactDenoiser, sampler: str, end: Tensor) -> ndarray:  # -> [windows, B]
    """|x - x_w|: how far the end moves where the guidance of one window is left out, with the same noise."""
    ends = [run_of(denoiser, sampler, window).end for window in WINDOWS]
    return torch.stack([flat(other.double() - end.double()).norm(dim=1) for other in ends]).numpy()


def estimates(made: Recording, fresh: float) -> tuple[ndarray, ndarray]:  # -> [windows, B] x2
    """Sums over each window: of the push as it is made, |kappa (D - c)|, and of what the estimate leaves of it."""
    steps, flow = made.trace.steps, made.run.flow
    levels = [level(sigma, flow) for sigma in made.run.sigmas]
    kappa = [follow(now, then, up_and_down(now, then, fresh)[1]) for now, then in pairwise(levels)]
    there = push(made.trace.record, steps["gamma"][:, None], torch.tensor(kappa)[:, None])
    kept = contraction(steps["sigma_next"], steps["alpha_next"], made.trace.header["sigma_data"], fresh > 0)
    pushed, left = (torch.stack([one[window].sum(0) for window in WINDOWS]) for one in (there, there * kept[:, None]))
    return pushed.numpy(), left.numpy()


def measures(model: str, noise: str) -> dict[str, ndarray]:  # [windows, B] each
    """Push, estimate and change of one model with one sampler; measured if nobody did."""

    def measure() -> dict[str, ndarray]:
        denoiser, (sampler, fresh) = denoiser_of(model), NOISE[noise]
        made = run_of(denoiser, sampler)
        pushed, left = estimates(made, fresh)
        print(f"measured {model}, noise {noise}", flush=True)
        return {"pushed": pushed, "left": left, "change": changes(denoiser, sampler, made.end)}

    return kept(CACHE / origin(Path(__file__), WEIGHTS) / f"{model}-{noise}.npz", measure)
