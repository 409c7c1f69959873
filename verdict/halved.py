"""A run against another with the same noise and one knob turned: does the subject stay, and how much is clipped."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, nan
from typing import Any

import torch

from ..trace.effective import cfg_of
from ..trace.metrics import ratio
from ..trace.trace import END, Trace, model_key
from .findings import clipped_share
from .odds import Odds
from .picks import CFG
from .run_knobs import DISTILLED, RunKnob, knobs_of
from .sentences import Sentence, percent, say

ALIKE = ("seed", "sampler", "sigmas", "labels", "chain")  # what the headers of two such runs share


def compare_runs(trace: Trace, half: Trace, odds: Odds) -> tuple[Sentence, ...]:
    """What the second run says of the first, and how often that errs.

    A judge's label stays where d < odds.same; whether eyes see one picture is not known from d.
    """
    turned = turned_knobs(trace, half)
    if strange := _strange(trace, half, turned):
        return (strange,)
    ends = [run.tensors.get(END) for run in (trace, half)]
    if any(end is None for end in ends):
        return (say("half.lost"),)
    apart = distance(*(end for end in ends if end is not None))
    if not bool(apart.isfinite().any()):
        return (say("half.lost"),)
    count = int((apart < odds.same).sum())
    name = {0: "half.other", trace.batch: "half.same"}.get(count, "half.some")
    at = {"knob": turned[0].name, "half": turned[0].value}
    facts = {"distance": float(apart.nanmedian()), "count": count, "batch": trace.batch}
    measured = say("half.odds", same=odds.same, changed=percent(odds.change))
    sure = measured if turned[0].kind == CFG else say("half.odds.knob")
    return say(name, **at, **facts), *_compare_clipping(trace, half, at), *((sure,) if count else ())


def turned_knobs(trace: Trace, half: Trace) -> list[RunKnob]:
    """The knobs of the second run that have another value in the first."""
    own, others = ({knob.key: knob for knob in knobs_of(run, _scale(run))} for run in (trace, half))
    return [knob for key, knob in others.items() if key in own and knob.value != own[key].value]


def _compare_clipping(trace: Trace, half: Trace, at: dict[str, Any]) -> Iterator[Sentence]:
    """How much of each run is clipped: the share of all values that the report states of one."""
    own, other = clipped_share(trace), clipped_share(half)
    if own is not None and other is not None and max(own, other) > 0:
        name = "half.clipped" if trace.pixels else "half.beyond"
        yield say(name, **at, own=percent(own), other=percent(other))


def _strange(trace: Trace, half: Trace, turned: list[RunKnob]) -> Sentence | None:
    """Why the two are no pair that differs in one knob alone."""
    in_chain = len(turned) == 1 and turned[0].kind not in (CFG, DISTILLED)  # its key says that all else is alike
    for name in (name for name in ALIKE if not (in_chain and name == "chain")):
        if trace.header.get(name) != half.header.get(name):
            return say("half.strange", fact=name)
    models = [run.header.get("model") or {} for run in (trace, half)]
    if len({(model.get("name"), model_key(model)) for model in models}) > 1:
        return say("half.strange", fact="the model")
    if trace.batch != half.batch or trace.latent_shape != half.latent_shape:
        return say("half.strange", fact="the size of the batch")
    if len(turned) > 1:
        return say("half.strange", fact=" and ".join(knob.name for knob in turned))
    return None if turned else say("half.equal", cfg=_scale(half))


def distance(end: torch.Tensor, other: torch.Tensor) -> torch.Tensor:  # 2 x [B, ...] -> [B], >= 0
    """d = |x - x'| / |x| of the ends x and x' of two runs; nan where x is zero or not finite."""
    first, second = end.double().flatten(1), other.double().flatten(1)
    return ratio((first - second).norm(dim=1), first.norm(dim=1))


def _scale(trace: Trace) -> float:
    """The widget's number, else the largest of the steps."""
    scales = filter(isfinite, (cfg_of(trace), *trace.steps["gamma"].sort(descending=True).values.tolist()))
    return next(scales, nan)
