"""Worlds in which the good scales are known: exact mixtures, and trained models with a judge.

A world is blurred by k when its conditional prediction is u + (c - u) / k: the pictures at gamma k are then those at
gamma of the world itself, and so are u, D and gamma delta. So no blurred world is sampled; its scales are multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ...dev.places import ROOT
from ...guidance.mixture import GaussianMixture, make_mixture
from ..train import demo_evaluation, demo_files, train_flow
from ..train.demo_flow import FlowDenoiser, decode

Predictions = Callable[[Tensor, float], tuple[Tensor, Tensor]]  # x, sigma -> uncond, cond
BATCH = 50
BLURS = (0.5, 1.0, 2.0, 4.0)
EXACT_GAMMAS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0)
TRAINED_GAMMAS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
SIDE = 32


class World(Protocol):
    """Somewhere to sample: x = (1 - s) x0 + s eps of a flow, else x = x0 + sigma eps from `highest` to `lowest`.

    gammas: where it is measured. trained: by a judge instead of the truth.
    """

    flow: ClassVar[bool]
    trained: ClassVar[bool]
    highest: ClassVar[float]
    lowest: ClassVar[float]
    gammas: ClassVar[tuple[float, ...]]

    @property
    def name(self) -> str:
        """Of its cells."""
        ...

    @property
    def labels(self) -> int:
        """How many there are."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""
        ...

    @property
    def sigma_data(self) -> float:
        """Root mean square of clean samples."""
        ...

    def starts(self, count: int, seed: int) -> Iterator[tuple[int, Tensor]]:
        """The index of the first sample of every batch, and the batch's start noise."""
        ...

    def predictions(self, first: int, count: int) -> Predictions:
        """Both predictions of `count` samples; the label of sample i is i modulo the labels."""
        ...


@runtime_checkable
class Exact(Protocol):
    """A world of which true samples can be drawn."""

    def truth(self, count: int, seed: int) -> Tensor:
        """As many true samples, whose labels cycle."""
        ...

    def by_class(self, x: Tensor) -> list[Tensor]:
        """Samples whose labels cycle, by class."""
        ...


def start_noise(shape: tuple[int, ...], size: float, count: int, seed: int, dtype: torch.dtype) -> Iterator:
    """Batches of start noise; those of a smaller count are the first of a larger one."""
    for first in range(0, count, BATCH):
        g = torch.Generator().manual_seed(7919 * (seed + 1) + first)
        yield first, size * torch.randn(min(BATCH, count - first), *shape, generator=g, dtype=dtype)


