"""A synthetic run over which anybody's rule can be played: predictions of six noise levels, with and without a host."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .chain import Chain
from .predictions import Predictions
from .run import Run
from .vectors import wide

GAMMA = 3.0
BATCH, CHANNELS, PLACES = 3, 4, 64
LEVELS = (14.0, 6.0, 3.0, 1.5, 0.7, 0.3)  # sigma / alpha of the steps
SIDES = {3: (64,), 4: (8, 8), 5: (4, 4, 4)}  # of one picture of 64 places, by rank
RATIOS = {"ve": lambda n: (n, 1.0), "vp": lambda n: (n / math.hypot(n, 1), 1 / math.hypot(n, 1))}
RATIOS |= {"flow": lambda n: (n / (1 + n), 1 / (1 + n))}  # noise over signal -> sigma, alpha


def extra_of(rule: Any) -> tuple[str, ...]:
    """Names of the further predictions that a rule reads."""
    return tuple(rule.sources) if isinstance(rule, Chain) else tuple(getattr(rule, "extra", ()))


def steps_of(rule: Any, space: str = "ve", rank: int = 4, seed: int = 0, equal: bool = False) -> list[Predictions]:
    """Predictions of a synthetic run, float32, within -1 .. 1, the same numbers in every space and rank.

    equal: all predictions of a step are c.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.randn(BATCH, CHANNELS, *SIDES[rank], generator=generator).tanh()

    clean, eps, push, away = 0.5 * draw(), 1.5 * draw(), draw(), draw()
    others = {name: clean + 0.3 * draw() for name in extra_of(rule)}
    steps = []
    for i, ratio in enumerate(LEVELS):
        sigma, alpha = RATIOS[space](ratio)
        certain = ratio / (1 + ratio)  # the less noise, the less the condition has to say
        cond = clean + certain * (0.2 * push + 0.03 * i * draw())
        uncond = clean + certain * (0.1 * away - 0.2 * push + 0.03 * i * draw())
        x = alpha * clean + sigma * eps
        named = {"uncond": uncond, **others}
        named = dict.fromkeys(named, cond) if equal else named
        level, signal = (torch.full((BATCH,), value) for value in (sigma, alpha))
        steps.append(Predictions(x, level, signal, named.pop("uncond"), cond, named))
    return steps


def play(
    rule: Any, steps: list[Predictions], gamma: float = GAMMA, levels: tuple[float, ...] | None = None
) -> list[Tensor]:
    """Guided predictions of one run over these steps, as a sampler would ask for them.

    levels: the whole schedule, where the steps are a part of it.
    """
    state = rule.init(run_of(steps, levels))
    results = []
    for p in steps:
        if isinstance(rule, Chain):
            guided, state = rule.step(state, *query_chain(rule, state, p, gamma))
        else:
            guided, state = rule.step(state, p, gamma)
        results.append(guided)
    return results


def run_of(steps: list[Predictions], levels: tuple[float, ...] | None = None) -> Run:
    """The run of these steps; levels: the whole schedule, where they are a part of it."""
    sigmas = tuple(float(p.sigma[0]) for p in steps)
    last = 0.0 if levels is None else levels[levels.index(sigmas[-1]) + 1]
    flow = bool(torch.isclose(steps[0].alpha + steps[0].sigma, torch.ones(())).all())
    return Run((*sigmas, last), flow)


def query_chain(chain: Chain, state: Any, p: Predictions, gamma: float) -> tuple[Predictions, float]:
    """The predictions that a chain asks for at this step, no other, and the scale in force."""
    sigma = float(p.sigma[0])
    gamma = chain.scale(state, sigma, gamma)
    needs = chain.needs(state, sigma, gamma)
    extra = {name: value for name, value in p.extra.items() if name in needs}
    return replace(p, uncond=p.uncond if "uncond" in needs else None, extra=extra), gamma


def map_tensors(p: Predictions, change: Callable[[Tensor], Tensor], numbers: Callable[[Tensor], Tensor] | None = None):
    """Predictions with every tensor of the sample's shape changed, and sigma and alpha by `numbers`."""
    numbers = numbers or (lambda value: value)
    return replace(p.map(change), sigma=numbers(p.sigma), alpha=numbers(p.alpha))


def deviation(results: list[Tensor], right: list[Tensor]) -> float:
    """Largest difference over the largest number of the right answer, over all steps; inf for what is not finite."""
    if [tuple(v.shape) for v in results] != [tuple(v.shape) for v in right]:
        return math.inf
    off = max(float((wide(a) - wide(b)).abs().max() / wide(b).abs().max()) for a, b in zip(results, right, strict=True))
    return off if math.isfinite(off) else math.inf


def plain_cfg(steps: list[Predictions], gamma: float) -> list[Tensor]:
    """Classifier-free guidance, written out."""
    return [u + gamma * (p.cond - u) for p in steps if (u := p.uncond) is not None]
