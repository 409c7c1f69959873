"""One function a metric: a number per sample, float64, nan where it is undefined.

Metrics of inner products take a GramRecord of any leading shape (items, or steps x items); gamma, sigma and alpha are
numbers or tensors that broadcast against it. Only saturation reads whole tensors, [B, ...] -> [B].
Metrics that compare with the denoising displacement use the VE-equivalent one, u - x / alpha, so that a flow model and
its VE twin give the same numbers; it is written times alpha, which also holds at alpha = 0 (flow at sigma = 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..guidance.vectors import flat, promote, square
from .gram import (
    Coefficient,
    Combination,
    GramRecord,
    displacement,
    fill_absent,
    plus,
    point,
    reference_scale,
)
from .terms import Term, columns_of_pass, effects_of_pass, passes_of

QUANTILE = 0.999  # of |c| per channel and item: the bound of M10 where the space has no bound of its own
MOST_BOUNDING = 1 << 15  # values of an item from which that bound is taken
IDENTITY_LIMIT = 1e-4  # of M12; float32 steps leave about 1e-6
FLOOR_FACTOR = 10  # a difference below this many precision floors is not meaningful
ROUNDING_OF_DIFFERENCE = 0.297  # rms rounding error of c - u in units of eps * rms(u); measured, Gaussian values
DEPENDENT = 1e-12  # squared sine of the angle between two axes below which they count as one
ALIKE = 1e-9  # the same, below which nobody can tell which of them something lies along
FRAMES = 2  # axis of time in a film
BOTH, ALONE = 2, 1  # of u and c: both were predicted, c alone


def difference_combination(gamma: Coefficient) -> dict[str, Coefficient]:
    """D - u over the recorded vectors: gamma delta + (D - G)."""
    return {"delta": reference_scale(gamma), "D-G": 1.0}


def guidance_strength(record: GramRecord, gamma: Coefficient, alpha: Coefficient = 1.0) -> Tensor:  # >= 0
    """M1: how far guidance bends the ray.  |D - u| / |u - x / alpha|; 0 where D = u, nan where nothing is denoised."""
    return ratio(alpha * _length(record, difference_combination(gamma)), _length(record, displacement(alpha)))


def difference_size(record: GramRecord, count: int) -> Tensor:  # >= 0, data units
    """M2: rms(delta).  count: N, the elements of one item."""
    return _length(record, {"delta": 1.0}) / count**0.5


def difference_in_noise(record: GramRecord, sigma: Coefficient, count: int, alpha: Coefficient = 1.0) -> Tensor:
    """M2e: rms of the difference of the two noise predictions.  alpha rms(delta) / sigma; nan at sigma = 0."""
    return ratio(alpha * difference_size(record, count), torch.as_tensor(sigma, dtype=torch.float64))


def shell_ratio(record: GramRecord, gamma: Coefficient, sigma_data: float, count: int) -> Tensor:  # >= 0
    """M3: length of the guided prediction against clean data.  rms(D) / sigma_data; a posterior mean stays below 1."""
    return _length(record, point("D", gamma)) / (sigma_data * count**0.5)


def shell_ratio_to_cond(record: GramRecord, gamma: Coefficient) -> Tensor:  # >= 0
    """M3c: |D| / |c|."""
    return ratio(_length(record, point("D", gamma)), _length(record, point("c")))


def direction_angle(record: GramRecord, alpha: Coefficient = 1.0) -> Tensor:  # radians, 0 .. pi
    """Angle between the displacements to u and to c; exact when tiny.  1 - M4 = 2 sin^2(angle / 2).

    atan2(|w across v|, <w, v> / |v|) of v to u and w to c, the part across taken as a combination so that nothing
    large cancels.
    """
    v = displacement(alpha)
    w, length = plus(v, {"delta": alpha}), _length(record, v)
    along = ratio(record.combination(v, w), length)
    across = _length(record, plus(w, v, -along / length))
    return torch.where(_length(record, w) == 0, torch.nan, torch.atan2(across, along))


def direction_agreement(record: GramRecord, alpha: Coefficient = 1.0) -> Tensor:  # -1 .. 1
    """M4: cos(u - x / alpha, c - x / alpha), the cosine of the two noise predictions.

    Source: Castillo et al. 2023, arXiv 2312.12487.
    """
    return direction_angle(record, alpha).cos()


def prediction_agreement(record: GramRecord) -> Tensor:  # -1 .. 1
    """M5: cos(u, c)."""
    return _cosine(record, point("u"), point("c"))


def share_along_cond(record: GramRecord) -> Tensor:  # -1 .. 1
    """M6c: how much of the difference lies along the conditional prediction.  cos(delta, c).

    Its square is what a rule that projects along c would remove. Source: Sadat et al. 2024, arXiv 2410.02416.
    """
    return _cosine(record, point("delta"), point("c"))


def tug(record: GramRecord, alpha: Coefficient = 1.0) -> Tensor:  # -1 .. 1
    """M6t: does the unconditional prediction pull back?  cos(delta, u - x / alpha).

    0 when x was never pushed and u is E[c | x]; negative when guidance has pushed too far. Not valid with a negative
    prompt or a weak model in place of u.
    """
    return _cosine(record, point("delta"), displacement(alpha))


def move_length(record: GramRecord, count: int) -> Tensor:  # >= 0, units of the state
    """M7: rms of the deterministic part of the step."""
    return _length(record, {"move": 1.0}) / count**0.5


def noise_length(record: GramRecord, count: int) -> Tensor:  # >= 0, units of the state
    """M8: rms of the random part of the step."""
    return _length(record, {"noise": 1.0}) / count**0.5


def noise_to_move(record: GramRecord) -> Tensor:  # >= 0
    """M8r: |noise| / |move|; nan where nothing moves."""
    return ratio(_length(record, {"noise": 1.0}), _length(record, {"move": 1.0}))


def straightness(record: GramRecord) -> Tensor:  # -1 .. 1
    """M9: do two steps in a row go the same way?  cos(move-1, move), the deterministic parts."""
    return _cosine(record, {"move-1": 1.0}, {"move": 1.0})


def progress_along(record: GramRecord, gamma: Coefficient) -> Tensor:  # state squared
    """M9a: where the step before went, along the way to the guided prediction.  <move-1 + noise-1, D - x>"""
    return record.combination({"move-1": 1.0, "noise-1": 1.0}, plus(point("D", gamma), point("x"), -1.0))


def bound_of(cond: Tensor) -> Tensor:  # [B, C, ...] -> [B, C, 1 ...]
    """The bound of M10 for a space without one: the 99.9 % quantile of |c| per channel and item.

    Of a larger item it is that of at most 32,768 evenly strided values, so that the share of the item that lies beyond
    it is .1 % with a standard error of .02 %.
    """
    rows = cond.flatten(2) if cond.ndim > 2 else cond[..., None]
    stride = max(math.ceil(rows.shape[1:].numel() / MOST_BOUNDING), 1)
    while math.gcd(stride, rows.shape[2]) > 1:  # or only some columns of a picture were ever looked at
        stride += 1
    size = promote(rows[..., ::stride]).abs()
    beyond = size.shape[2] - min(size.shape[2], 1 + int(QUANTILE * (size.shape[2] - 1) + 0.5))
    beyond = max(beyond - (stride > 1), 0)  # above the k-th largest of n lie k / (n + 1) of all
    return size.topk(beyond + 1, dim=2).values[..., -1].reshape(*cond.shape[:2], *(1,) * (cond.ndim - 2))


def saturation(denoised: Tensor, bound: Tensor | float = 1.0) -> Tensor:  # [B, ...] -> [B], 0 .. 1
    """M10: share of elements with |D| > bound, nan for an item with nan.  bound: 1 for pixels, or `bound_of(c)`.

    Excess cut off at the smallest positive number counts as one of it, and nan stays nan.
    """
    excess = flat(promote(denoised).abs().sub_(bound))
    least = torch.finfo(excess.dtype).tiny
    return excess.clamp_(0, least).sum(dim=1).double() / (least * excess.shape[1])


def saturation_excess(of_denoised: Tensor, of_cond: Tensor) -> Tensor:  # [...], -1 .. 1
    """M10c: the share beyond the bound that cond does not have.  M10(D) - M10(c), from the two shares."""
    return of_denoised - of_cond


def out_of_plane(record: GramRecord) -> Tensor:  # 0 .. 1
    """M11: share of a step that leaves the plane of x, u and c.  |v - its part in span(a, delta)| / |v|,  v = x' - x.

    0 for a one-stage deterministic step with plain CFG. Products and sums in float64 leave 1e-8 where nothing is left.
    """
    return _share_outside(record, {"move": 1.0, "noise": 1.0}, ("a", "delta"))


def out_of_span(record: GramRecord) -> Tensor:  # 0 .. 1
    """M11s: share of a step that leaves span(x, u, c); steps that scale x (ancestral ones on flow) stay inside."""
    return _share_outside(record, {"move": 1.0, "noise": 1.0}, ("a", "delta", "u"))


def identity_residual(unexplained: Tensor, state: Tensor, sigma: Coefficient) -> Tensor:  # [..., B] x2 -> [..., B]
    """M12: does the split add up?  rms(unexplained) / sigma; nan at sigma = 0, nan or inf are kept.

    unexplained: rms of x' - x - noise - the step's move by the sampler's response, over the response's largest weight
    if that is above 1: so far it enlarges the rounding of what it reads. state: rms of x; where float32 resolves no
    less than 1e-4 sigma of it, 1e-4 is what it does resolve.
    """
    noise = torch.as_tensor(sigma).double()
    resolved = torch.as_tensor(precision_floor(state, torch.float32)).nan_to_num() * (FLOOR_FACTOR / IDENTITY_LIMIT)
    return ratio(unexplained, torch.where(noise == 0, noise, torch.maximum(noise, resolved)))


def direction_memory(record: GramRecord, count: int, floor: Coefficient = 0.0) -> Tensor:  # -1 .. 1
    """M13: cos(delta-1, delta) of two steps in a row; nan where either is at the precision floor.

    floor: rms below which a difference is rounding (`precision_floor`); 0 asks only for a non-zero difference.
    """
    least = FLOOR_FACTOR * torch.as_tensor(floor).double() * count**0.5
    before, now = {"delta-1": 1.0}, {"delta": 1.0}
    long_enough = (_length(record, before) >= least) & (_length(record, now) >= least)
    return torch.where(long_enough, _cosine(record, before, now), torch.nan)


def extrapolation_error(record: GramRecord, predicted: Combination) -> Tensor:  # >= 0
    """M14: |delta - predicted| / |delta|; nan where the difference is zero.  predicted: from `predicted_difference`."""
    return ratio(_length(record, plus({"delta": 1.0}, predicted, -1.0)), _length(record, {"delta": 1.0}))


def sensitivity(record: GramRecord, gamma: Coefficient) -> Tensor:  # >= 0, per unit of gamma
    """M16: how much one unit of scale changes the prediction.  |delta| / |D - x|; nan where D = x."""
    return ratio(
        _length(record, {"delta": 1.0}),
        _length(record, plus(point("D", gamma), point("x"), -1.0)),
    )


def effective_scale(
    record: GramRecord, gamma: Coefficient, apart: Combination | None = None, floor: Coefficient = 0.0
) -> Tensor:  # [...], any sign
    """M19: the scale at which plain guidance comes nearest to what guided.  1 + <D' - c, delta> / |delta|^2

    D' = D - apart: what is named, such as gradients with their weights and further passes. gamma: from which D - G is
    counted; it does not change the result. floor: length of the rounding in delta, if it is more than that of float32;
    nan where delta is not well above it, and where rounding alone could move the scale by one.
    """
    push, size = beyond_c(gamma, apart), _length(record, {"delta": 1.0})
    rounded = torch.maximum(torch.as_tensor(floor), rounding_beside(record, {"u": 1.0}) / FLOOR_FACTOR)
    resolved = (size > FLOOR_FACTOR * rounded) & (_length(record, push) * rounded < size.square())
    return torch.where(resolved, 1 + record.combination(push, {"delta": 1.0}) / size.square(), torch.nan)


def share_across(
    record: GramRecord, gamma: Coefficient, apart: Combination | None = None, floor: Coefficient = 0.0
) -> Tensor:  # 0 .. 1
    """M19a: how much of the push is no guidance at any scale.  |across|^2 / |D' - c|^2; 0 where across is rounding.

    across = D' - c - (gamma_eff - 1) delta. gamma: from which D - G is counted. apart: what is named and taken out of
    D. floor: length of the rounding in delta, if it is more than that of float32.
    """
    push = beyond_c(gamma, apart)
    along = effective_scale(record, gamma, apart, floor) - 1
    across = _length(record, plus(push, {"delta": along}, -1.0))
    rounded = across <= rounding_beside(record, push)
    return torch.where(rounded, 0.0, ratio(across, _length(record, push)).square().clamp(max=1))


def scales_of(
    record: GramRecord, gamma: Tensor, weights: Combination, floor: Coefficient
) -> tuple[Tensor, Tensor]:  # gamma [n] -> [n, B] x2
    """M19 and M19a of a run.  weights: of what is named; where a vector or its weight is absent it took no part."""
    apart = {name: weight.nan_to_num() if isinstance(weight, Tensor) else weight for name, weight in weights.items()}
    given = fill_absent(record), gamma[:, None], apart, floor
    return effective_scale(*given), share_across(*given)


def beyond_c(gamma: Coefficient, apart: Combination | None = None) -> Combination:
    """D - c, less what is named."""
    return plus(plus(point("D", gamma), point("c"), -1.0), apart or {}, -1.0)


def rounding_beside(record: GramRecord, v: Combination) -> Tensor:  # a length
    """How long a sum of vectors beside u may be and still be rounding: no sum is more exact than its longest term.

    The host's rules count from x, so that it is one of them.
    """
    terms = [*({name: value} for name, value in {**v, "u": 1.0}.items()), point("x")]
    longest = torch.stack([_length(record, term) for term in terms]).amax(dim=0)
    return torch.as_tensor(FLOOR_FACTOR * precision_floor(longest, torch.float32))


def has_frames(x: Tensor) -> bool:
    """Whether samples are films of more than one frame, [B, C, T, H, W]."""
    return x.ndim == 5 and x.shape[FRAMES] > 1


def share_of_motion(v: Tensor) -> Tensor:  # [B, C, T, H, W] -> [B] float64, 0 .. 1
    """M20: how much of a vector changes from frame to frame.  |v - mean over T|^2 / |v|^2; nan where v is zero.

    0: all frames are pushed alike. Independent noise in every frame: (T - 1) / T.
    """
    wide_v = promote(v)
    still = wide_v.mean(dim=FRAMES, keepdim=True)
    return ratio(square(wide_v - still), square(wide_v))


def gradient_direction(record: GramRecord, name: str) -> Tensor:  # -1 .. 1
    """M18: does a classifier agree with guidance?  cos(g, delta); nan where either is zero or unknown.

    name: of the recorded gradient g, a shift of x0-hat at weight 1. Exact models: 1.
    """
    return _cosine(record, {name: 1.0}, {"delta": 1.0})


def gradient_to_difference(record: GramRecord, name: str) -> Tensor:  # >= 0
    """M18r: |g| / |delta|. Exact models: 1."""
    return ratio(_length(record, {name: 1.0}), _length(record, {"delta": 1.0}))


def gradient_share(record: GramRecord, name: str) -> Tensor:  # >= 0
    """M18s: |g| / |u|, with the only prediction made in the place of u where there is one."""
    return ratio(_length(record, {name: 1.0}), _length(record, point("u")))


def precision_floor(size: Tensor | float, dtype: torch.dtype) -> Tensor | float:
    """Rms of the rounding noise in delta when the predictions were rounded to dtype.  0.297 eps rms(u).

    size: rms of what the network predicts, u for x0 networks, a = u - x for the others.
    """
    return ROUNDING_OF_DIFFERENCE * torch.finfo(dtype).eps * size


def ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below, nan (never inf) where below is zero."""
    return torch.where(below == 0, torch.nan, above / below)


