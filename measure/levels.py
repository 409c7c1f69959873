"""What a network answers about noisy copies of finished samples, summed up.

A sample x is made noisy again at a few levels, in pairs x + sigma n and x - sigma n, and the network is asked for its
plain predictions there: c with the prompt, u without. Coordinates are variance exploding, sigma is noise over signal:
a flow model is asked at (x + sigma n) / (1 + sigma), at the time sigma / (1 + sigma).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..guidance.parts import WHOLE, Packed
from ..guidance.vectors import dot, put_beside

LEVELS = (12.8, 6.4, 3.2, 1.6, 0.8, 0.4, 0.2)  # sigma / sigma_data; descending: a host's hooks only step forward
COARSE = 0.8  # from here up a level says something of the prompt
FINE = 1.6  # up to here a level says how strange a picture is
DRAWS = 4  # pairs of noise at each level
SEED = 20_261  # of that noise

Predict = Callable[[Tensor, float, bool], "Answer"]


class Answer(NamedTuple):
    """Predictions of x at a noise level.

    cond, uncond: [B, ...]; uncond is None where it was not asked for. weight: [B or 1, ...] of each value, such as a
    mask; None: all count.
    """

    cond: Tensor
    uncond: Tensor | None = None
    weight: Tensor | None = None


class Level(NamedTuple):
    """What was answered at one noise level, summed over its draws and over the values of a sample: [B] float64 each.

    sigma: over that of the data. along = sum <x - u, c - u>. length = sum |c - u|^2, both nan where u was not asked.
    error = sum |c - x|^2. expected = sum sigma <n, c - x>, whose mean over n is sigma^2 tr dc/dy: the variance that c
    leaves open (Stein's identity; Tweedie's formula of second order, arXiv 2309.13598).
    """

    sigma: float
    along: Tensor
    length: Tensor
    error: Tensor
    expected: Tensor

    def of(self, rows: Sequence[int]) -> Level:
        """Of some of the samples."""
        return Level(self.sigma, *(v[list(rows)] for v in self[1:]))


def picture_noise(x: Tensor, seed: int) -> Iterator[Tensor]:  # x [B, ...] -> [B, ...], without end
    """Noise by the number of a picture: picture i has the same in every batch, so that two scales are told apart."""
    streams = [torch.Generator().manual_seed(seed * 1_000_003 + i) for i in range(len(x))]
    while True:
        yield put_beside(torch.stack([torch.randn(x.shape[1:], generator=stream) for stream in streams]), x)


def query_levels(
    predict: Predict,
    x: Tensor,
    sigma_data: float,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    levels: Sequence[float] = LEVELS,
    packing: Packed = WHOLE,
) -> list[list[Level]]:
    """The sums of finished samples x [B, ...], of each part at each level.

    predict(y, sigma, both) answers at the noisy y [B, ...]; both: u is needed too. sigma_data: rms of clean data, in
    whose units the levels are. packing: how the parts of a nested latent lie in x.
    """
    noise = picture_noise(x, seed)
    asked = [_ask_level(predict, x, level, sigma_data, [next(noise) for _ in range(draws)], packing)
             for level in sorted(levels, reverse=True)]  # fmt: skip
    return [list(of_part) for of_part in zip(*asked, strict=True)]


def _ask_level(
    predict: Predict, x: Tensor, level: float, sigma_data: float, noise: Sequence[Tensor], packing: Packed
) -> list[Level]:
    sigma, sums = level * sigma_data, torch.zeros(len(packing.names), 4, len(x), dtype=torch.float64)
    for n in (signed for eps in noise for signed in (eps, -eps)):  # antithetic: odd terms cancel
        answer = predict(x + sigma * n, sigma, level >= COARSE)
        weight = torch.ones_like(x) if answer.weight is None else answer.weight.expand_as(x)
        uncond = answer.cond if answer.uncond is None else answer.uncond
        pieces = zip(*map(packing.split, (x, answer.cond, uncond, sigma * n, weight)), strict=True)
        sums += torch.stack([_inner_products(*piece) for piece in pieces])
    if level < COARSE:
        sums[:, :2] = torch.nan
    return [Level(level, *part) for part in sums]


def _inner_products(x: Tensor, cond: Tensor, uncond: Tensor, noise: Tensor, weight: Tensor) -> Tensor:  # -> [4, B]
    push, wrong = weight * (cond - uncond), weight * (cond - x)
    return torch.stack([dot(x - uncond, push), dot(cond - uncond, push), dot(cond - x, wrong), dot(noise, wrong)]).cpu()
