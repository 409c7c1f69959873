"""Galaxies seen by telescopes: score networks that nobody here trained, to hold the model's own measure to.

The package states no licence, so its weights are unpacked where they are measured and never shipped; installing it
would bring JAX. The networks predict the score of x = ln(flux + 1) / 0.1 under
x_t = exp(-t / 2) x + sqrt(1 - exp(-t)) eps with t up to 10. Architecture: MLP-Mixer, arXiv 2105.01601.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Conv2d, ConvTranspose2d, LayerNorm, Linear
from torch.nn.functional import avg_pool2d

from ... import library as gg
from ...dev.provision import CACHE, Wheel, unpack
from ...guidance.vectors import flat
from ...library.arena.distances import Moments, energy_distance
from ...library.arena.worlds import TRUE, World, seed_of

WHEEL = Wheel("galaxygrad==0.1.8", "galaxygrad", "10e7121e734eff4a4b39cb9eee4d7711c0c814e7de968645d6a2a927d74085ea")
ADVICE = f"check the network: the weights of {WHEEL.package} are fetched from the package registry"
WEIGHTS = "eqx_{}_ScoreNet{}.eqx"  # of a survey and a side
SURVEYS = {"hsc": "Hyper Suprime-Cam", "ZTF": "Zwicky Transient Facility"}
PATCH, WIDTH, BLOCKS, LAST = 4, 64, 4, 10.0
STEPS = 25
HIGHEST, LOWEST = math.sqrt(math.expm1(LAST)), 0.1  # noise levels, sigma^2 = exp(t) - 1


class Mixer(nn.Module):
    """One block: patches are mixed in every channel, then channels in every patch; each from a normalised copy."""

    def __init__(self, patches: int):
        super().__init__()
        sizes = (patches, WIDTH)
        layers = (nn.Sequential(Linear(size, 512), nn.ReLU(), Linear(512, size)) for size in sizes)
        self.perceptrons = nn.ModuleList(layers)
        self.norms = nn.ModuleList(LayerNorm([*shape]) for shape in (sizes[::-1], sizes))

    def forward(self, y: Tensor) -> Tensor:  # [B, WIDTH, patches]
        """Of the same shape."""
        for norm, perceptron in zip(self.norms, self.perceptrons, strict=True):
            y = (y + perceptron(norm(y))).mT
        return y


class Score(nn.Module):
    """The score of a noisy picture x [B, 1, H, W] at a time t."""

    def __init__(self, path: Path, side: int):
        super().__init__()
        patches = (side // PATCH) ** 2
        self.enter = Conv2d(2, WIDTH, PATCH, stride=PATCH)
        self.leave = ConvTranspose2d(WIDTH, 1, PATCH, stride=PATCH)
        self.blocks = nn.Sequential(*(Mixer(patches) for _ in range(BLOCKS)))
        self.norm = LayerNorm([WIDTH, patches])
        file = io.BytesIO(path.read_bytes())  # its arrays stand one after another, in the order of the layers
        for own in self.parameters():
            own.data = torch.from_numpy(np.load(file, allow_pickle=False)).reshape(own.shape)
        self.leave.weight.data = self.leave.weight.data.flip(-1, -2)  # the package turns the last kernel about
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor, t: float) -> Tensor:  # [B, 1, H, W]
        """Of the same shape."""
        y = self.enter(torch.cat([x, torch.full_like(x, t / LAST)], dim=1))
        return self.leave(self.norm(self.blocks(y.flatten(2))).reshape(y.shape))


class Galaxies:
    """A denoiser whose conditions are surveys.  cond: a key of SURVEYS; None is the other than `guided`"""

    def __init__(self, side: int, guided: str = "hsc"):
        folder = unpack(Path(sys.executable), WHEEL, CACHE / "galaxies", ADVICE)
        self.scores = {name: Score(folder / WEIGHTS.format(name, side), side) for name in SURVEYS}
        self.guided, self.other = guided, next(name for name in SURVEYS if name != guided)
        self.shape = (1, side, side)
        self.facts = {"space": "ve", "sigma_data": 1.0}
        self.facts["sigma_data"] = float(self.draw(1.0, 64, seed=99).square().mean().sqrt())

    def __call__(self, x: Tensor, sigma: float, cond: str | None = None) -> Tensor:
        """E[x0 | x] by Tweedie's formula: (x_t + (1 - alpha^2) score) / alpha, x_t = alpha x, alpha = exp(-t / 2)."""
        t = math.log1p(float(sigma) ** 2)
        alpha = math.exp(-t / 2)
        return x - math.expm1(-t) / alpha * self.scores[cond or self.other](alpha * x, t)

    def draw(self, scale: float, count: int, seed: int = 0, steps: int = STEPS) -> Tensor:
        """Pictures at a scale, by Euler steps."""
        levels = noise_levels(steps)
        noise = torch.randn(count, *self.shape, generator=torch.Generator().manual_seed(seed))

        def guide(x: Tensor, sigma: float) -> Tensor:
            c = self(x, sigma, self.guided)
            return c if scale == 1 else torch.lerp(self(x, sigma), c, scale)

        return gg.sample(guide, HIGHEST * noise, levels)


