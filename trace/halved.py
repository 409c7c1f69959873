"""A run against another with the same noise at another scale: the same picture, or not."""

from __future__ import annotations

import torch

from .metrics import ratio
from .odds import Odds
from .picks import model_key
from .sentences import Sentence, percent, say
from .trace import END, Trace

ALIKE = ("seed", "sampler", "sigmas", "labels", "chain")  # what the headers of two such runs share
TOLD = 0.05  # of the clipped values: what a smaller share has less is not worth a word


def compared(trace: Trace, half: Trace, odds: Odds) -> tuple[Sentence, ...]:
    """What the second run says of the first, and how often that errs.  A picture with d < odds.same is the same."""
    if strange := _strange(trace, half):
        return (strange,)
    ends = [run.tensors.get(END) for run in (trace, half)]
    if any(end is None for end in ends):
        return (say("half.lost"),)
    found = distance(*(end for end in ends if end is not None))
    if not bool(found.isfinite().any()):
        return (say("half.lost"),)
    count, less = int((found < odds.same).sum()), less_clipped(trace, half)
    facts = {"half": _scale(half), "distance": float(found.nanmedian())}
    if not count:
        return (say("half.other", **facts),)
    sure = say("half.odds", same=odds.same, changed=percent(odds.changed))
    if count < trace.batch:
        return say("half.some", count=count, batch=trace.batch, **facts), sure
    if less < TOLD:
        return say("half.same.plain", **facts), sure
    return say("half.same" if trace.pixels else "half.same.beyond", less=percent(less), **facts), sure


def _strange(trace: Trace, half: Trace) -> Sentence | None:
    """Why the two are no pair that differs in cfg alone."""
    for name in ALIKE:
        if trace.header.get(name) != half.header.get(name):
            return say("half.strange", fact=name)
    models = [run.header.get("model") or {} for run in (trace, half)]
    if len({(model.get("name"), model_key(model)) for model in models}) > 1:
        return say("half.strange", fact="the model")
    if trace.batch != half.batch or trace.latent_shape != half.latent_shape:
        return say("half.strange", fact="the size of the batch")
    return say("half.equal", cfg=_scale(half)) if _scale(trace) == _scale(half) else None


def distance(end: torch.Tensor, other: torch.Tensor) -> torch.Tensor:  # 2 x [B, ...] -> [B], >= 0
    """d = |x - x'| / |x| of the ends x and x' of two runs; nan where x is zero or not finite."""
    first, second = end.double().flatten(1), other.double().flatten(1)
    return ratio((first - second).norm(dim=1), first.norm(dim=1))


def less_clipped(trace: Trace, half: Trace) -> float:
    """1 - m'/m of the shares m and m' of clipped values (M10) at the last step; 0 where none is, or it is unknown."""
    if not trace.n or not half.n:
        return 0.0
    own, other = (float(run.column("M10")[-1].mean()) for run in (trace, half))
    return 1 - other / own if own > 0 and other >= 0 else 0.0


def _scale(trace: Trace) -> float:
    gamma = trace.steps["gamma"]
    return float(gamma[torch.isfinite(gamma)].max()) if bool(gamma.isfinite().any()) else float("nan")