def _length(record: GramRecord, v: Combination) -> Tensor:
    return record.square(v).sqrt()


def _cosine(record: GramRecord, v: Combination, w: Combination) -> Tensor:
    return ratio(record.combination(v, w), _length(record, v) * _length(record, w)).clamp(-1, 1)


def _share_outside(record: GramRecord, v: Combination, axes: tuple[str, ...]) -> Tensor:
    """|v - its part in the span of the axes| / |v|."""
    inside = projection(record, v, axes)
    return ratio(_length(record, plus(v, inside, -1.0)), _length(record, v))


def projection(record: GramRecord, v: Combination, axes: tuple[str, ...]) -> dict[str, Tensor]:
    """The part of v in the span of the axes, by least squares on unit axes; one of length 0 takes no part."""
    scale, inner = _unit_axes(record, axes)
    inverse = torch.linalg.pinv(inner, rtol=DEPENDENT, hermitian=True)
    along = torch.stack([record.combination({axis: 1.0}, v) for axis in axes], dim=-1) * scale
    weights = (inverse @ along[..., None])[..., 0] * scale
    return {axis: weights[..., i] for i, axis in enumerate(axes)}


def independent(record: GramRecord, axes: tuple[str, ...]) -> Tensor:  # [...] bool
    """Whether no two sums of the axes give the same vector; one of length 0 takes no part."""
    scale, inner = _unit_axes(record, axes)
    return torch.linalg.eigvalsh(inner + torch.diag_embed((scale == 0).double()))[..., 0] > ALIKE


