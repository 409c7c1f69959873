"""Guided runs of a world, recorded as traces: the same inner products that the pack records inside a sampler."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...guidance.chain import PLAIN, Chain
from ...guidance.predictions import Predictions
from ...guidance.rules.adaptive_projected import AdaptiveProjected
from ...guidance.rules.rescale import Rescale
from ...guidance.run import Run
from ...trace.gram import VECTORS, gram
from ...trace.trace import Trace
from ...verdict.sampler_class import class_of_sampler
from .worlds import World


@dataclass(frozen=True)
class Sampler:
    """A sampler of the host, a schedule, a number of steps, and the rules that guide it."""

    key: str
    name: str
    scheduler: str
    steps: int
    chain: Chain = PLAIN

    @property
    def noisy(self) -> bool:
        """Whether it draws fresh noise."""
        return self.name == "euler_ancestral"

    @property
    def group(self) -> str:
        """The class within which one scale means the same."""
        return class_of_sampler(self.noisy, self.steps)

    def levels(self, world: World) -> Tensor:  # -> [steps + 1] float64, noisiest first, the last is 0
        """Noise levels as the host's schedule has them."""
        if world.flow:
            return torch.linspace(1, 0, self.steps + 1, dtype=torch.float64)
        low, high, share = world.lowest, world.highest, torch.linspace(0, 1, self.steps, dtype=torch.float64)
        rho = 7.0
        even = (math.log(high) + share * (math.log(low) - math.log(high))).exp()
        curved = (high ** (1 / rho) + share * (low ** (1 / rho) - high ** (1 / rho))) ** rho
        return torch.cat([curved if self.scheduler == "karras" else even, torch.zeros(1, dtype=torch.float64)])


SAMPLERS = {
    sampler.key: sampler
    for sampler in (
        Sampler("A", "dpmpp_2m", "karras", 20),
        Sampler("B", "euler_ancestral", "karras", 20),
        Sampler("C", "euler", "normal", 10),
        Sampler("D", "dpmpp_2m", "karras", 10),
        Sampler("F", "euler", "karras", 30),
        Sampler("A-rescale", "dpmpp_2m", "karras", 20, Chain((Rescale(),))),
        Sampler("A-apg", "dpmpp_2m", "karras", 20, Chain((AdaptiveProjected(),))),
    )
}


@dataclass
class Memory:
    """What a multistep sampler remembers: the prediction before, and how far it went."""

    earlier_x0: Tensor | None = None
    step: float = 0.0


def step_of(sampler: Sampler, flow: bool) -> Callable[[Tensor, Tensor, float, float, Memory], tuple[Tensor, float]]:
    """One step of a sampler: x, D, sigma, sigma', memory -> state before noise, size of the noise.

    euler            x' = r x + (1 - r) D, r = sigma' / sigma, in both spaces
    dpmpp_2m         the same with D extrapolated from the step before (Lu et al. 2022, arXiv 2211.01095, alg. 2)
    euler_ancestral  to sigma_down, then noise; on flow the state is rescaled first, so that alpha' is 1 - sigma'
    """
    named = {"euler": _euler, "dpmpp_2m": _second_order, "euler_ancestral": _flow_ancestral if flow else _ancestral}
    return named[sampler.name]


def _euler(x: Tensor, denoised: Tensor, sigma: float, after: float, memory: Memory) -> tuple[Tensor, float]:
    return denoised + after / sigma * (x - denoised), 0.0


def _second_order(x: Tensor, denoised: Tensor, sigma: float, after: float, memory: Memory) -> tuple[Tensor, float]:
    if after == 0:
        return denoised, 0.0
    step, target = math.log(sigma / after), denoised
    if memory.earlier_x0 is not None:
        share = step / (2 * memory.step)
        target = (1 + share) * denoised - share * memory.earlier_x0
    memory.earlier_x0, memory.step = denoised, step
    return after / sigma * x - math.expm1(-step) * target, 0.0


def _ancestral(x: Tensor, denoised: Tensor, sigma: float, after: float, memory: Memory) -> tuple[Tensor, float]:
    up = after * math.sqrt(max(0.0, 1 - (after / sigma) ** 2))
    down = math.sqrt(after**2 - up**2)
    return denoised + down / sigma * (x - denoised), up


def _flow_ancestral(x: Tensor, denoised: Tensor, sigma: float, after: float, memory: Memory) -> tuple[Tensor, float]:
    down = after * after / sigma
    scale = (1 - after) / (1 - down)
    up = math.sqrt(max(0.0, after**2 - (down * scale) ** 2))
    return scale * (denoised + down / sigma * (x - denoised)), up


def record_run(world: World, sampler: Sampler, gamma: float, count: int, seed: int) -> tuple[Tensor, Trace]:
    """Run `count` samples whose labels cycle; -> ends [count, ...] and the trace of all.

    The start noise depends on the seed alone, so it is the same for every scale.
    """
    parts = [
        _run(world, sampler, gamma, x, first, torch.Generator().manual_seed(1_000_003 * (seed + 1) + first))
        for first, x in world.starts(count, seed)
    ]
    ends, records = (list(one) for one in zip(*parts, strict=True))
    return torch.cat(ends), trace_of(world, sampler, gamma, torch.cat(records, dim=1))


def _run(
    world: World, sampler: Sampler, gamma: float, x: Tensor, first: int, draws: torch.Generator
) -> tuple[Tensor, Tensor]:  # -> ends [count, ...], K [steps, count, pairs]
    step, memory, levels = step_of(sampler, world.flow), Memory(), sampler.levels(world).tolist()
    predict, rows, chain = world.predictions(first, len(x)), [], sampler.chain
    state = chain.init(Run(tuple(levels), world.flow))
    for sigma, after in pairwise(levels):
        uncond, cond = predict(x, sigma)
        level = torch.full((len(x),), sigma, dtype=x.dtype)
        signal = 1 - level if world.flow else torch.ones_like(level)
        guided, state = chain.step(state, Predictions(x, level, signal, uncond, cond), gamma)
        delta = cond - uncond
        further = None if chain.is_cfg else guided - (uncond + gamma * delta)
        moved, size = step(x, guided, sigma, after, memory)
        noise = size * torch.randn(x.shape, generator=draws, dtype=x.dtype) if size else None
        rows.append(gram(dict(zip(VECTORS, (uncond, uncond - x, delta, further, moved - x, noise), strict=True))))
        x = moved if noise is None else moved + noise
    return x, torch.stack(rows)


def trace_of(world: World, sampler: Sampler, gamma: float, products: Tensor) -> Trace:
    """The trace of runs of which only the inner products were kept.  products: K [steps, count, pairs]"""
    levels = sampler.levels(world)
    now, after, one = levels[:-1], levels[1:], torch.ones(sampler.steps, dtype=torch.float64)
    steps = {"sigma": now, "sigma_next": after, "gamma": gamma * one, "K": products}
    steps |= {"alpha": 1 - now if world.flow else one, "alpha_next": 1 - after if world.flow else one}
    header = {"vectors": list(VECTORS), "latent": {"shape": list(world.shape)}, "sigma_data": world.sigma_data}
    return Trace(header, steps, ["step"] * sampler.steps)
