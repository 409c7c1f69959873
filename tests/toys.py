"""Predictions with known numbers, and one step of a rule on them; conversions between spaces, item by item."""

from dataclasses import replace
from typing import Any

import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.run import Run

FAMILIES = ("ve", "flow", "vp")
SHAPES = [(2, 3, 5), (2, 3, 4, 6), (2, 2, 3, 4, 2)]
RUN = Run((8.0, 4.0, 2.0, 1.0, 0.0))
FLOW_RUN = Run((1.0, 0.75, 0.5, 0.25, 0.0), flow=True)
SIGMAS = {"ve": (0.7, 3.0), "flow": (0.3, 0.8), "vp": (0.6, 0.95)}
ALPHAS = {"ve": torch.ones_like, "flow": lambda sigma: 1 - sigma, "vp": lambda sigma: (1 - sigma**2).sqrt()}


def draw(shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def toy(family="ve", shape=(2, 3, 4, 6), seed=0, names=(), dtype=torch.float64) -> Any:
    """A noisy batch of two with predictions that lie near each other, as a network's do."""
    sigma = torch.tensor(SIGMAS[family], dtype=torch.float64)
    alpha = ALPHAS[family](sigma)
    clean, seeds = draw(shape, seed), range(seed + 10, seed + 99)
    spread = sigma.reshape(-1, *(1,) * (len(shape) - 1))
    x = alpha.reshape(spread.shape) * clean + spread * draw(shape, seed + 1)
    near = [(clean + 0.4 * draw(shape, own)).to(dtype) for own, _ in zip(seeds, range(2 + len(names)), strict=False)]
    return Predictions(x.to(dtype), sigma, alpha, near[0], near[1], dict(zip(names, near[2:], strict=True)))


def guide(rule, p, gamma, run=RUN, state=None) -> Any:
    """What a chain of this rule alone makes of the predictions in its first step, or with a state; float64 as given."""
    chain = Chain((rule,))
    inner = replace(p, extra={f"0 {name}": x0 for name, x0 in p.extra.items()})
    return chain.step(chain.init(run) if state is None else state, inner, gamma)[0]


def items(p):
    """The predictions of every item as plain float64 vectors (x, u, c, extra ones), and its numbers sigma and alpha."""
    for i in range(len(p.x)):
        tensors = {"x": p.x, "u": p.uncond, "c": p.cond, **p.extra}
        own = {name: v[i].double().flatten() for name, v in tensors.items()}
        yield {**own, "sigma": float(p.sigma[i]), "alpha": float(p.alpha[i])}


def near(found, right, *beside, roundings=16):
    """Whether two batches differ by no more than so many roundings of the largest number of an item, of all given."""
    found, finite = found.cpu(), (v.nan_to_num(0.0, 0.0, 0.0) for v in (right, *beside))
    apart = (found.double() - right).masked_fill(found == right, 0.0)  # infinite ones too
    off, *sizes = (v.double().flatten(1).abs().amax(dim=1) for v in (apart, *finite))
    return bool((off <= roundings * torch.finfo(right.dtype).eps * torch.stack(sizes).amax(dim=0)).all())


def largest_error(found, expected):
    """Largest error relative to the largest number."""
    expected = torch.stack([row.flatten() for row in expected])
    return float((found.double().flatten(1) - expected).abs().max() / expected.abs().max())
