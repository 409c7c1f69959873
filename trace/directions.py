"""How the difference turns over a run: cosines between the differences of all captured steps.

They are computed when somebody asks, from tensors kept in half precision; lengths come from the inner products, which
know no such rounding. What rounding is left is independent from step to step and nearly averages out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .metrics import precision_floor
from .trace import CROSS, Trace

MOST_STEPS = 64


@dataclass(frozen=True, eq=False)
class Directions:
    """cosines [B, k(k+1)/2]: upper triangle over `steps`, row by row, nan where unknown. error: rms of the worst."""

    steps: list[int]
    cosines: Tensor
    error: float


def directions_of(trace: Trace) -> Directions | None:
    """Cosines of the differences of all pairs of up to 64 steps; None where fewer than two steps were captured.

    A trace that stores them is believed; otherwise they follow from its captured predictions.
    """
    facts = trace.header.get(CROSS)
    if CROSS in trace.cross and facts:
        return Directions(list(facts["steps"]), trace.cross[CROSS], float(facts["error"]))
    steps = trace.captured_steps
    if len(steps) < 2 or not {"uncond", "cond"} <= set(trace.tensors):
        return None
    every = -(-len(steps) // MOST_STEPS)
    steps = steps[::every]
    size = trace.record.dot("delta", "delta").sqrt()[steps]  # [k, B]
    u, c = (trace.tensors[name][::every] for name in ("uncond", "cond"))
    return Directions(steps, _cosines(u, c, size), _error(trace, steps, size))


def with_directions(trace: Trace) -> Trace:
    """A trace with its directions stored, so that they outlive the captured tensors."""
    directions = directions_of(trace)
    if directions is None:
        return trace
    header = {**trace.header, CROSS: {"steps": directions.steps, "error": directions.error}}
    return replace(trace, header=header, cross={**trace.cross, CROSS: directions.cosines})


def _cosines(u: Tensor, c: Tensor, size: Tensor) -> Tensor:  # [k, B, ...] x2, [k, B] -> [B, k(k+1)/2]
    rows, columns = torch.triu_indices(len(size), len(size))
    cosines = []
    for b in range(size.shape[1]):
        delta = (c[:, b].float() - u[:, b].float()).flatten(1)
        inner = (delta @ delta.mT).double().cpu()
        inner.diagonal().copy_(size[:, b].square())
        cosines.append((inner / (size[:, None, b] * size[None, :, b]))[rows, columns].clamp(-1, 1))
    return torch.stack(cosines)


def _error(trace: Trace, steps: list[int], size: Tensor) -> float:
    """Rms error of the worst cosine: two rounded differences, each off by its floor in a direction of its own."""
    floor = precision_floor(trace.record.dot("u", "u").sqrt()[steps], torch.float16)
    share = (torch.as_tensor(floor) / size).square()
    worst = share[share.isfinite()].topk(min(2, int(share.isfinite().sum()))).values
    return min(1.0, float(((1 + worst).prod() - 1).sqrt() / trace.count**0.5))  # 1: nothing but rounding
