"""Records of runs, edited: other columns, other inner products, other facts."""

import math
from dataclasses import replace

import torch

from guidance_geometry.trace.gram import VECTORS, triangle


def with_columns(trace, **columns):
    return replace(trace, steps={**trace.steps, **columns})


def with_products(trace, names, value, steps=slice(None)):
    """The same run with another value for every inner product of these vectors."""
    full = trace.record.matrix().clone()
    for at in map(VECTORS.index, names):
        full[steps, :, at, :] = full[steps, :, :, at] = value
    return with_columns(trace, K=triangle(full))


def with_departure(trace, factor, **columns):
    """The same run, had D - G been so many differences.  factor: [n]"""
    full, factor = trace.record.matrix().clone(), factor[:, None, None]
    i, d = VECTORS.index("D-G"), VECTORS.index("delta")
    full[..., i, :] = factor * full[..., d, :]
    full[..., :, i] = factor * full[..., :, d]
    full[..., i, i] = factor[..., 0] ** 2 * full[..., d, d]
    return with_columns(trace, K=triangle(full), **columns)


def nan(trace, name, steps=slice(None)):
    column = trace.steps[name].clone()
    column[steps] = math.nan
    return with_columns(trace, **{name: column})


def headed(trace, **facts):
    return replace(trace, header={**trace.header, **facts})


def staged(trace, stage, steps=None):
    """Some steps of a run made another stage."""
    chosen = range(trace.n) if steps is None else steps
    return replace(trace, stage=[stage if i in chosen else s for i, s in enumerate(trace.stage)])


def part_of(trace, first, last):
    steps = {name: column[first:last] for name, column in trace.steps.items()}
    return replace(trace, steps=steps, stage=trace.stage[first:last], tensors={})


def faulty(trace, first=12):
    """The record of a run whose numbers a fault took from a step on."""
    fault = f"no numbers from step {first + 1} on: RuntimeError (boom)"
    return headed(nan(trace, "evals", slice(first, None)), faults=[fault])


def clipped(trace, share):
    return with_columns(trace, m10=torch.full((20, 2), share).double())


def acting(trace, scales):
    """The same run, had its steps acted at these scales."""
    scales = torch.as_tensor(scales, dtype=torch.float64)
    return with_columns(trace, gamma_eff=scales[:, None].expand(trace.n, trace.batch))


def unseen(trace):
    """Runs without u have no inner products of it, nor of the difference."""
    return staged(with_products(trace, ["u", "a", "delta"], math.nan), "cond_only")


def unseen_end(trace):
    """The same, with u and c equal to rounding in the last steps, where no scale can be seen."""
    return nan(with_products(trace, ["delta"], 0.0, slice(17, None)), "gamma_eff", slice(17, None))


def gap(trace):
    """Nothing was evaluated in the place of u at a step."""
    return with_products(trace, ["u", "a", "delta"], math.nan, slice(3, 4))


def from_zero(trace, name):
    """Runs whose host took zero for u or for c."""
    full, u, delta = trace.record.matrix().clone(), VECTORS.index("u"), VECTORS.index("delta")
    rows = {"u": (u, 0.0), "c": (delta, -1.0)}
    place, factor = rows[name]
    full[..., place, :] = factor * full[..., u, :]
    full[..., :, place] = factor * full[..., :, u]
    return staged(with_columns(trace, K=triangle(full)), "from_zero")


def repeating(trace, step):
    """A schedule that has the level of a step twice."""
    following = trace.steps["sigma_next"].clone()
    following[step] = trace.steps["sigma"][step]
    return with_columns(trace, sigma_next=following)


def darkened(trace):
    """The same run, had its last step gone to zero: move = -x."""
    full, (u, a, move) = trace.record.matrix().clone(), map(VECTORS.index, ("u", "a", "move"))
    row = full[-1, :, a] - full[-1, :, u]
    full[-1, :, move], full[-1, :, :, move] = row, row
    full[-1, :, move, move] = row[:, a] - row[:, u]
    return with_columns(trace, K=triangle(full))


def scheduled(trace):
    """A run whose rule changed cfg from step to step: D stays what it was, so D - G makes up for the other scale."""
    gamma = trace.steps["gamma"] + torch.linspace(-1, 1, trace.n).double()
    return with_departure(trace, trace.steps["gamma"] - gamma, gamma=gamma)


def unknown_scale(trace):
    """A guider that combines by itself: gamma is nan, and D - G counts from u."""
    gamma = trace.steps["gamma"]
    return with_departure(trace, gamma, gamma=torch.full_like(gamma, math.nan))


def rounded(trace):
    """The same at cfg 1, with D apart from c in the last digit, where u was evaluated after the run."""
    full, at = trace.record.matrix().clone(), VECTORS.index("D-G")
    full[..., at, at] = (trace.steps["floor"][:, None] * trace.count**0.5).square()
    return staged(with_columns(trace, K=triangle(full)), "afterwards", [0, 9, 19])


def passed(trace, weight=1.0, size=0.05, across=0.25, counts=1.0):
    """The record of a run with a further pass, of so large a difference."""
    n, batch = trace.n, trace.batch
    levels = {"evals PAG": counts, "scale PAG": weight}
    values = {"pass PAG": size, "along PAG": 0.5, "across PAG": across}
    columns = {name: torch.full((n,), value).double() for name, value in levels.items()}
    columns |= {name: torch.full((n, batch), value).double() for name, value in values.items()}
    header = {**trace.header, "passes": {"PAG": n}, "evaluations": 3 * n}
    return replace(with_columns(trace, **columns), header=header)


def extended(trace, name, vector, log_prob=None, weight: float | None = 2.0, scale=2.0):
    """The same run with one more vector in its record: a gradient of so many differences, and what its energy says.

    weight: of the gradient in D. scale: of its node, which is called "Steer NAME".
    """
    record, n = trace.record, len(VECTORS)
    full = torch.zeros(*record.K.shape[:-1], n + 1, n + 1, dtype=torch.float64)
    full[..., :n, :n] = record.matrix()
    along = vector * record.matrix()[..., VECTORS.index("delta"), :]
    full[..., n, :n] = full[..., :n, n] = along
    full[..., n, n] = vector**2 * record.dot("delta", "delta")
    at = VECTORS.index("D-G")
    full[..., at, :] += (weight or 0.0) * full[..., n, :]
    full[..., :, at] += (weight or 0.0) * full[..., :, n]
    steps = {**trace.steps, "K": triangle(full)}
    if log_prob is not None:
        steps[f"log_prob {name}"] = torch.as_tensor(log_prob).double().expand(trace.n, trace.batch)
    if weight is not None:
        steps[f"weight {name}"] = torch.full((trace.n, trace.batch), weight, dtype=torch.float64)
    titles = {"titles": {name: f"Steer {name}"}} | ({"scales": {name: scale}} if scale is not None else {})
    return replace(trace, steps=steps, header={**trace.header, "vectors": [*VECTORS, name], **titles})


def latents(trace):
    """The same, as a run of latents, which no one can look at."""
    return headed(trace, latent={"shape": [4, 32, 24]})