def _unit_axes(record: GramRecord, axes: tuple[str, ...]) -> tuple[Tensor, Tensor]:  # [..., A], [..., A, A]
    """One over the length of each axis, 0 where it has none, and the inner products of the unit axes."""
    lengths = torch.stack([_length(record, {axis: 1.0}) for axis in axes], dim=-1)
    scale = torch.where(lengths == 0, 0.0, 1 / lengths)
    inner = record.part(axes).matrix() * scale[..., None, :] * scale[..., :, None]
    finite = inner.isfinite().all(dim=-1, keepdim=True).all(dim=-2, keepdim=True)
    return scale, torch.where(finite, inner, 0.0)


@dataclass(frozen=True)
class Metric:
    """One line of the table: what it is called, its unit, and where a trace finds it.

    function reads the GramRecord, plus `needs` of gamma, sigma, alpha, sigma_data and count by name.
    column names the trace's column instead, for what inner products of one step cannot give.
    """

    name: str
    unit: str = ""
    function: Callable[..., Tensor] | None = None
    needs: tuple[str, ...] = ()
    column: str = ""

    def values(
        self, record: GramRecord, columns: Mapping[str, Tensor], count: int, sigma_data: float | None
    ) -> Tensor:  # -> [n, B] float64
        """The metric of every step and sample, nan where it is unknown.

        columns: of the trace. count: N, elements of one sample. sigma_data: rms of clean data, None where unknown.
        """
        if self.function is None:
            unknown = torch.full(record.K.shape[:-1], torch.nan, dtype=torch.float64)
            return columns.get(self.column, unknown)
        given = {"count": count, "sigma_data": math.nan if sigma_data is None else float(sigma_data)}
        given |= {name: columns[name][:, None] for name in self.needs if name not in given}
        return self.function(record, **{need: given[need] for need in self.needs})


