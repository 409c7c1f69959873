"""The runs that pages and figures show, by the library: those of the templates, with the same noise and settings."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ... import library as gg
from ...dev.places import ROOT
from ..pictures import write

FIGURES = ROOT / "docs" / "figures"
STEPS, SEED = 20, 8
STEP, SAMPLE = 5, 2  # that the figures show
SIGMAS = gg.karras(STEPS, 0.002, 80.0)
LOWEST, HIGHEST = 0.002 ** (1 / 7), 80.0 ** (1 / 7)
LEVELS = [*((HIGHEST + torch.linspace(0, 1, STEPS) * (LOWEST - HIGHEST)) ** 7).tolist(), 0.0]  # as ComfyUI rounds them


def term(kind: str, count: int, weight: float, evaluation: str) -> gg.GradientTerm:
    """A gradient of one of the demo classifiers, for every label in turn."""
    return gg.GradientTerm(energy(kind, count), weight=weight, evaluation=evaluation)


def energy(kind: str, count: int) -> gg.LabelEnergy:
    """What one of the demo classifiers says of every label in turn.  kind: noisy, clean or judge"""
    return gg.LabelEnergy(gg.load_classifier(f"pocket-{kind}-1"), tuple((k % 10,) for k in range(count)))


METHODS: dict[str, Callable[[int], tuple[float, tuple]]] = {  # batch -> gamma and rules
    "CFG": lambda count: (4.0, ()),
    "noise-aware": lambda count: (0.0, (term("noisy", count, 2.0, "noisy x_t"),)),
    "x0 + backprop": lambda count: (0.0, (term("clean", count, 2.0, "x0 + backprop"),)),
    "x0": lambda count: (0.0, (term("clean", count, 200.0, "x0"),)),
}


def run(gamma: float, rules: tuple = (), count: int = 8, cond: Any = None, capture: str = "pictures") -> gg.Recording:
    """A recorded run of the demo model, by DDPM.  cond: a label for all, or every label in turn"""
    pocket = gg.load_denoiser("pocket-1")
    labels = [k % len(pocket.labels) for k in range(count)] if cond is None else [cond] * count
    names = [pocket.labels[one] if isinstance(one, int) else one for one in labels]
    made = gg.record(
        pocket, LEVELS, labels, gamma=gamma, rule=gg.Chain(rules), capture=capture, labels=names, scheduler="karras"
    )
    noise = torch.randn(count, *pocket.shape, generator=torch.Generator().manual_seed(SEED))
    made.sample(noise * torch.tensor([1.0 + LEVELS[0] ** 2]).sqrt(), "ddpm", SEED)  # its start, bit for bit
    return made


def method(name: str, count: int = 8, capture: str = "pictures") -> gg.Recording:
    """A run by one of METHODS, which the judge watches."""
    gamma, rules = METHODS[name](count)
    return run(gamma, (gg.WatchTerm(energy("judge", count)), *rules), count, capture=capture)


def pixels(x0: torch.Tensor) -> np.ndarray:  # [..., 3, H, W] in -1 .. 1 -> [..., H, W, 3] in 0 .. 1
    """Pictures as they are shown."""
    return (0.5 + 0.5 * x0.detach().float()).clamp(0, 1).movedim(-3, -1).numpy()


def keep(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib as a picture of the documentation."""
    out = BytesIO()
    figure.savefig(out, dpi=120, format="png")
    write(path, out.getvalue())
