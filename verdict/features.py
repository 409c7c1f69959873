"""What a run says of its scale in a few numbers: how long its predictions are, and whether it is a whole run.

The inner products of all samples are summed first, so a batch of one label is steadier than one sample. What is not
known is nan: a pass that was not evaluated, a step that is not there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..trace.gram import fill_absent, point
from ..trace.metrics import ratio
from ..trace.trace import END, Trace

EARLY = 8.0  # noise level in units of sigma_d, r = sigma / (alpha sigma_d), above which a run begins with noise
CLEAN = 0.1  # r at which a run has ended


@dataclass(frozen=True)
class Features:
    """Numbers of one run.

    overshoot: max rms(D) / max(rms(u), rms(c)), each over all steps; longest: the step of that D. end: rms(x_end).
    """

    overshoot: float
    longest: int | None
    end: float


def features_of(trace: Trace) -> Features:
    """The features of a run."""
    over = overshoots(trace)
    longest = int(over.nan_to_num(nan=-1.0).argmax()) if over.isfinite().any() else None
    return Features(
        overshoot=float(over[longest]) if longest is not None else math.nan,
        longest=longest,
        end=float(end_square(trace) / trace.batch / trace.count) ** 0.5 if trace.n and trace.batch else math.nan,
    )


def noise_levels(trace: Trace) -> Tensor:  # -> [n]
    """sigma / alpha at every step: the same number for a flow model and its VE twin; inf where alpha is 0."""
    return trace.steps["sigma"] / trace.steps["alpha"]


def overshoots(trace: Trace) -> Tensor:  # -> [n], >= 0
    """rms(D) of every step over the longest unguided prediction of the run.

    For plain guidance with gamma in 0 .. 1 D lies between u and c, so it is at most 1, however dark the pictures are.
    """
    return ratio(guided_square(trace), unguided_square(trace)).sqrt()


def unguided_square(trace: Trace) -> Tensor:  # -> []
    """max over the steps of max(|u|^2, |c|^2), over all samples; nan where none is known."""
    own = torch.cat([trace.record.square(point(name)).sum(dim=1) for name in ("u", "c")])
    finite = own[own.isfinite()]
    return finite.max() if len(finite) else own.new_tensor(math.nan)


def guided_square(trace: Trace) -> Tensor:  # -> [n]
    """|D|^2 at every step, over all samples."""
    return fill_absent(trace.record).square(point("D", trace.steps["gamma"][:, None])).sum(dim=1)


def end_square(trace: Trace) -> Tensor:  # -> []
    """|x_end|^2 over all samples: from the last step's inner products, else from the state that was kept."""
    last = trace.record.square(point("next"))[-1:].sum()
    if trace.n and last.isfinite():
        return last
    kept = trace.tensors.get(END)
    return last.new_tensor(math.nan) if kept is None else kept.double().square().sum()


def begins_late(trace: Trace, sigma_data: float) -> bool:
    """Whether a run begins with something that is no noise: a second stage, or a picture.

    sigma_data: rms of clean data, nan: nobody knows, and it does not.
    """
    return bool(noise_levels(trace)[0] < EARLY * sigma_data)


def ends_early(trace: Trace, sigma_data: float) -> bool:
    """Whether a run leaves noise for another to take away.  sigma_data: nan: any that is left counts"""
    last = trace.steps["sigma_next"][-1] / trace.steps["alpha_next"][-1]
    return not bool(last <= (CLEAN * sigma_data if sigma_data > 0 else 0.0))