METRICS = {
    "M1": Metric("guidance strength", "", guidance_strength, ("gamma", "alpha")),
    "M2": Metric("difference size", "rms, data", difference_size, ("count",)),
    "M2e": Metric("difference of noise predictions", "rms, noise", difference_in_noise, ("sigma", "count", "alpha")),
    "M3": Metric("shell ratio", "", shell_ratio, ("gamma", "sigma_data", "count")),
    "M3c": Metric("shell ratio to cond", "", shell_ratio_to_cond, ("gamma",)),
    "M4": Metric("direction agreement", "cosine", direction_agreement, ("alpha",)),
    "M5": Metric("prediction agreement", "cosine", prediction_agreement),
    "M6c": Metric("difference along cond", "cosine", share_along_cond),
    "M6t": Metric("tug", "cosine", tug, ("alpha",)),
    "M7": Metric("step length", "rms, state", move_length, ("count",)),
    "M8": Metric("noise length", "rms, state", noise_length, ("count",)),
    "M8r": Metric("noise to step", "", noise_to_move),
    "M9": Metric("straightness", "cosine", column="m9"),
    "M9a": Metric("move along the next prediction", "state squared", column="m9a"),
    "M10": Metric("saturation", "share", column="m10"),
    "M10c": Metric("saturation excess over cond", "share", column="m10c"),
    "M11": Metric("out-of-plane share", "", column="m11"),
    "M11s": Metric("out-of-span share", "", column="m11s"),
    "M12": Metric("identity residual", "sigma", column="m12"),
    "M13": Metric("direction memory", "cosine", column="m13"),
    "M14": Metric("extrapolation error", "", column="m14"),
    "M16": Metric("sensitivity", "per unit of scale", sensitivity, ("gamma",)),
    "M19": Metric("effective scale", "", column="gamma_eff"),
    "M19a": Metric("share across the difference", "share", column="across"),
}


