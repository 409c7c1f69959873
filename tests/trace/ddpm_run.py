"""A recorded run of DDPM, its numbers made by hand."""

from functools import cache

import torch

from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.samplers.steps import Level, up_and_down
from guidance_geometry.tests.oracles import reference_sigmas
from guidance_geometry.trace import metrics
from guidance_geometry.trace.gram import VECTORS, GramRecord, gram
from guidance_geometry.trace.trace import PER_SAMPLE, PER_STEP, Trace

GAMMA = 3.0


def header(**facts):
    return {
        "version": 1, "run": "r", "space": "ve", "vectors": list(VECTORS), "sampler": "gg_ddpm", "scheduler": "karras",
        "cfg": GAMMA, "seed": 7, "sigmas": [2.0, 0.0], "labels": ["0", "1"], "chain": "CFG", "model": {"name": "mix"},
        "host": {"torch": "2"}, "latent": {"shape": [3, 8, 8], "format": "pixel"}, "sigma_data": 0.6,
        "capture": {"mode": "pictures", "budget_mb": 256, "steps": [], "note": ""}, "evaluations": 2,
        "split": "formula", "notes": [], "workflow": {"nodes": [1]}, "prompt": {"1": {"text": "gr\u00fcn"}}, **facts,
    }  # fmt: skip


@cache
def recorded(steps=6, batch=2, size=8, flow=False):
    """A DDPM run of a small mixture with plain CFG, every step captured."""
    mixture, draws = make_mixture((3, size, size), 2, 0), torch.Generator().manual_seed(0)
    levels = [s / (1 + s) if flow else s for s in reference_sigmas(steps)]
    alphas = [1 - s if flow else 1.0 for s in levels]
    x = levels[0] * torch.randn(batch, 3, size, size, generator=draws, dtype=torch.float64)
    rows, kept = [], {name: [] for name in ("x", "uncond", "cond", "guided")}
    for i in range(steps):
        names = ("sigma", "sigma_next", "alpha", "alpha_next")
        now = dict(zip(names, (*levels[i : i + 2], *alphas[i : i + 2]), strict=True))
        u, c = (mixture.denoised(x, now["sigma"], now["alpha"], label) for label in (None, torch.arange(batch) % 2))
        guided = u + (c - u) * GAMMA
        up, down = up_and_down(Level(alphas[i], levels[i]), Level(alphas[i + 1], levels[i + 1]), 1.0)
        move = now["alpha_next"] * guided + down * (x - now["alpha"] * guided) / now["sigma"] - x
        noise = up * torch.randn(x.shape, generator=draws, dtype=torch.float64)
        vectors = dict(zip(VECTORS, (u, u - x, c - u, None, move, noise), strict=True))
        for name, tensor in zip(kept, (x, u, c, guided), strict=True):
            kept[name].append(tensor.half())
        rows.append(row_of(now, vectors, x, guided, c, up))
        x = x + move + noise
    columns = {name: torch.stack([torch.as_tensor(row[name], dtype=torch.float64) for row in rows]) for name in rows[0]}
    facts = {"steps": list(range(steps)), "mode": "tensors", "note": ""}
    tensors = {name: torch.stack(frames) for name, frames in kept.items()} | {"end": x.half()}
    facts = header(capture=facts, latent={"shape": [3, size, size]}, space="flow" if flow else "ve", sigmas=levels)
    return Trace(facts, columns, ["step"] * steps, tensors)


def row_of(now, vectors, x, guided, cond, up):
    u, delta = vectors["u"], vectors["delta"]
    zero = torch.zeros(len(x), dtype=torch.float64)
    record = GramRecord(VECTORS, gram(vectors))
    row = dict.fromkeys(PER_STEP, torch.nan) | dict.fromkeys(PER_SAMPLE, zero * torch.nan) | now
    return row | {
        "gamma": GAMMA,
        "evals": 2.0,
        "K": gram(vectors),
        "sum": torch.stack([v.flatten(1).sum(dim=1) for v in (u, delta, 0 * u)], dim=1),
        "m10": metrics.saturation(guided),
        "m10c": metrics.saturation_excess(metrics.saturation(guided), metrics.saturation(cond)),
        "m11": metrics.out_of_plane(record),
        "m11s": metrics.out_of_span(record),
        "m12": zero,
    }
