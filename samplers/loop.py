"""The sampling loop: a generator that yields every state, so that progress, previews and recording are its callers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from .steps import Level, Step, renoise

MASK63 = (1 << 63) - 1
GOLDEN = 0x9E3779B97F4A7C15  # odd multiplier of splitmix64: spreads neighbouring seeds over all bits


@dataclass(frozen=True)
class State:
    """One step of a run: x at level `now`, the prediction D there, the step, and the state after it.

    x, denoised, x_next: [B, ...]. step, x_next: None while the step has not been taken. A step back to a noisier level
    asks for no prediction; its D is that of the step before.
    back: it leads to a level from which the step is taken again.
    """

    index: int
    x: Tensor
    denoised: Tensor
    now: Level
    then: Level
    step: Step | None = None
    x_next: Tensor | None = None
    back: bool = False


@dataclass(frozen=True)
class Recurrence:
    """Steps that are taken several times, the state made as noisy as before in between (self-recurrence, time travel).

    times: how often. start, end: shares of the run's steps between which that holds; 0 is the first step, 1 the last.
    """

    times: int = 1
    start: float = 0.0
    end: float = 1.0

    def of(self, index: int, steps: int) -> int:
        """How often step `index` of so many is taken."""
        share = index / steps
        return self.times if self.start <= share and (share < self.end or self.end >= 1) else 1

    def count(self, steps: int) -> int:
        """Steps of such a run, those back to a noisier level included."""
        return sum(2 * self.of(i, steps) - 1 for i in range(steps))


ONCE = Recurrence()


def run(
    denoise: Callable,
    x: Tensor,
    levels: list[Level],
    step: Callable,
    noise: Callable,
    recurrence: Recurrence = ONCE,
) -> Iterator[State]:
    """Sample from levels[0] to levels[-1], yielding each state twice: predicted (step is None), then stepped.

    denoise(x, level) -> D. step(x, D, now, then, eps) -> Step. noise(now, then) -> eps, asked for only where the next
    level is noisy. Before a step is taken again x' is made as noisy as x was, a step of its own. x: [B, ...]. A
    consumer that stops iterating stops the run.
    Source of the recurrence: Bansal et al. 2023, arXiv 2302.07121, alg. 1; Yu et al. 2023, arXiv 2303.09833, alg. 2.
    """
    for i, (now, then) in enumerate(pairwise(levels)):
        for left in reversed(range(recurrence.of(i, len(levels) - 1))):
            denoised = denoise(x, now)
            x = yield from _take_step(State(i, x, denoised, now, then), step, noise)
            if left:
                x = yield from _take_step(State(i, x, denoised, then, now, back=True), renoise, noise)


def _take_step(state: State, step: Callable, noise: Callable) -> Generator[State, None, Tensor]:
    """A state before its step and after it; returns where it leads."""
    yield state
    eps = noise(state.now, state.then) if state.then.sigma > 0 else torch.zeros_like(state.x)
    taken = step(state.x, state.denoised, state.now, state.then, eps)
    x_next = state.x + taken.move + taken.noise
    yield replace(state, step=taken, x_next=x_next)
    return x_next


def item_noise(x: Tensor, seed: int) -> Callable[[], Tensor]:  # x [B, ...] -> () -> eps [B, ...]
    """Noise of which each batch item owns its stream: item i draws the same alone as in any batch.

    The stream is seeded by the run's seed and by the item's own starting state, so neither its place in the batch nor
    its neighbours matter, and it is independent of the starting noise drawn from the bare seed.
    """
    streams = [torch.Generator().manual_seed(_mix_seed(seed, item)) for item in x]

    def draw() -> Tensor:
        items = [torch.randn(x.shape[1:], generator=g) for g in streams]
        eps = torch.stack(items) if items else torch.empty(x.shape)
        return eps.to(device=x.device, dtype=x.dtype, non_blocking=x.is_cuda)

    return draw


def step_noise(x: Tensor, seed: int) -> Callable[..., Tensor]:  # x [B, ...] -> (shape, *places) -> eps [B, *shape]
    """Noise that depends on the run, the item and the places of a draw alone: asked for again, it is the same.

    Items as in `item_noise`, with other streams. places: whole numbers that tell draws apart, such as the step.
    """
    keys = [_mix_seed(seed, item) for item in x]

    def draw(shape: Sequence[int], *places: int) -> Tensor:
        streams = [torch.Generator().manual_seed(_mix_places(key, places)) for key in keys]
        items = [torch.randn(*shape, generator=stream) for stream in streams]
        return torch.stack(items) if items else torch.empty(0, *shape)

    return draw


def _mix_places(key: int, places: tuple[int, ...]) -> int:
    for place in places:
        key = (key + place + 1) * GOLDEN & MASK63
    return key


def _mix_seed(seed: int, item: Tensor) -> int:
    bits = item.detach().float().cpu().contiguous().view(torch.int32).long()
    places = torch.arange(1, bits.numel() + 1)
    return ((seed + 1) * GOLDEN + int((bits.flatten() * places).sum())) & MASK63
