"""The demo denoiser, asked without a label and steered by a classifier it never saw, through the host's samplers.

Samples are kept as rounded pictures in .cache/, a chunk at a time, so that a long table is made in several
sittings. A chunk is kept under the checksum of the weights and of every source file that made it.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ...dev.places import ROOT
from ...files.safetensors import read_safetensors
from ...guidance.chain import PLAIN, Chain
from ...guidance.energies.label import LabelEnergy
from ...guidance.gradients.term import MEASURED, GradientOptions, GradientTerm
from ..train.demo_evaluation import (
    Statistics,
    classwise_frechet,
    diversity,
    frechet,
    interval,
    statistics_of,
    to_pixels,
)
from .sources import kept, origin

KEPT = ROOT / ".cache" / "classifier-guidance"
FIXTURE = ROOT / "tests" / "fixtures" / "pocket_judge_statistics.safetensors"
WEIGHTS = (*sorted((ROOT / "assets").rglob("*.safetensors")), FIXTURE)
NOISY, BACKPROP, CLEAN_X0 = EVALUATIONS = tuple(MEASURED)
CFG = "CFG"
BATCH, SEED = 100, 1


class Row(NamedTuple):
    """A line of the table: an evaluation at a gamma, with a sampler and its steps. CFG: the label is given instead."""

    evaluation: str
    gamma: float
    sampler: str = "euler_ancestral"
    steps: int = 20

    @property
    def name(self) -> str:
        """A file name."""
        return f"{self.evaluation}-{self.gamma:g}-{self.sampler}-{self.steps}".replace(" ", "")


TABLE = (  # of many samples: every evaluation where it is best, and what CFG has there
    Row("none", 0.0),
    Row(NOISY, 2.0),
    Row(BACKPROP, 4.0, steps=50),
    Row(CLEAN_X0, 200.0),
    *(Row(CFG, gamma) for gamma in (1.0, 1.5, 2.0, 3.0)),
)
SWEEP = (  # of fewer
    *(Row(NOISY, gamma) for gamma in (1.0, 2.0, 4.0)),
    *(Row(CLEAN_X0, gamma) for gamma in (30.0, 100.0, 200.0, 400.0)),
    *(Row(BACKPROP, gamma, steps=50) for gamma in (2.0, 4.0, 8.0, 16.0)),
    *(Row(BACKPROP, gamma) for gamma in (4.0, 16.0)),
    *(Row(CFG, gamma) for gamma in (1.0, 1.5, 2.0, 3.0)),
    Row(NOISY, 2.0, "dpmpp_2m"),
    Row(CLEAN_X0, 200.0, "dpmpp_2m"),
)


def gradient_chain(energy: LabelEnergy, evaluation: str, gamma: float, **options) -> Chain:
    """A guidance chain of one gradient term."""
    asked = GradientOptions(**options)
    return PLAIN.then(GradientTerm(energy, weight=gamma, evaluation=evaluation, options=asked))


class Demo:
    """The demo denoiser and its classifiers, as the nodes load them."""

    def __init__(self):
        from ...nodes.load_classifier import GGLoadClassifier
        from ...nodes.start import GGClassLabel, GGLoadDenoiser

        self.model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "fp32")[0]
        self.null = GGClassLabel.execute(self.model, "")[0]
        self.label = GGClassLabel.execute(self.model, "*")[0]
        names = {NOISY: "noisy", BACKPROP: "clean", CLEAN_X0: "clean", "judge": "judge"}
        self.classifiers = {evaluation: GGLoadClassifier.execute(f"pocket-{n}-1")[0] for evaluation, n in names.items()}
        tensors, _ = read_safetensors(FIXTURE)
        self.real = Statistics(*(tensors[name].double() for name in Statistics.__annotations__))

    def chain(self, evaluation: str, gamma: float, **options) -> Chain:
        """A guidance chain that pushes towards every label in turn."""
        if evaluation not in EVALUATIONS:
            return PLAIN
        energy = LabelEnergy(self.classifiers[evaluation], tuple((index,) for index in range(10)))
        return gradient_chain(energy, evaluation, gamma, **options)

    def sample(self, row: Row, batch: int, seed: int, **options) -> Tensor:  # -> [batch, 3, 32, 32]
        """Samples through the node."""
        from ...nodes.sampling import GGGuidedSampler

        positive, cfg = (self.label, row.gamma) if row.evaluation == CFG else (self.null, 1.0)
        latent = {"samples": torch.zeros(batch, 3, 32, 32)}
        settings = (self.model, seed, row.steps, cfg, row.sampler, "karras", positive, self.null, latent)
        chain = self.chain(row.evaluation, row.gamma, **options)
        return GGGuidedSampler.execute(*settings, guidance=chain, capture="numbers")[0]["samples"]

    def measure(self, pixels: Tensor) -> dict[str, float]:  # [N, 32, 32, 3] uint8, labels cycle
        """Accuracy by the judge, which never guides, both distances, and the diversity within a label."""
        labels = torch.arange(len(pixels)) % 10
        seen = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        judge = self.classifiers["judge"].network
        features = judge.features(seen)
        right = (judge.out(features).argmax(1) == labels).double().mean().item()
        low, high = interval(right, len(labels))
        found = statistics_of(features, labels)
        distances = {"frechet": frechet(found, self.real), "classwise": classwise_frechet(found, self.real)}
        return {"accuracy": right, "low": low, "high": high, **distances, "diversity": diversity(seen, labels)}


class Sampling(Protocol):
    """What draws the samples of a row."""

    def sample(self, row: Row, count: int, seed: int, /) -> Tensor:
        """-> [count, 3, H, W] in -1 .. 1"""
        ...


def kept_pixels(
    demo: Sampling, row: Row, samples: int, until: float = math.inf, folder: Path = KEPT
) -> Tensor | None:  # -> [samples, 32, 32, 3] uint8
    """The row's samples, made where they are not kept yet; None where the clock passes `until` before."""
    parts = []
    for first in range(0, samples, BATCH):
        file = folder / origin(Path(__file__), WEIGHTS) / f"{row.name}-{first}.npz"
        if not file.is_file() and time.monotonic() > until:
            return None
        found = kept(file, lambda first=first: {"pixels": to_pixels(demo.sample(row, BATCH, SEED + first))})
        parts.append(torch.from_numpy(found["pixels"]))
    return torch.cat(parts)[:samples]


def line_of(row: Row, numbers: dict[str, float]) -> str:
    """One line of the printed table."""
    return (
        f"{row.evaluation:14} {row.gamma:6g} {row.sampler:16} {row.steps:3} {numbers['accuracy']:8.4f} "
        f"({numbers['low']:.3f}..{numbers['high']:.3f}) {numbers['frechet']:8.3f} {numbers['classwise']:8.2f} "
        f"{numbers['diversity']:7.3f}"
    )


def table(demo: Demo, rows: tuple[Row, ...], samples: int) -> list[tuple[Row, dict[str, float]]]:
    """Every row with its numbers, printed."""
    print(f"{samples} samples a row, labels in turn, seeds {SEED}, {SEED + BATCH}, ..., fp32, karras", flush=True)
    print(
        f"{'evaluation':14}  gamma {'sampler':16} steps accuracy (95 %)    frechet classwise diversity",
        flush=True,
    )
    found = []
    for row in rows:
        pixels = kept_pixels(demo, row, samples)
        assert pixels is not None, "without a clock all are made"
        numbers = demo.measure(pixels)
        print(line_of(row, numbers), flush=True)
        found.append((row, numbers))
    return found
