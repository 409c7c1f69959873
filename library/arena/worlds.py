"""Where rules are compared: exact mixtures, whose truth is known, and the demo models, whose pictures a judge sees.

A world draws picture i with label i mod K, from noise of its own. Noise and mixtures follow the release, so that no
rule is tuned to those of the table that it will stand in.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...files.included import ASSETS, included_weights
from ...files.safetensors import read_safetensors
from ...guidance.mixture import GaussianMixture, make_mixture
from ...guidance.vectors import flat
from ...models.classifiers.files import load_classifier
from ...sweeps.cells import pack_version
from ..denoisers import ExactDenoiser, NetworkDenoiser, load_denoiser
from ..sampling import karras
from .distances import Moments, energy_distance, frechet_by_label

STEPS, HIGHEST = 20, 80.0
JUDGE = "pocket-judge-1"
STATISTICS = ASSETS / "statistics" / f"{JUDGE}.safetensors"
TRUE = 1000  # samples of every label that stand for the truth
AT_ONCE = 100  # pictures that a network takes in one batch


release = cache(pack_version)


def seed_of(*words: object) -> int:
    """A seed that follows the release and some words."""
    return int(hashlib.sha256("/".join(map(str, (release(), *words))).encode()).hexdigest()[:12], 16)


@dataclass(frozen=True, eq=False)
class World(ABC):
    """A denoiser with K labels, and what is known of how its samples should be.

    about: in a sentence. many: pictures of a label for each that is asked for; exact worlds cost little.
    """

    name: str
    about: str
    many: int = 1

    distance_is: ClassVar[str]  # in words, with its source
    right_is: ClassVar[str]

    @property
    @abstractmethod
    def denoiser(self) -> Any:
        """As for `record`; its condition is a list of labels."""

    @property
    @abstractmethod
    def labels(self) -> int:
        """K."""

    @abstractmethod
    def see(self, ends: Tensor) -> dict[str, Tensor]:
        """What is known of finished samples: features [B, F], the label that is named of each [B], and more."""

    @abstractmethod
    def distance(self, seen: Mapping[str, Tensor], times: Tensor) -> Tensor:  # times [D, S, K] -> [D]
        """How far samples are from the true ones, by label; less is better.  times: how often each sample counts"""

    @property
    @abstractmethod
    def moments(self) -> Moments:
        """Of the features of true samples."""

    @property
    def flow(self) -> bool:
        """Whether x = (1 - sigma) x0 + sigma eps."""
        return self.denoiser.facts["space"] == "flow"

    @property
    def sigmas(self) -> list[float]:
        """Noise levels of a run."""
        return torch.linspace(1, 0, STEPS + 1).tolist() if self.flow else karras(STEPS, 0.02, HIGHEST)

    def noise(self, first: int, count: int) -> Tensor:  # -> [count, ...]
        """The start of pictures by their numbers."""
        streams = [torch.Generator().manual_seed(seed_of("noise", self.name, first + i)) for i in range(count)]
        return self.sigmas[0] * torch.stack([torch.randn(self.denoiser.shape, generator=one) for one in streams])


class Sloppy:
    """The best denoiser of a mixture that labels allow of which a share is drawn anew; the exact one where none is."""

    decoder = None

    def __init__(self, mixture: GaussianMixture, wrong: float):
        self.mixture, self.wrong, self.shape = mixture, wrong, mixture.shape
        self.facts = ExactDenoiser(mixture).facts

    def __call__(self, x: Tensor, sigma: float, label: Any = None) -> Tensor:  # x [B, ...] -> [B, ...]
        """The posterior mean: of the label as far as it is right at this x, else of all."""
        if label is None:
            return self.mixture.denoised(x, sigma)
        labels, density = torch.as_tensor(label), self.mixture.log_prob
        given = self.mixture.denoised(x, sigma, label=labels)
        if not self.wrong:
            return given
        odds = math.log(1 / self.wrong - 1) + density(x, sigma, label=labels) - density(x, sigma)
        return torch.lerp(self.mixture.denoised(x, sigma), given, odds.sigmoid().reshape(-1, *(1,) * (x.ndim - 1)))


@dataclass(frozen=True, eq=False)
class ExactWorld(World):
    """A mixture whose denoiser is exact, or the best that labels allow of which a share is wrong.

    The truth is the mixture with its right labels.
    """

    shape: tuple[int, ...] = (1, 4, 4)
    classes: int = 4
    wrong: float = 0.0

    distance_is = (
        "energy distance to true samples of each label, over the mean distance between these (Szekely and Rizzo 2013, "
        "Energy statistics; recalled, not checked); without bias, so it may fall below 0"
    )
    right_is = "share that the exact classifier gives to its label"

    @cached_property
    def mixture(self) -> GaussianMixture:
        """Of this release."""
        return make_mixture(self.shape, self.classes, seed_of("mixture", self.name))

    @cached_property
    def denoiser(self) -> Any:
        """Exact, or sloppy."""
        return Sloppy(self.mixture, self.wrong)

    @property
    def labels(self) -> int:
        """Of the mixture."""
        return self.classes

    @cached_property
    def true(self) -> Tensor:  # [K, TRUE, N]
        """True samples of every label."""
        stream = torch.Generator().manual_seed(seed_of("truth", self.name))
        labels = torch.arange(self.classes).repeat_interleave(TRUE)
        return flat(self.mixture.sample(len(labels), labels, stream)).reshape(self.classes, TRUE, -1)

    @cached_property
    def size(self) -> Tensor:  # [K]
        """Mean distance between true samples of a label."""
        return torch.cdist(self.true, self.true).sum(dim=(1, 2)) / (TRUE * (TRUE - 1))

    @cached_property
    def moments(self) -> Moments:
        """Exact: mean of each label, and covariance within, averaged over the labels."""
        mixture, rows = self.mixture, flat(self.mixture.means)
        members = [(mixture.labels == label).nonzero()[:, 0] for label in range(self.classes)]
        shares = [mixture.log_weights[of].softmax(dim=0) for of in members]
        means = torch.stack([share @ rows[of] for of, share in zip(members, shares, strict=True)])
        within = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
        for of, share, mean in zip(members, shares, means, strict=True):
            away = rows[of] - mean
            within += (share[:, None] * away).mT @ away + (share @ mixture.variances[of]) * torch.eye(len(within))
        return Moments(means, within / self.classes)

    def see(self, ends: Tensor) -> dict[str, Tensor]:
        """Features are the values; far: mean distance of each to true samples of its label."""
        rows = flat(ends).double()
        far = [torch.cdist(rows[k :: self.classes], true).mean(dim=1) for k, true in enumerate(self.true)]
        named = self.mixture.label_log_prob(ends.double(), 0.0).argmax(dim=1)
        return {"features": rows, "named": named, "far": torch.stack(far, dim=1)}

    def distance(self, seen: Mapping[str, Tensor], times: Tensor) -> Tensor:
        """Energy distance."""
        return energy_distance(seen["far"], seen["apart"], self.size, times)


@dataclass(frozen=True, eq=False)
class JudgedWorld(World):
    """A demo model; `pocket-judge-1`, which never guides, says what its pictures show."""

    distance_is = (
        "class-wise Frechet distance between the judge's features of the pictures and those of 2,500 real ones: mean "
        "squared distance of the means of a label, and Frechet distance of what varies within labels (arXiv "
        "1706.08500, by label)"
    )
    right_is = "share in which the judge sees the label"

    @cached_property
    def denoiser(self) -> NetworkDenoiser:
        """From its file."""
        return load_denoiser(self.name)

    @property
    def labels(self) -> int:
        """Those that it learned."""
        return len(self.denoiser.labels)

    @cached_property
    def judge(self) -> Any:
        """The network."""
        return load_classifier(included_weights("classifiers", JUDGE) or JUDGE)[0]

    @cached_property
    def moments(self) -> Moments:
        """Of 2,500 real pictures that no model learned from."""
        return read_moments(STATISTICS)

    @torch.no_grad()
    def see(self, ends: Tensor) -> dict[str, Tensor]:
        """Of the pictures as a file holds them, in 8 bits."""
        decode: Callable[[Tensor], Tensor] = self.denoiser.decoder or (lambda x: x)
        parts = [round_to_bytes(decode(part)) for part in ends.split(AT_ONCE)]
        features = torch.cat([self.judge.features(part) for part in parts])
        return {"features": features, "named": self.judge.out(features).argmax(dim=1)}

    def distance(self, seen: Mapping[str, Tensor], times: Tensor) -> Tensor:
        """Class-wise Frechet distance."""
        return frechet_by_label(seen["features"], self.moments, times)


def round_to_bytes(pictures: Tensor) -> Tensor:  # [B, 3, H, W] in -1 .. 1 -> the same
    """Pictures in 256 steps."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def read_moments(file: Path) -> Moments:
    """Moments of real pictures, as the judge sees them."""
    tensors, _ = read_safetensors(file)
    return Moments(tensors["class_means"].double(), tensors["within"].double())


def worlds() -> dict[str, World]:
    """Every world by its name, those that cost least first."""
    sloppy = "Of {:.0%} of the labels that its network learned from, each was drawn anew; the network is the best that "
    sloppy += "such labels allow. So guidance has something to mend."
    listed = (
        ExactWorld(
            "exact", "The network is exact and its labels are right: there is nothing for guidance to mend.", 12
        ),
        ExactWorld("sloppy-10", sloppy.format(0.1), 12, wrong=0.1),
        ExactWorld("sloppy-30", sloppy.format(0.3), 12, wrong=0.3),
        JudgedWorld("pocket-flow-1", "A demo model of latents, ten labels."),
        JudgedWorld("pocket-1", "A demo model of pixels, ten labels."),
    )
    return {world.name: world for world in listed}