@dataclass
class Mixture:
    """An exact mixture of isotropic Gaussians."""

    name: str
    mixture: GaussianMixture

    flow: ClassVar[bool] = False
    trained: ClassVar[bool] = False
    highest: ClassVar[float] = 80.0
    lowest: ClassVar[float] = 0.002
    gammas: ClassVar[tuple[float, ...]] = EXACT_GAMMAS

    @property
    def labels(self) -> int:
        """Classes of the mixture."""
        return self.mixture.classes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the mixture."""
        return self.mixture.shape

    @property
    def sigma_data(self) -> float:
        """Exact."""
        return self.mixture.rms

    def starts(self, count: int, seed: int) -> Iterator[tuple[int, Tensor]]:
        """In float64."""
        return start_noise(self.shape, self.highest, count, seed, torch.float64)

    def predictions(self, first: int, count: int) -> Predictions:
        """In closed form."""
        labels = torch.arange(first, first + count) % self.labels
        exact = self.mixture.denoised
        return lambda x, sigma: (exact(x, sigma), exact(x, sigma, label=labels))

    def truth(self, count: int, seed: int) -> Tensor:
        """As many true samples, whose labels cycle."""
        g = torch.Generator().manual_seed(104_729 * (seed + 1))
        return self.mixture.sample(count, torch.arange(count) % self.labels, generator=g)

    def by_class(self, x: Tensor) -> list[Tensor]:
        """Samples whose labels cycle, by label."""
        return [x[label :: self.labels].flatten(1) for label in range(self.labels)]


@dataclass
class Spectral:
    """A mixture with the spectrum of pictures, in the basis of the DCT: ten classes of three modes, and an attribute.

    S_u = A / (1 + r^2) with mean 0.2, V = 0.4 S_u / (1 + r^2 / 36), S = S_u - V; M_km = [r <= 6] sqrt(S_u) (0.35 h_k +
    0.2 h_(100 + 3 k + m)); the label of sample b is the class b modulo 10 and the attribute sqrt(V) h_(200 + b mod 60).
    h_n = sqrt(2) cos((n + 1) (12.9898 i + 78.233 j + 37.719 ch + 1)).
    """

    name: str = "spectral"

    labels = 60  # of the pairs of a class and an attribute
    shape = (3 * SIDE * SIDE,)
    flow: ClassVar[bool] = False
    trained: ClassVar[bool] = False
    highest: ClassVar[float] = 20.0
    lowest: ClassVar[float] = 0.02
    gammas: ClassVar[tuple[float, ...]] = EXACT_GAMMAS

    @cached_property
    def sizes(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # r^2, S_u, V, S, each [3072]
        """Variances of the coefficients."""
        i = torch.arange(SIDE, dtype=torch.float64)
        r2 = (i[:, None] ** 2 + i[None] ** 2).expand(3, SIDE, SIDE).flatten()
        whole = 1 / (1 + r2)
        whole = whole * 0.2 / whole.mean()
        attribute = whole * 0.4 / (1 + r2 / 36)
        return r2, whole, attribute, whole - attribute

    @staticmethod
    def field(n: int) -> Tensor:  # -> [3072]
        """h_n."""
        ch, i, j = torch.meshgrid(torch.arange(3.0), torch.arange(SIDE * 1.0), torch.arange(SIDE * 1.0), indexing="ij")
        phase = 12.9898 * i.double() + 78.233 * j.double() + 37.719 * ch.double() + 1
        return (math.sqrt(2) * torch.cos((n + 1) * phase)).flatten()

    @cached_property
    def means(self) -> Tensor:  # -> [10, 3, 3072]
        """Of every class and mode."""
        r2, whole, _, _ = self.sizes
        low = (r2 <= 36) * whole.sqrt()
        rows = [[0.35 * self.field(k) + 0.2 * self.field(100 + 3 * k + m) for m in range(3)] for k in range(10)]
        return low * torch.stack([torch.stack(row) for row in rows])

    @cached_property
    def attributes(self) -> Tensor:  # -> [60, 3072]
        """Of every label."""
        return self.sizes[2].sqrt() * torch.stack([self.field(200 + b) for b in range(self.labels)])

    @property
    def sigma_data(self) -> float:
        """Root mean square of the data."""
        return math.sqrt(float(self.sizes[1].mean() + self.means.square().mean()))

    def starts(self, count: int, seed: int) -> Iterator[tuple[int, Tensor]]:
        """In float64."""
        return start_noise(self.shape, self.highest, count, seed, torch.float64)

    def predictions(self, first: int, count: int) -> Predictions:
        """In closed form; the means of all classes for u, those of a label for c."""
        labels = torch.arange(first, first + count) % self.labels
        _, whole, _, rest = self.sizes
        own = self.means[labels % 10] + self.attributes[labels][:, None]
        everything = self.means.flatten(0, 1)
        return lambda x, sigma: (posterior(x, sigma, everything, whole), posterior(x, sigma, own, rest))

    def truth(self, count: int, seed: int) -> Tensor:
        """As many true samples, whose labels cycle."""
        g = torch.Generator().manual_seed(104_729 * (seed + 1))
        labels, mode = torch.arange(count) % self.labels, torch.randint(3, (count,), generator=g)
        noise = torch.randn(count, 3 * SIDE * SIDE, generator=g, dtype=torch.float64)
        return self.means[labels % 10, mode] + self.attributes[labels] + self.sizes[3].sqrt() * noise

    def by_class(self, x: Tensor) -> list[Tensor]:
        """Samples whose labels cycle, by class, without what their attribute adds."""
        rest = x - self.attributes[torch.arange(len(x)) % self.labels]
        return [rest[k::10] for k in range(10)]


def posterior(x: Tensor, sigma: float, means: Tensor, variance: Tensor) -> Tensor:  # [B, N], [M, N] or [B, M, N], [N]
    """Posterior mean under an equal mixture of Gaussians of one diagonal covariance."""
    total = variance + sigma**2
    dots = torch.einsum("bn,...mn->bm" if means.ndim == 2 else "bn,bmn->bm", x / total, means)
    share = (dots - 0.5 * (means.square() / total).sum(-1)).softmax(dim=1)
    mean = share @ means if means.ndim == 2 else torch.einsum("bm,bmn->bn", share, means)
    return (variance * x + sigma**2 * mean) / total


@dataclass
class Pocket:
    """Pocket, or one of its sisters, in float32.  path: of its file"""

    name: str
    path: Path

    labels = 10
    shape = (3, SIDE, SIDE)
    flow: ClassVar[bool] = False
    trained: ClassVar[bool] = True
    highest: ClassVar[float] = 80.0
    lowest: ClassVar[float] = 0.002
    gammas: ClassVar[tuple[float, ...]] = TRAINED_GAMMAS

    @cached_property
    def network_parts(self) -> tuple[nn.Module, Any]:
        """The network and its sigma_data."""
        network, metadata = demo_files.read_denoiser(self.path)
        return network, float(metadata["gg.sigma_data"])

    @property
    def sigma_data(self) -> float:
        """As the file says: of the training pictures."""
        return self.network_parts[1]

    @cached_property
    def denoise(self) -> demo_evaluation.Denoise:
        """D(x, sigma, y)."""
        return demo_evaluation.Denoiser(*self.network_parts, torch.float32)

    def starts(self, count: int, seed: int) -> Iterator[tuple[int, Tensor]]:
        """Noise of the highest level."""
        return start_noise(self.shape, self.highest, count, seed, torch.float32)

    def predictions(self, first: int, count: int) -> Predictions:
        """Both in one batch."""
        return predict_pair(self.denoise, torch.arange(first, first + count) % self.labels, self.labels)

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

    @property
    def sigma_data(self) -> float:
        """By construction of the latents."""
        return 1.0

    @cached_property
    def denoise(self) -> demo_evaluation.Denoise:
        """D(x, s, y)."""
        return FlowDenoiser(self.network_parts[0], torch.float32)

    def starts(self, count: int, seed: int) -> Iterator[tuple[int, Tensor]]:
        """Pure noise."""
        return start_noise(self.shape, 1.0, count, seed, torch.float32)

    def pictures(self, ends: Tensor) -> Tensor:
        """Decoded."""
        return torch.cat([decode(self.network_parts[1], part) for part in ends.split(250)])


def predict_pair(denoise: demo_evaluation.Denoise, labels: Tensor, null: int) -> Predictions:
    """u and c of a network, evaluated together."""
    both = torch.cat([torch.full_like(labels, null), labels])

    def predictions(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        uncond, cond = denoise(torch.cat([x, x]), torch.full((2 * len(x),), sigma), both).chunk(2)
        return uncond, cond

    return predictions


def pocket_world(name: str, path: Path) -> Pocket:
    """A trained world, of a file of either demo model."""
    return (Flow if "flow" in path.name else Pocket)(name, path)


def exact_worlds() -> dict[str, World]:
    """Mixtures of 2, 32 and 256 dimensions, and the spectral one of 3072."""
    shapes = {"mixture-2": ((2,), 3), "mixture-32": ((2, 4, 4), 4), "mixture-256": ((4, 8, 8), 5)}
    found: dict[str, World] = {
        name: Mixture(name, make_mixture(shape, classes, 3)) for name, (shape, classes) in shapes.items()
    }
    return {**found, "spectral": Spectral()}


def trained_worlds(cache: Path) -> dict[str, Pocket]:
    """The demo models that are there: the pack's own, and the sisters that were trained into the cache."""
    own = {path.stem: path for path in sorted((ROOT / "assets" / "denoisers").glob("*.safetensors"))}
    sisters = {path.parent.parent.name: path for path in sorted(cache.glob("*/denoisers/*.safetensors"))}
    return {name: pocket_world(name, path) for name, path in (own | sisters).items()}