def noise_levels(steps: int = STEPS) -> list[float]:
    """From the noisiest to 0, evenly in the logarithm."""
    return [*torch.linspace(math.log(HIGHEST), math.log(LOWEST), steps).exp().tolist(), 0.0]


@dataclass(frozen=True)
class OneLabel:
    """A network with two surveys as a denoiser of one label: c is the prediction of `guided`, u of the other."""

    network: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a picture."""
        return self.network.shape

    @property
    def facts(self) -> dict[str, Any]:
        """Of the network."""
        return self.network.facts

    def __call__(self, x: Tensor, sigma: float, label: Sequence[int] | None = None) -> Tensor:  # x [B, 1, H, W]
        """E[x0 | x].  Raises ValueError where a label beside the one is asked for."""
        if label is not None and len(label) == 0:
            raise ValueError("The rule needs another label, and this world has one.")
        return self.network(x, sigma, None if label is None else self.network.guided)


@dataclass(frozen=True, eq=False)
class GalaxyWorld(World):
    """Two networks that nobody here trained: pictures of `guided`, steered away from those of the other survey.

    Nobody knows true galaxies; what a network draws without guidance stands for them.
    """

    name: str = "galaxies"
    about: str = (
        "Two score networks that nobody here trained, of galaxies as two telescopes see them: c is the one, u the "
        "other. There is one label. What c draws at cfg 1 stands for the truth, so guidance can only keep it or leave "
        "it; the question is which rule leaves it least at equal prompt strength."
    )
    many: int = 12
    side: int = 32

    distance_is = (
        "energy distance to 1,000 pictures of plain cfg 1, over the mean distance between these; without bias, so it "
        "may fall below 0"
    )
    right_is = "share that is nearer to pictures of its survey than of the other, by the same distance"

    @property
    def labels(self) -> int:
        """The survey that is wanted."""
        return 1

    @cached_property
    def network(self) -> Any:
        """From its package."""
        return Galaxies(self.side)

    @cached_property
    def denoiser(self) -> OneLabel:
        """Of one label."""
        return OneLabel(self.network)

    @property
    def sigmas(self) -> list[float]:
        """Those on which the networks were trained."""
        return noise_levels(20)

    def draw(self, scale: float) -> Tensor:  # -> [TRUE, 1, H, W]
        """Pictures of the wanted survey (cfg 1) or of the other (cfg 0)."""
        return self.network.draw(scale, TRUE, seed_of("truth", self.name, scale) % 2**31, steps=20)

    @cached_property
    def surveys(self) -> tuple[Tensor, Tensor]:  # two of [TRUE, N]
        """What stands for true pictures of the wanted survey, and of the other."""
        return flat(self.draw(1.0)).double(), flat(self.draw(0.0)).double()

    @cached_property
    def sizes(self) -> tuple[Tensor, Tensor]:  # each []
        """Mean distance between pictures of each survey."""
        own, other = (torch.cdist(rows, rows).sum() / (TRUE * (TRUE - 1)) for rows in self.surveys)
        return own, other

    @cached_property
    def moments(self) -> Moments:
        """Of the wanted survey's pictures in 8 x 8 fields."""
        rows = coarse(self.surveys[0].reshape(TRUE, *self.denoiser.shape))
        return Moments(rows.mean(dim=0, keepdim=True), torch.cov(rows.T))

    def see(self, ends: Tensor) -> dict[str, Tensor]:
        """Features are means of 8 x 8 fields; far: mean distance of each to pictures of its survey."""
        rows = flat(ends).double()
        own, other = (torch.cdist(rows, drawn).mean(dim=1, keepdim=True) for drawn in self.surveys)
        is_other = own - self.sizes[0] / 2 > other - self.sizes[1] / 2
        return {"features": coarse(ends.double()), "named": is_other[:, 0].long(), "far": own}

    def distance(self, seen: Mapping[str, Tensor], times: Tensor) -> Tensor:
        """Energy distance."""
        return energy_distance(seen["far"], seen["apart"], self.sizes[0][None], times)


def coarse(pictures: Tensor) -> Tensor:  # [B, 1, H, W] -> [B, 64]
    """Means of 8 x 8 fields."""
    return flat(avg_pool2d(pictures, pictures.shape[-1] // 8))
