"""The sampling loop: a generator that yields every state, so that progress, previews and recording are its callers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .steps import Level, Step

MASK63 = (1 << 63) - 1
GOLDEN = 0x9E3779B97F4A7C15  # odd multiplier of splitmix64: spreads neighbouring seeds over all bits


@dataclass(frozen=True)
class State:
    """One step of a run: x at level `now`, the prediction D there, the step, and the state after it.

    x, denoised, x_next: [B, ...]. step, x_next: None while the step has not been taken.
    """

    index: int
    x: Tensor
    denoised: Tensor
    now: Level
    then: Level
    step: Step | None = None
    x_next: Tensor | None = None


def run(denoise: Callable, x: Tensor, levels: list[Level], step: Callable, noise: Callable) -> Iterator[State]:
    """Sample from levels[0] to levels[-1], yielding each state twice: predicted (step is None), then stepped.

    denoise(x, level) -> D. step(x, D, now, then, eps) -> Step. noise(now, then) -> eps, asked for only where the next
    level is noisy. x: [B, ...]. A consumer that stops iterating stops the run.
    """
    for i, (now, then) in enumerate(pairwise(levels)):
        denoised = denoise(x, now)
        yield State(i, x, denoised, now, then)
        eps = noise(now, then) if then.sigma > 0 else torch.zeros_like(x)
        taken = step(x, denoised, now, then, eps)
        x_next = x + taken.move + taken.noise
        yield State(i, x, denoised, now, then, taken, x_next)
        x = x_next


def item_noise(x: Tensor, seed: int) -> Callable[[], Tensor]:  # x [B, ...] -> () -> eps [B, ...]
    """Noise of which each batch item owns its stream: item i draws the same alone as in any batch.

    The stream is seeded by the run's seed and by the item's own starting state, so neither its place in the batch nor
    its neighbours matter, and it is independent of the starting noise drawn from the bare seed.
    """
    streams = [torch.Generator().manual_seed(_mixed(seed, item)) for item in x]

    def draw() -> Tensor:
        eps = torch.stack([torch.randn(x.shape[1:], generator=g) for g in streams])
        return eps.to(device=x.device, dtype=x.dtype)

    return draw


def _mixed(seed: int, item: Tensor) -> int:
    bits = item.detach().float().cpu().contiguous().view(torch.int32).long()
    places = torch.arange(1, bits.numel() + 1)
    return ((seed + 1) * GOLDEN + int((bits.flatten() * places).sum())) & MASK63
