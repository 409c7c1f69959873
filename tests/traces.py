"""Traces of exact runs for tests of pictures and nodes: a Gaussian mixture with a closed-form denoiser, no network."""

from dataclasses import replace
from itertools import pairwise

import torch

from guidance_geometry.tests.oracles import ReferenceModel
from guidance_geometry.trace.file import save
from guidance_geometry.trace.gram import VECTORS, GramRecord, gram
from guidance_geometry.trace.metrics import out_of_plane, out_of_span, saturation, scales_of
from guidance_geometry.trace.trace import SCALES, Trace

SIZE = 32


class ExactModel:
    """The reference model on pictures, x [B, 3, 32, 32]: its predictions u and c."""

    def __init__(self, batch):
        self.model = ReferenceModel(batch)
        self.dct = self.model.waves()

    def __call__(self, x, sigma, alpha):
        z = (self.dct @ (x / alpha) @ self.dct.T).flatten(1)
        return tuple(self.model.pixels(found(z, sigma / alpha)) for found in (self.model.uncond, self.model.cond))


def levels_of(space, steps):
    if space == "flow":
        return [0.999 * (1 - i / steps) for i in range(steps)] + [0.0]
    lowest, highest = 0.02 ** (1 / 7), 20 ** (1 / 7)
    return [(highest + i / (steps - 1) * (lowest - highest)) ** 7 for i in range(steps)] + [0.0]


def exact_trace(gamma=4.0, *, sampler="euler", space="ve", steps=20, batch=4, rule=None, capture=True, skip=(), seed=0):
    """Run the exact model and record it. rule: (u, c, G) -> D. skip: steps recorded without an unconditional pass."""
    model, levels = ExactModel(batch), levels_of(space, steps)
    draws = torch.Generator().manual_seed(seed)
    x = levels[0] * torch.randn(batch, 3, SIZE, SIZE, generator=draws, dtype=torch.float64)
    columns, kept = _empty(steps, batch), {name: [] for name in ("x", "uncond", "cond", "guided")}
    for i, (sigma, after) in enumerate(pairwise(levels)):
        alpha, alpha_next = (1 - sigma, 1 - after) if space == "flow" else (1.0, 1.0)
        u, c = model(x, sigma, alpha)
        guided = u + (c - u) * gamma
        denoised = guided if rule is None else rule(u, c, guided)
        move, noise, kappa = _step(sampler, x, denoised, (sigma, alpha), (after, alpha_next), draws)
        for name, value in zip(kept, (x, u, c, denoised), strict=True):
            kept[name].append(value.half())
        row = {"sigma": sigma, "sigma_next": after, "alpha": alpha, "alpha_next": alpha_next, "kappa": kappa}
        vectors = dict(zip(VECTORS, (u, u - x, c - u, denoised - guided, move, noise), strict=True))
        _fill(columns, i, row | {"gamma": gamma, "evals": 1 if i in skip else 2}, vectors, i in skip)
        x = x + move + (0 if noise is None else noise)
    tensors = {name: torch.stack(rows) for name, rows in kept.items()} | {"end": x.half()} if capture else {}
    stage = ["cond_only" if i in skip else "step" for i in range(steps)]
    found = Trace(_header(space, sampler, gamma, levels, batch, steps if capture else 0), columns, stage, tensors)
    floor = columns["floor"][:, None] * found.count**0.5
    scales = dict(zip(SCALES, scales_of(found.record, columns["gamma"], {}, floor), strict=True))
    return replace(found, steps={**columns, **scales})


def _step(sampler, x, denoised, now, then, draws):
    (sigma, alpha), (after, alpha_next) = now, then
    eps_hat = (x - alpha * denoised) / sigma
    noise, down = None, after
    if sampler == "ddpm" and after > 0:
        up = after * (1 - (after * alpha / (alpha_next * sigma)) ** 2) ** 0.5
        down = (after**2 - up**2) ** 0.5
        noise = up * torch.randn(x.shape, generator=draws, dtype=x.dtype)
    return alpha_next * denoised + down * eps_hat - x, noise, alpha_next - down * alpha / sigma


def _empty(steps, batch):
    of_steps = ("sigma", "sigma_next", "alpha", "alpha_next", "gamma", "kappa", "evals", "floor")
    of_samples = ("m9", "m9a", "m10", "m10c", "m11", "m11s", "m12", "m13", "m14")
    columns = {name: torch.full((steps,), torch.nan, dtype=torch.float64) for name in of_steps}
    columns |= {name: torch.full((steps, batch), torch.nan, dtype=torch.float64) for name in of_samples}
    zeros = {"K": 21, "sum": 3}
    return columns | {name: torch.zeros(steps, batch, n, dtype=torch.float64) for name, n in zeros.items()}


def _fill(columns, i, row, vectors, skipped):
    for name, value in row.items():
        columns[name][i] = value
    columns["floor"][i] = 3e-8
    unmade = ("u", "a", "delta") if skipped else ()
    columns["K"][i] = gram({name: v * torch.nan if name in unmade else v for name, v in vectors.items()})
    u, delta, other = (vectors[name] for name in ("u", "delta", "D-G"))
    columns["sum"][i] = torch.stack([v.flatten(1).sum(1) for v in (u, delta, other)], dim=1)
    record = GramRecord(tuple(vectors), gram(vectors))
    columns["m10"][i] = saturation(u + row["gamma"] * delta + other)
    columns["m11"][i], columns["m11s"][i] = out_of_plane(record), out_of_span(record)
    columns["m12"][i] = 0.0


def _header(space, sampler, gamma, levels, batch, captured):
    return {
        "version": 1,
        "run": "exact",
        "space": space,
        "vectors": list(VECTORS),
        "sampler": sampler,
        "scheduler": "karras",
        "cfg": gamma,
        "seed": 0,
        "sigmas": levels,
        "labels": [f"class {b}" for b in range(batch)],
        "chain": "cfg",
        "model": {"name": "exact"},
        "host": {},
        "latent": {"shape": [3, SIZE, SIZE], "format": "pixel"},
        "sigma_data": 0.4684,
        "evaluations": 2 * (len(levels) - 1),
        "split": "formula",
        "notes": [],
        "workflow": None,
        "prompt": None,
        "capture": {"mode": "pictures", "budget_mb": 256, "steps": list(range(captured)), "note": ""},
    }


def trace_in(folder):
    """The bytes of a trace, kept there too."""
    save(exact_trace(), folder / "trace.safetensors")
    return (folder / "trace.safetensors").read_bytes()
