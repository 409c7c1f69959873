"""One cell of the measurements: a world, a sampler, a seed and a scale. Kept in the cache, so that nothing runs twice.

A cell holds numbers of runs, not verdicts: inner products, and what the judge or the truth says of the ends. Features
of batches of one label are read off them when the cell is; objectives, bands and odds are made by `odds.py`.
"""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ...dev.places import ROOT
from ..sources import kept, origin
from .batches import features
from .runs import SAMPLERS, Sampler, trace_of
from .sampling import measure
from .worlds import World

SIZES = (1, 4, 8)  # samples of a batch
MOST = 240  # batches of each size whose features are kept
CACHE = ROOT / ".cache" / "verdict"
SAMPLING = Path(inspect.getfile(measure))


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
        """Where it is kept: under the checksums of the code that samples, of the world's code, and of its weights."""
        name = f"{self.sampler.key}-{self.seed}-{self.gamma:g}-{self.count}.npz"
        weights, code = getattr(self.world, "path", None), Path(inspect.getfile(type(self.world)))
        world = f"{self.world.name}-{origin(code)}" + (f"-{_digest(weights)}" if weights else "")
        return self.folder / "cells" / origin(SAMPLING) / world / name

    def measure(self) -> dict[str, np.ndarray]:
        """What it holds, and in place of the inner products of so many `recorded` samples the features f1, f4, f8
        [batches, ROW] of batches of one label; measured first if nobody did.
        """
        held = kept(self.path, lambda: measure(self.world, self.sampler, self.gamma, self.count, self.seed))
        trace = trace_of(self.world, self.sampler, self.gamma, torch.from_numpy(held.pop("K")).double())
        held["recorded"] = np.array(trace.batch)
        return held | {f"f{size}": features(trace, self.world.labels, size, MOST).numpy() for size in SIZES}


@cache
def _digest(weights: Path) -> str:
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
