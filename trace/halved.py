"""A run against another with the same noise at another scale: the same picture, or not."""

from __future__ import annotations

import torch

from .metrics import ratio
from .odds import Odds
from .sentences import Sentence, percent, say
from .trace import END, Trace

ALIKE = ("seed", "sampler", "sigmas", "labels", "chain")  # what the headers of two such runs share


def compared(trace: Trace, half: Trace, odds: Odds) -> Sentence:
    """What the second run says of the first.  d = |x_end - x_end'| / |x_end|, a picture below odds.same is the same."""
    strange = next((name for name in ALIKE if trace.header.get(name) != half.header.get(name)), None)
    if strange or trace.batch != half.batch or trace.latent_shape != half.latent_shape:
        return say("half.strange", fact=strange or "the size of the batch")
    ends = [run.tensors.get(END) for run in (trace, half)]
    if any(end is None for end in ends):
        return say("half.lost")
    first, second = (end.double().flatten(1) for end in ends if end is not None)
    distance = ratio((first - second).norm(dim=1), first.norm(dim=1))
    count = int((distance < odds.same).sum())
    facts = {"half": _scale(half), "batch": trace.batch, "distance": float(distance.median())}
    if not count:
        return say("half.other", **facts)
    return say("half.same", count=count, clipped=percent(_less_clipped(trace, half)), **facts)


def _less_clipped(trace: Trace, half: Trace) -> float:
    """How many values fewer are clipped at the last step, as a share of all."""
    last = [run.column("M10")[-1].mean() for run in (trace, half)]
    return float((last[0] - last[1]).nan_to_num())


def _scale(trace: Trace) -> float:
    gamma = trace.steps["gamma"]
    return float(gamma[torch.isfinite(gamma)].max()) if bool(gamma.isfinite().any()) else float("nan")
