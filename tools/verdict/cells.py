"""One cell of the measurements: a world, a sampler, a seed and a scale. Kept in the cache, so that nothing runs twice.

A cell holds numbers of runs, not verdicts: features of batches of one label, and what the judge or the truth says of
the ends. Objectives, bands and odds are made of cells by `odds.py`, in seconds.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..docs.sources import origin
from ..places import ROOT
from ..train.demo_evaluation import to_pixels
from .runs import SAMPLERS, Sampler, features, recorded
from .worlds import World, judge

SIZES = (1, 4, 8)  # samples of a batch
MOST = 240  # batches of each size whose features are kept
ENDS = 400  # final samples that are kept


CACHE = ROOT / ".cache" / "verdict"


@dataclass(frozen=True)
class Plan:
    """What to measure of a world."""

    samplers: tuple[str, ...]
    seeds: tuple[int, ...] = (0, 1)
    count: int = 400
    gammas: tuple[float, ...] | None = None  # None: the world's own

    def cells(self, world: World, folder: Path) -> list[Cell]:
        """Every cell, the usual sampler first."""
        gammas = self.gammas or world.gammas
        return [
            Cell(world, SAMPLERS[key], seed, gamma, self.count, folder)
            for seed in self.seeds
            for key in self.samplers
            for gamma in gammas
        ]


@dataclass(frozen=True)
class Cell:
    """A world, a sampler, a seed and a scale; count: samples."""

    world: World
    sampler: Sampler
    seed: int
    gamma: float
    count: int
    folder: Path

    @property
    def path(self) -> Path:
        """Where it is kept: under the checksum of the code that measures it, and of the world's weights."""
        name = f"{self.sampler.key}-{self.seed}-{self.gamma:g}-{self.count}.npz"
        weights = getattr(self.world, "path", None)
        world = f"{self.world.name}-{_digest(weights)}" if weights else self.world.name
        return self.folder / "cells" / origin(Path(__file__)) / world / name

    def measured(self) -> dict[str, np.ndarray]:
        """What it holds; measured first if nobody did."""
        if not self.path.exists():
            found = measure(self.world, self.sampler, self.gamma, self.count, self.seed)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_suffix(f".{os.getpid()}.partial.npz")
            np.savez_compressed(partial, **found)
            partial.replace(self.path)
        with np.load(self.path) as stored:
            return dict(stored)


@cache
def _digest(weights: Path) -> str:
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:12]


def measure(world: World, sampler: Sampler, gamma: float, count: int, seed: int) -> dict[str, np.ndarray]:
    """Sample and look.

    count: samples. f1, f4, f8: [batches, 4] features of batches of that many samples of one label. Of trained worlds
    judged [n, 64], named [n], clipped [n], and ends, the first samples in half precision; of exact ones the energy
    distance of every class, and the distance between true samples.
    """
    ends, trace = recorded(world, sampler, gamma, count, seed)
    found = {f"f{size}": features(trace, world.labels, size, MOST).float().numpy() for size in SIZES}
    found["count"] = np.array(len(ends))
    return found | (judged(world, ends) if world.trained else compared(world, ends, seed))


@torch.no_grad()
def judged(world: World, ends: Tensor) -> dict[str, np.ndarray]:
    """What the judge sees: its features, its label, and the share of clipped values of every sample."""
    pictures, network = world.pictures(ends), judge()
    rounded = torch.from_numpy(to_pixels(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    seen = torch.cat([network.features(part) for part in rounded.split(250)])
    clipped = (pictures.abs() > 1).flatten(1).double().mean(1)
    return {
        "judged": seen.half().numpy(),
        "named": network.out(seen).argmax(1).to(torch.int8).numpy(),
        "clipped": clipped.float().numpy(),
        "ends": ends[:ENDS].half().numpy(),
    }


def compared(world: World, ends: Tensor, seed: int) -> dict[str, np.ndarray]:
    """Energy distance of every class to true samples, and the mean distance between true samples."""
    true, other = (world.by_class(world.truth(4 * len(ends), 2 * seed + part)) for part in (0, 1))
    pairs = list(zip(world.by_class(ends), true, other, strict=True))
    distance = [energy_distance(mine, theirs) for mine, theirs, _ in pairs]
    size = [torch.cdist(theirs, more).mean() for _, theirs, more in pairs]
    return {"energy": torch.stack(distance).numpy(), "size": torch.stack(size).numpy()}


def energy_distance(x: Tensor, y: Tensor) -> Tensor:  # [n, N], [m, N] -> scalar
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, without bias: may fall a little below 0 where the two are alike."""
    within = [torch.cdist(z, z).sum() / (len(z) * (len(z) - 1)) for z in (x, y)]
    return 2 * torch.cdist(x, y).mean() - within[0] - within[1]
