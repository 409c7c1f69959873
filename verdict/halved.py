"""A run against another with the same noise and one knob turned: is it the same picture, and how much is clipped?"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, nan
from typing import Any

import torch
from torch import Tensor

from ..trace.guidance_effect import cfg_of
from ..trace.metrics import ratio
from ..trace.trace import END, Trace, model_key
from .alike import compare_pictures
from .findings import clipped_share
from .picks import CFG
from .run_knobs import DISTILLED, RunKnob, knobs_of
from .sentences import Sentence, percent, say

SAME, CLOSE = 0.55, 0.81  # distance of two pictures up to which they are one as a whole, and change a little
NEAR = 0.4  # of two samples, up to which the subject most likely stays
ALIKE = ("seed", "sampler", "sigmas", "labels", "chain")  # what the headers of two such runs share
Shown = tuple[Tensor, Tensor]  # finished pictures of both runs, each [B, 3, H, W] in 0 .. 1


def compare_runs(trace: Trace, half: Trace, shown: Shown | None = None) -> tuple[Sentence, ...]:
    """What the second run says of the first.

    shown: None where there are no finished pictures of both. Then only the ends are compared, and these do not tell
    whether it is the same picture.
    """
    turned = turned_knobs(trace, half)
    if strange := _strange(trace, half, turned):
        return (strange,)
    at = {"knob": turned[0].name, "half": turned[0].value}
    ends = _both([run.tensors.get(END) for run in (trace, half)])
    pictures = _fitting(shown, trace.batch) or (_own_pictures(trace, *ends) if ends else None)
    found = tuple(_compare_pictures(*pictures, at) if pictures else ())
    found = found or tuple(_compare_ends(*ends, at) if ends else ())
    if not found:
        return (say("half.lost"),)
    return (*found, *_compare_clipping(trace, half, at))


def _both(tensors: list[Tensor | None]) -> Shown | None:
    first, second = tensors
    return None if first is None or second is None else (first, second)


def _fitting(shown: Shown | None, batch: int) -> Shown | None:
    """Pictures that are those of the samples, one each, and alike in size."""
    return shown if shown and shown[0].shape == shown[1].shape and len(shown[0]) == batch else None


def _own_pictures(trace: Trace, own: Tensor, other: Tensor) -> Shown | None:
    """Samples that are pictures themselves, in -1 .. 1."""
    return (own.float() / 2 + 0.5, other.float() / 2 + 0.5) if trace.pixels and own.ndim == 4 else None


def _compare_pictures(own: Tensor, other: Tensor, at: dict[str, Any]) -> Iterator[Sentence]:
    """What becomes of the pictures; nothing where one is not finite."""
    change = compare_pictures(own, other)
    apart, batch = change.distance, len(own)
    if not bool(apart.isfinite().all()):
        return
    same, close = apart < SAME, (apart >= SAME) & (apart < CLOSE)
    changed = ~same & ~close
    count = int(same.sum())
    facts = at | {"distance": round(float(apart.median()), 3), "count": count, "batch": batch}
    if count == batch:
        yield say("half.same" if batch == 1 else "half.all", **facts)
    else:
        visible = changed if bool(changed.any()) else close
        what = say("change.colours" if bool(change.of_colour[visible].double().mean() >= 0.5) else "change.shapes")
        yield say(_name_change(count, int(close.sum()), batch), what=what, **facts, changed=int(changed.sum()))


def _name_change(same: int, close: int, batch: int) -> str:
    """Which sentence tells of so many pictures that stay the same, and that change a little, of a batch."""
    if same + close == batch:
        return "half.close.some" if same else "half.close" if batch == 1 else "half.close.all"
    if close:
        return "half.mixed"
    return "half.some" if same else "half.other" if batch == 1 else "half.none"


def _compare_ends(own: Tensor, other: Tensor, at: dict[str, Any]) -> Iterator[Sentence]:
    """What becomes of the subject; nothing where no end is finite."""
    apart = distance(own, other)
    if not bool(apart.isfinite().any()):
        return
    count = int((apart < NEAR).sum())
    name = {0: "half.far", len(own): "half.near"}.get(count, "half.near.some")
    yield say(name, **at, distance=round(float(apart.nanmedian()), 3), count=count, batch=len(own))


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
