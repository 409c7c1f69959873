"""Where rules are compared, and how they sample: demo models with their judge, exact mixtures with the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ....dev.places import ROOT
from ....guidance.mixture import GaussianMixture
from ...train import demo_evaluation, demo_files, train_flow
from ...train.demo_flow import FlowDenoiser, decode

RANDOM = 0.3  # share of the labels that a sloppy world's network learned from


@dataclass
class Mixture:
    """An exact mixture of isotropic Gaussians.  sloppy: its network is the ideal one for labels, some of them random"""

    name: str
    mixture: GaussianMixture
    sloppy: bool = False

    flow: ClassVar[bool] = False
    trained: ClassVar[bool] = False
    highest: ClassVar[float] = 80.0
    lowest: ClassVar[float] = 0.002

    @property
    def labels(self) -> int:
        """Classes of the mixture."""
        return self.mixture.classes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""
        return self.mixture.shape

    def predict(self, x: Tensor, sigma: float, labels: Tensor | None) -> Tensor:  # x [B, ...] -> [B, ...]
        """w c + (1 - w) u with w = (1 - a) p(x|y) / ((1 - a) p(x|y) + a p(x)); without sloppy labels a is 0."""
        exact, likely = self.mixture.denoised, self.mixture.log_prob
        if labels is None or not self.sloppy:
            return exact(x, sigma, label=labels)
        odds = likely(x, sigma, label=labels) - likely(x, sigma) + math.log((1 - RANDOM) / RANDOM)
        clean = torch.sigmoid(odds).reshape(-1, *(1,) * (x.ndim - 1))
        return clean * exact(x, sigma, label=labels) + (1 - clean) * exact(x, sigma)

    def truth(self, count: int, seed: int) -> list[Tensor]:
        """True samples, by class."""
        g = torch.Generator().manual_seed(104_729 * (seed + 1))
        return self.by_class(self.mixture.sample(count, torch.arange(count) % self.labels, generator=g))

    def by_class(self, x: Tensor) -> list[Tensor]:
        """Samples whose labels cycle, by label."""
        return [x[label :: self.labels].flatten(1) for label in range(self.labels)]


@dataclass
class Pocket:
    """Pocket, in float32."""

    name: str

    labels = 10
    shape = (3, 32, 32)
    flow: ClassVar[bool] = False
    trained: ClassVar[bool] = True
    highest: ClassVar[float] = 80.0
    lowest: ClassVar[float] = 0.002

    @property
    def path(self) -> Path:
        """Of its weights."""
        return ROOT / "assets" / "denoisers" / f"{self.name}.safetensors"

    @cached_property
    def denoise(self) -> demo_evaluation.Denoise:
        """D(x, sigma, y)."""
        network, metadata = demo_files.read_denoiser(self.path)
        return demo_evaluation.Denoiser(network, float(metadata["gg.sigma_data"]), torch.float32)

    def predict(self, x: Tensor, sigma: float, labels: Tensor | None) -> Tensor:  # x [B, ...] -> [B, ...]
        """x0-hat with labels or without."""
        wanted = torch.full((len(x),), self.labels) if labels is None else labels
        return self.denoise(x, torch.full((len(x),), sigma), wanted)

    def pictures(self, ends: Tensor) -> Tensor:
        """The samples are pictures."""
        return ends


@dataclass
class Flow(Pocket):
    """The latent flow model, in float32."""

    shape = (4, 8, 8)
    flow: ClassVar[bool] = True
    highest: ClassVar[float] = 1.0
    lowest: ClassVar[float] = 0.0

    @cached_property
    def network_parts(self) -> tuple[nn.Module, Any]:
        """The network and its VAE."""
        return train_flow.read_flow(self.path)

    @cached_property
    def denoise(self) -> demo_evaluation.Denoise:
        """D(x, s, y)."""
        return FlowDenoiser(self.network_parts[0], torch.float32)

    def pictures(self, ends: Tensor) -> Tensor:
        """Decoded."""
        return torch.cat([decode(self.network_parts[1], part) for part in ends.split(250)])


World = Mixture | Pocket


def levels(world: World, steps: int) -> list[float]:  # steps + 1, noisiest first, the last is 0
    """Noise levels of the host's schedule simple for flows, and of karras elsewhere."""
    if world.flow:
        return torch.linspace(1, 0, steps + 1, dtype=torch.float64).tolist()
    low, high, rho = world.lowest, world.highest, 7.0
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    return [*((high ** (1 / rho) + share * (low ** (1 / rho) - high ** (1 / rho))) ** rho).tolist(), 0.0]


class SecondOrder:
    """dpmpp_2m: x' = r x + (1 - r) D, r = sigma' / sigma, with D extrapolated from the step before.

    Lu et al. 2022, arXiv 2211.01095, alg. 2.
    """

    def __init__(self) -> None:
        self.earlier: Tensor | None = None
        self.log_step = 0.0

    def step(self, x: Tensor, denoised: Tensor, sigma: float, after: float) -> Tensor:
        """The next state."""
        if after == 0:
            return denoised
        log_step, target = math.log(sigma / after), denoised
        if self.earlier is not None:
            share = log_step / (2 * self.log_step)
            target = (1 + share) * denoised - share * self.earlier
        self.earlier, self.log_step = denoised, log_step
        return after / sigma * x - math.expm1(-log_step) * target


@torch.no_grad()
def ask_judge(world: Pocket, ends: Tensor) -> dict[str, np.ndarray]:
    """What the judge sees of every sample: its features [n, 64] and the label that it names [n]."""
    network = demo_files.read_judge()
    rounded = torch.from_numpy(demo_evaluation.to_pixels(world.pictures(ends))).permute(0, 3, 1, 2).float() / 127.5 - 1
    seen = torch.cat([network.features(part) for part in rounded.split(250)])
    return {"judged": seen.half().numpy(), "named": network.out(seen).argmax(1).to(torch.int8).numpy()}


def energy_distances(world: Mixture, ends: Tensor, seed: int) -> dict[str, np.ndarray]:
    """Energy distance of every class to true samples, and the mean distance between true samples."""
    true, other = (world.truth(4 * len(ends), 2 * seed + part) for part in (0, 1))
    distance = [energy_distance(mine, theirs) for mine, theirs in zip(world.by_class(ends), true, strict=True)]
    size = [torch.cdist(one, more).mean() for one, more in zip(true, other, strict=True)]
    return {"energy": torch.stack(distance).numpy(), "size": torch.stack(size).numpy()}


def energy_distance(x: Tensor, y: Tensor) -> Tensor:  # [n, N], [m, N] -> scalar
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, without bias: may fall a little below 0 where the two are alike."""
    within = [torch.cdist(z, z).sum() / (len(z) * (len(z) - 1)) for z in (x, y)]
    return 2 * torch.cdist(x, y).mean() - within[0] - within[1]
