"""Worlds on which no threshold of the alarm is set: pictures of very different lengths, drawn or seen by telescopes.

The longest guided prediction of a run was once divided by the picture that the run ends in. That is a measure of
guidance only where all pictures are about as long as each other, as in the worlds that the thresholds come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...guidance.mixture import GaussianMixture
from .worlds import Mixture, World

SHAPE = (1, 8, 8)
CLASSES, LOOKS = 4, 6  # of every class, at each of LEVELS
LEVELS = 8
DARKEST, BRIGHTEST = 0.02, 2.0
NOISE = 0.1  # of a picture, in units of its brightness
PAPER, INK = 0.02, 0.3  # noise of what is drawn in a few lines, and of what is nearly white


@dataclass
class Unseen(Mixture):
    """An exact mixture in which pictures differ in length.  mixture: made by `make`"""

    mixture: GaussianMixture = field(init=False)
    make: Callable[[], GaussianMixture]

    def __post_init__(self) -> None:
        self.mixture = self.make()


def dark() -> GaussianMixture:
    """Zero is black, as in telescopes and spectrograms: the same spots at brightnesses from 0.02 to 2."""
    spots, labels = _looks(_spots)
    levels = torch.linspace(math.log(DARKEST), math.log(BRIGHTEST), LEVELS, dtype=torch.float64).exp()
    means = (levels[:, None, None, None, None] * spots).flatten(0, 1)
    return _mixture(means, (NOISE * levels).repeat_interleave(len(spots)), labels.repeat(LEVELS))


def bright() -> GaussianMixture:
    """Nearly white, 1 of -1 .. 1, and one look in LOOKS black with spots; with the signs turned it is nearly black."""
    spots, labels = _looks(_spots)
    white = (torch.arange(len(spots)) % LOOKS > 0).double()[:, None, None, None]
    means = white * (1 - 0.2 * spots) + (1 - white) * (0.2 * spots)
    return _mixture(means, torch.full((len(means),), PAPER, dtype=torch.float64), labels)


def sparse() -> GaussianMixture:
    """Line drawings and masks: zero but for 1 to 2^(LOOKS - 1) values of 1; a class is the line where they lie."""
    lines, labels = _looks(_lines)
    return _mixture(lines, torch.full((len(lines),), PAPER, dtype=torch.float64), labels)


def _looks(draw: Callable[[int, int], Tensor]) -> tuple[Tensor, Tensor]:  # -> [M, 1, 8, 8], [M]
    labels = torch.arange(CLASSES).repeat_interleave(LOOKS)
    return torch.stack([draw(int(k), n % LOOKS) for n, k in enumerate(labels)])[:, None], labels


def _spots(label: int, look: int) -> Tensor:
    """A round spot: the class says where, the look how wide it is."""
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in SHAPE[1:]), indexing="ij")
    row, column = 2 + 3.5 * (label // 2), 2 + 3.5 * (label % 2)
    return torch.exp(-((y - row).square() + (x - column).square()) / (1 + look) ** 2)


def _lines(label: int, look: int) -> Tensor:
    """2^look values in a row from the edge where the class begins."""
    line = torch.zeros(SHAPE[1] * SHAPE[2], dtype=torch.float64)
    line[(16 * label + torch.arange(2**look)) % len(line)] = 1.0
    return line.reshape(SHAPE[1:])


def _mixture(means: Tensor, deviations: Tensor, labels: Tensor) -> GaussianMixture:
    return GaussianMixture(means, deviations.square(), torch.zeros_like(deviations), labels)


def made_worlds() -> dict[str, World]:
    """The mixtures, by name."""
    return {make.__name__: Unseen(make.__name__, make) for make in (dark, bright, sparse)}
