"""Runs made of random vectors, accumulated as a sampler's are: every kind of step, also degenerate ones.

They belong to no model. What they are for is agreement: whatever a record holds, both languages read the same from it.
"""

import math

import torch

from guidance_geometry.trace.accumulator import Accumulator, Capture
from guidance_geometry.trace.gram import VECTORS
from guidance_geometry.trace.recorder import Evaluation, Recorded
from guidance_geometry.trace.rows import Setting
from guidance_geometry.trace.trace import Trace

SHAPES = ((4, 8, 8), (3, 16, 16), (4, 3, 6, 6), (8, 32), (1, 1, 1), (2, 2, 1))  # image, image, video, audio, tiny, tiny
BATCHES = (1, 2, 3, 16, 40)
GAMMAS = (0.0, 1.0, 2.0, -1.0, 4.0, 7.5, 30.0)
UNKNOWN = 12  # of so many runs one has a guider whose scale nobody knows
KINDS = ("plain", "equal", "still", "absent", "nan", "inf", "collinear", "opposite", "tiny", "u = x", "c = 0")


def random_run(seed):
    """The run of this number: a few steps of different kinds, space, rank, batch, scale, rule and noise."""
    draws = torch.Generator().manual_seed(seed)
    shape, batch, gamma = _one(draws, SHAPES), _one(draws, BATCHES), _one(draws, GAMMAS)
    flow, noisy, ruled, known = (bool(torch.rand((), generator=draws) < share) for share in (0.4, 0.5, 0.3, 0.7))
    gamma = math.nan if seed % UNKNOWN == UNKNOWN - 1 else gamma
    n = 1 + int(torch.randint(6, (), generator=draws))
    sigmas = [1.0 - i / n for i in range(n)] if flow else [20.0 * 0.4**i for i in range(n)]
    accumulator = Accumulator(Setting(flow), Capture("numbers"))
    x = sigmas[0] * _vector(draws, batch, shape)
    for i, (sigma, then) in enumerate(zip(sigmas, [*sigmas[1:], 0.0], strict=True)):
        kind = "plain" if torch.rand((), generator=draws) < 0.4 else _one(draws, KINDS)
        u, c = _predictions(draws, kind, x)
        uncond = None if kind == "absent" else u
        guided = c if uncond is None else u + (c - u) * (0.7 if math.isnan(gamma) else gamma)
        denoised = guided * 0.9 if ruled else guided
        kappa = 0.0 if kind == "still" else 1 - then / sigma
        move = kappa * (denoised - x)
        noise = 0.3 * then * _vector(draws, batch, shape) if noisy and then > 0 and kind != "still" else None
        seen = Evaluation(denoised, uncond, c, gamma, nfe=1 if uncond is None else 2)
        accumulator.enter(Recorded(i, x, sigma, then, seen, move, noise, seen.nfe))
        x = (x + move + (0 if noise is None else noise)).nan_to_num(1.0, 1.0, -1.0)  # the next step starts afresh
    return Trace(_header(seed, shape, gamma, flow, [*sigmas, 0.0], known), accumulator.columns(), accumulator.stage)


def _predictions(draws, kind, x):
    """u and c of one step of this kind."""
    u = 0.3 * x + 0.5 * _vector(draws, len(x), x.shape[1:])
    delta = 0.2 * _vector(draws, len(x), x.shape[1:])
    made = {
        "equal": (u, u.clone()),
        "collinear": (u, u + 0.25 * (u - x)),
        "opposite": (u, u - 300.0 * (u - x)),
        "tiny": (u, u + 1e-4 * delta),
        "u = x": (x.clone(), x + delta),
        "c = 0": (u, torch.zeros_like(u)),
        "nan": (u, torch.full_like(u, torch.nan)),
        "inf": (torch.full_like(u, torch.inf), u),
    }
    return made.get(kind, (u, u + delta))


def _vector(draws, batch, shape):
    return torch.randn(batch, *shape, generator=draws, dtype=torch.float64)


def _one(draws, options):
    return options[int(torch.randint(len(options), (), generator=draws))]


def _header(seed, shape, gamma, flow, sigmas, known):
    facts = {"run": f"random {seed}", "space": "flow" if flow else "ve", "vectors": list(VECTORS), "cfg": gamma}
    facts |= {"sigmas": sigmas, "labels": [], "notes": [], "sigma_data": 0.5 if known else None}
    return facts | {"latent": {"shape": list(shape), "format": "none"}, "capture": {"steps": []}}
