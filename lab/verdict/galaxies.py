"""Galaxies seen by telescopes: score networks that nobody here trained, as a world on which no threshold is set.

The package states no licence, so its weights are unpacked where they are measured and never shipped; installing it
would bring JAX. The networks predict the score of x = ln(flux + 1) / 0.1 under
x_t = exp(-t / 2) x + sqrt(1 - exp(-t)) eps with t up to 10. u: pictures of one survey; c: those of another.

Source of the architecture: MLP-Mixer, Tolstikhin et al. 2021, arXiv 2105.01601.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Conv2d, ConvTranspose2d, LayerNorm, Linear

from ...dev.provision import Wheel
from .worlds import BATCH, Predictions, World, start_noise

WHEEL = Wheel("galaxygrad==0.1.8", "galaxygrad", "10e7121e734eff4a4b39cb9eee4d7711c0c814e7de968645d6a2a927d74085ea")
WEIGHTS = "eqx_{}_ScoreNet{}.eqx"  # of a survey and a side
SURVEYS = ("ZTF", "hsc")  # of u, of c
SIDES = (32, 64)
PATCH, WIDTH, BLOCKS, LAST = 4, 64, 4, 10.0
STEPS, OWN = 25, 200  # of Euler, to the network's own samples; at most so many of these
GAMMAS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 6.0, 8.0)


def arrays_of(path: Path) -> list[Tensor]:
    """The arrays of one network, which stand one after another."""
    file, found = io.BytesIO(path.read_bytes()), []
    while file.tell() < len(file.getbuffer()):
        found.append(torch.from_numpy(np.load(file, allow_pickle=False)))
    return found


class Mixer(nn.Module):
    """One block: patches are mixed in every channel, then channels in every patch; each from a normalised copy."""

    def __init__(self, patches: int):
        super().__init__()
        sizes = (patches, WIDTH)
        self.perceptrons = nn.ModuleList(
            nn.Sequential(Linear(size, 512), nn.ReLU(), Linear(512, size)) for size in sizes
        )
        self.norms = nn.ModuleList(LayerNorm([*shape]) for shape in (sizes[::-1], sizes))

    def forward(self, y: Tensor) -> Tensor:  # [B, WIDTH, patches]
        """Of the same shape."""
        for norm, perceptron in zip(self.norms, self.perceptrons, strict=True):
            y = (y + perceptron(norm(y))).mT
        return y


class Score(nn.Module):
    """The score of a noisy picture x [B, 1, H, W] at a time t."""

    def __init__(self, side: int):
        super().__init__()
        patches = (side // PATCH) ** 2
        self.enter = Conv2d(2, WIDTH, PATCH, stride=PATCH)
        self.leave = ConvTranspose2d(WIDTH, 1, PATCH, stride=PATCH)
        self.blocks = nn.Sequential(*(Mixer(patches) for _ in range(BLOCKS)))
        self.norm = LayerNorm([WIDTH, patches])

    def forward(self, x: Tensor, t: float) -> Tensor:  # [B, 1, H, W]
        """Of the same shape."""
        y = self.enter(torch.cat([x, torch.full_like(x, t / LAST)], dim=1))
        return self.leave(self.norm(self.blocks(y.flatten(2))).reshape(y.shape))

    def fill(self, arrays: list[Tensor]) -> Score:
        """Take the package's arrays, which lie in the order of the layers; the last kernel is turned about."""
        for own, given in zip(self.parameters(), arrays, strict=False):
            own.data = given.reshape(own.shape)
        self.leave.weight.data = self.leave.weight.data.flip(-1, -2)
        return self.eval().requires_grad_(False)


@cache
def network(path: Path, side: int) -> Score:
    """The network of one survey, with its weights."""
    return Score(side).fill(arrays_of(path))


@dataclass(frozen=True)
class Galaxies:
    """Pictures of galaxies of side 32 or 64: x = x0 + sigma eps, sigma^2 = exp(t) - 1.  path: of the weights of c"""

    name: str
    side: int
    path: Path = field(repr=False)

    labels = 1
    flow: ClassVar[bool] = False
    trained: ClassVar[bool] = False
    highest: ClassVar[float] = math.sqrt(math.expm1(LAST))
    lowest: ClassVar[float] = 0.1
    gammas: ClassVar[tuple[float, ...]] = GAMMAS

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a picture."""
        return 1, self.side, self.side

    @property
    def sigma_data(self) -> float:
        """Root mean square of the network's own samples."""
        return float(self.truth(200, 0).square().mean().sqrt())

    def starts(self, count: int, seed: int) -> Iterator[tuple[int, Tensor]]:
        """Noise of the highest level."""
        return start_noise(self.shape, self.highest, count, seed, torch.float32)

    def predictions(self, first: int, count: int) -> Predictions:
        """Of both networks."""
        return lambda x, sigma: (self.denoise(SURVEYS[0], x, sigma), self.denoise(SURVEYS[1], x, sigma))

    def denoise(self, survey: str, x: Tensor, sigma: float) -> Tensor:
        """E[x0 | x] by Tweedie's formula: (x_t + (1 - alpha^2) score) / alpha, x_t = alpha x, alpha = exp(-t / 2)."""
        t = math.log1p(sigma**2)
        alpha = math.exp(-t / 2)
        weights = self.path.with_name(WEIGHTS.format(survey, self.side))
        return x - math.expm1(-t) / alpha * network(weights, self.side)(alpha * x, t)

    def truth(self, count: int, seed: int) -> Tensor:
        """Samples of the network of c itself, at most OWN, without guidance: nobody has better ones."""
        return own_samples(self, min(count, OWN), seed)

    def by_class(self, x: Tensor) -> list[Tensor]:
        """There is one class."""
        return [x.flatten(1)]


@cache
def own_samples(world: Galaxies, count: int, seed: int) -> Tensor:  # -> [count, 1, H, W]
    """Samples of the network of c alone, by Euler."""
    levels = [*torch.linspace(math.log(world.highest), math.log(world.lowest), STEPS).exp().tolist(), 0.0]
    g, ends = torch.Generator().manual_seed(104_729 * (seed + 1)), []
    for part in torch.randn(count, *world.shape, generator=g).split(BATCH):
        x = world.highest * part
        for sigma, after in pairwise(levels):
            clean = world.denoise(SURVEYS[1], x, sigma)
            x = clean + after / sigma * (x - clean)
        ends.append(x)
    return torch.cat(ends)


def galaxy_worlds(folder: Path) -> dict[str, World]:
    """Both sizes, by name.  folder: of the package"""
    paths = {side: folder / WEIGHTS.format(SURVEYS[1], side) for side in SIDES}
    return {f"galaxies-{side}": Galaxies(f"galaxies-{side}", side, path) for side, path in paths.items()}