MOTION = {  # of films alone
    "M20": Metric("motion of the difference", "share", column="motion_of_difference"),
    "M20p": Metric("motion of the push", "share", column="motion_of_push"),
}


def motion_metrics(columns: Container[str]) -> dict[str, Metric]:
    """What a film adds to METRICS: MOTION, where the trace has its columns."""
    return {name: metric for name, metric in MOTION.items() if metric.column in columns}


def term_metrics(terms: Sequence[Term], columns: Container[str]) -> dict[str, Metric]:
    """What the terms of a run add to METRICS, where the trace has their columns.

    "log_prob gradient", "log_prob watch", ... and of each that guides "M18 gradient", "M18r gradient", "M18s gradient".
    """
    log_probs = {
        term.column: Metric("log p of what was asked for", "nats", column=term.column)
        for term in terms
        if term.column in columns
    }
    kinds = {
        "M18": ("gradient along the difference", "cosine", gradient_direction),
        "M18r": ("gradient to difference", "", gradient_to_difference),
        "M18s": ("gradient to prediction", "", gradient_share),
    }
    return log_probs | {
        f"{number} {term.name}": Metric(words, unit, partial(function, name=term.name))
        for term in terms
        if term.guides
        for number, (words, unit, function) in kinds.items()
    }


def pass_metrics(columns: Collection[str]) -> dict[str, Metric]:
    """What the further passes of a run add to METRICS: "pass STG", "along STG", "across STG", ..."""
    metrics = {}
    for name in passes_of(columns):
        along, across = effects_of_pass(name)
        metrics[columns_of_pass(name)[-1]] = Metric("further pass to what it repeats", "rms, data")
        metrics[along] = Metric("scale that a further pass adds")
        metrics[across] = Metric("share of it across the difference", "share")
    return {column: replace(metric, column=column) for column, metric in metrics.items() if column in columns}
