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
    if mismatch := _mismatch(trace, half, turned):
        return (mismatch,)
    at = {"knob": turned[0].name, "half": turned[0].value}
    end, end_of_half = (run.tensors.get(END) for run in (trace, half))
    ends = None if end is None or end_of_half is None else (end, end_of_half)
    pictures = None
    if shown and shown[0].shape == shown[1].shape and len(shown[0]) == trace.batch:
        pictures = shown
    elif ends and trace.pixels and ends[0].ndim == 4:  # samples that are pictures themselves, in -1 .. 1
        pictures = ends[0].float() / 2 + 0.5, ends[1].float() / 2 + 0.5
    said = tuple(_compare_pictures(*pictures, at) if pictures else ())
    said = said or tuple(_compare_ends(*ends, at) if ends else ())
    if not said:
        return (say("half.lost"),)
    clipped, clipped_of_half = clipped_share(trace), clipped_share(half)
    if clipped is not None and clipped_of_half is not None and max(clipped, clipped_of_half) > 0:
        facts = {**at, "own": percent(clipped), "other": percent(clipped_of_half)}
        said += (say("half.clipped", **facts) if trace.pixels else say("half.beyond", **facts),)
    return said


def _compare_pictures(pictures: Tensor, others: Tensor, at: dict[str, Any]) -> Iterator[Sentence]:
    """What becomes of the pictures; nothing where one is not finite."""
    change = compare_pictures(pictures, others)
    apart, batch = change.distance, len(pictures)
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


def _compare_ends(ends: Tensor, others: Tensor, at: dict[str, Any]) -> Iterator[Sentence]:
    """What becomes of the subject; nothing where no end is finite."""
    apart = distance(ends, others)
    if not bool(apart.isfinite().any()):
        return
    count = int((apart < NEAR).sum())
    name = {0: "half.far", len(ends): "half.near"}.get(count, "half.near.some")
    yield say(name, **at, distance=round(float(apart.nanmedian()), 3), count=count, batch=len(ends))


def turned_knobs(trace: Trace, half: Trace) -> list[RunKnob]:
    """The knobs of the second run that have another value in the first."""
    values = {knob.key: knob.value for knob in knobs_of(trace, _scale(trace))}
    others = {knob.key: knob for knob in knobs_of(half, _scale(half))}
    return [knob for key, knob in others.items() if key in values and knob.value != values[key]]


def _mismatch(trace: Trace, half: Trace, turned: list[RunKnob]) -> Sentence | None:
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
