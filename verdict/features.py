"""What a run says of its scale in a few numbers: how long its predictions are, and how hard they are pushed.

The inner products of all samples are summed first, so a batch of one label is steadier than one sample. What is not
known is nan: a pass that was not evaluated, a step that is not there, a size of clean data that nobody told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..trace.gram import displacement, fill_absent, point
from ..trace.metrics import difference_combination, ratio
from ..trace.trace import END, Trace

NOISY, STAR, EARLY = 1.0, 1.25, 8.0  # noise levels in units of sigma_d, r = sigma / (alpha sigma_d)
NEAR = math.log(2)  # how far the nearest step may be, in ln r
LARGEST_LOG = 700.0  # of what exp can still say
CLEAN = 0.1  # r at which a run has ended


@dataclass(frozen=True)
class Features:
    """Numbers of one run.

    overshoot: max rms(D) / max(rms(u), rms(c)), each over all steps; longest: the step of that D. overmean: mean over
    r > 1 of ln(rms(D) / rms(x_end)). push8: ln(gamma rms(delta) / sigma_d) at r = 8. strength: M1 at r = 1.25.
    end: rms(x_end). contrast, grain: of x_end, where it was kept.
    """

    overshoot: float
    longest: int | None
    overmean: float
    push8: float
    strength: float
    end: float
    contrast: float = math.nan
    grain: float = math.nan


def features_of(trace: Trace, sigma_data: float | None = None) -> Features:
    """The features of a run.  sigma_data: rms of clean data; None: what the trace says, else unknown."""
    sigma_data = sigma_data or trace.header.get("sigma_data") or math.nan
    levels, over = noise_levels(trace) / sigma_data, overshoots(trace)
    noisy = length_over_end(trace)[(levels > NOISY) & _own_prediction(trace)]
    longest = int(over.nan_to_num(nan=-1.0).argmax()) if over.isfinite().any() else None
    return Features(
        overshoot=float(over[longest]) if longest is not None else math.nan,
        longest=longest,
        overmean=float(noisy.log().mean()) if len(noisy) else math.nan,
        push8=value_at(push_in_data(trace, sigma_data).log(), levels, EARLY),
        strength=math.exp(value_at(strength_of(trace).log(), levels, STAR)),
        end=float(end_square(trace) / trace.batch / trace.count) ** 0.5 if trace.n and trace.batch else math.nan,
        **_texture_kept(trace),
    )


def _texture_kept(trace: Trace) -> dict[str, float]:
    """The texture of the finished samples; nothing where they were not kept, or have no places."""
    end = trace.tensors.get(END)
    return {} if end is None or end.ndim < 3 else dict(zip(("contrast", "grain"), texture_of(end), strict=True))


def texture_of(end: Tensor) -> tuple[float, float]:  # [B, C, ..., W]
    """How much samples vary from place to place, and how little one place has to do with the next.

    contrast: rms of what is left of every channel without its mean; 0 for a flat picture. grain: rms of the difference
    between neighbours, over sqrt(2) contrast; 1 for white noise, near 0 for a smooth picture.
    """
    values = end.float()
    contrast = (values - values.mean(dim=[*range(2, end.ndim)], keepdim=True)).square().mean().sqrt()
    sides = [side for side in range(max(2, end.ndim - 2), end.ndim) if end.shape[side] > 1]
    apart = torch.stack([values.diff(dim=side).square().mean() for side in sides]).mean() if sides else torch.nan
    return float(contrast), float((apart / 2) ** 0.5 / contrast)


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


def length_over_end(trace: Trace) -> Tensor:  # -> [n], >= 0
    """rms(D) / rms(x_end) at every step, over all samples."""
    return ratio(guided_square(trace), end_square(trace)).sqrt()


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


def strength_of(trace: Trace) -> Tensor:  # -> [n], >= 0
    """M1 at every step, over all samples: |D - u| / |u - x / alpha|."""
    gamma, alpha = (trace.steps[name][:, None] for name in ("gamma", "alpha"))
    bent, way = difference_combination(gamma), displacement(alpha)
    squares = [trace.record.square(v).sum(dim=1) for v in (bent, way)]
    return trace.steps["alpha"] * ratio(*squares).sqrt()


def push_in_data(trace: Trace, sigma_data: float) -> Tensor:  # -> [n]
    """gamma rms(delta) / sigma_d at every step, over all samples."""
    delta = trace.record.dot("delta", "delta").sum(dim=1) / (trace.batch * trace.count)
    return trace.steps["gamma"] * delta.sqrt() / sigma_data


def times_as_far(overmean: float, strength: float, top: Mapping[str, float]) -> tuple[float, float]:
    """Lengths of a run in units of another's: exp(overmean - overmean'), strength / strength'.  top: of that, > 0"""
    apart = min(overmean - top["overmean"], LARGEST_LOG)
    return math.exp(apart), strength / top["strength"]


def value_at(values: Tensor, levels: Tensor, level: float) -> float:  # [n] x2
    """A value at a noise level: between the two steps beside it in ln r; beyond all steps, at the nearest within 2x."""
    finite = values.isfinite() & levels.isfinite() & (levels > 0)
    places, own = (levels[finite] / level).log(), values[finite]
    above, below = (torch.where(side, places.abs(), math.inf) for side in (places >= 0, places <= 0))
    if not len(own):
        return math.nan
    (high, up), (low, down) = above.min(dim=0), below.min(dim=0)
    if bool(high + low < math.inf):
        share = float(low / (high + low)) if high + low > 0 else 0.0
        return float(own[down] + share * (own[up] - own[down]))
    near, at = torch.minimum(high, low), up if high < low else down
    return float(own[at]) if near <= NEAR else math.nan


def whole_run(trace: Trace, sigma_data: float) -> bool:
    """Whether a run goes from noise to a clean sample.  sigma_data: rms of clean data, nan: only its end is asked."""
    return trace.n > 0 and not begins_late(trace, sigma_data) and not ends_early(trace, sigma_data)


def begins_late(trace: Trace, sigma_data: float) -> bool:
    """Whether a run begins with something that is no noise: a second stage, or a picture; sigma_data as above."""
    return bool(noise_levels(trace)[0] < EARLY * sigma_data)


def ends_early(trace: Trace, sigma_data: float) -> bool:
    """Whether a run leaves noise for another to take away; sigma_data as above."""
    last = trace.steps["sigma_next"][-1] / trace.steps["alpha_next"][-1]
    return not bool(last <= (CLEAN * sigma_data if sigma_data > 0 else 0.0))


def _own_prediction(trace: Trace) -> Tensor:  # -> [n] bool
    """Steps that are no way back to a noisier level."""
    return torch.tensor([stage != "recur" for stage in trace.stage], dtype=torch.bool)
