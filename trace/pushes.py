"""Where guidance matters: how far each step was pushed beyond c, and what the steps after it leave of that push.

Two proxies from inner products alone. The change of the end that leaving guidance out at one step would make lies
roughly between them; only an ablation tells.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .effective import rounding
from .gram import Coefficient, Combination, GramRecord, fill_absent, plus
from .metrics import beyond_c, rounding_beside
from .terms import columns_of_pass, passes_of
from .trace import SCALES, Trace

HELD = 0.8  # share of the sum that `interval` holds
GUIDANCE = "guidance"  # among the names of what pushes: cfg and rules


def push(record: GramRecord, gamma: Coefficient, kappa: Coefficient) -> Tensor:  # -> [...], units of the state
    """How far the next state went beyond the conditional one's.  |kappa (D - c)|, kappa = dx'/dD; nan: unknown."""
    beyond = fill_absent(record).square(beyond_c(gamma)).sqrt()
    return torch.as_tensor(kappa, dtype=torch.float64).abs() * beyond


def parts_of(trace: Trace) -> dict[str, Combination]:
    """What D - c is made of: w g of each gradient g, by its name, and GUIDANCE is the rest."""
    guides = [term for term in trace.terms if term.guides and term.weight in trace.steps]
    parts: dict[str, Combination] = {term.name: {term.name: trace.steps[term.weight].nan_to_num()} for term in guides}
    rest = beyond_c(trace.steps["gamma"][:, None])
    for part in parts.values():
        rest = plus(rest, part, -1.0)
    return {GUIDANCE: rest} | parts


def lengths(trace: Trace, part: Combination) -> Tensor:  # -> [n, B], units of x0-hat
    """How long a part of D - c is; 0 where that is rounding: no sum is more exact than the longest it is made of."""
    record = fill_absent(trace.record)
    length = record.square(part).sqrt()
    return torch.where(length <= torch.maximum(rounding(trace), rounding_beside(record, part)), 0.0, length)


def pass_lengths(trace: Trace, name: str) -> Tensor:  # -> [n, B], units of x0-hat
    """How long the part of D is that a further pass made, 0 where it did not run; nan: unknown."""
    cost, weight, size = (trace.steps[column] for column in columns_of_pass(name))
    length = weight.abs()[:, None] * size * trace.count**0.5
    return torch.where((cost == 0)[:, None] | (size == 0), 0.0, length)


def push_shares(trace: Trace) -> dict[str, float]:
    """Whose the push of a run was: sums over steps and samples of |kappa v|, each over their sum; empty without any."""
    kappa = trace.steps["kappa"].abs()[:, None]
    made = {name: lengths(trace, part) for name, part in parts_of(trace).items()}
    if passes := {name: pass_lengths(trace, name) for name in passes_of(trace.steps)}:
        made = {**made, GUIDANCE: _beside_passes(trace, made[GUIDANCE]), **passes}
    sums = {name: float((kappa * length).nansum()) for name, length in made.items()}
    total = sum(sums.values())
    return {name: value / total for name, value in sums.items()} if total > 0 else {}


def _beside_passes(trace: Trace, whole: Tensor) -> Tensor:  # -> [n, B]
    """How long D' - c is, from its scale and its share across; the whole of D - c where these are unknown."""
    scale, across = (trace.steps[name] for name in SCALES)
    delta = lengths(trace, {"delta": 1.0})
    length = (scale - 1).abs() * delta / (1 - across).sqrt()
    return torch.where(length.isfinite(), length, torch.where(delta > 0, whole, 0.0))


def contraction(sigma_next: Tensor, alpha_next: Tensor, sigma_data: float | None, noisy: bool) -> Tensor:  # 0 .. 1
    """What is left of a push at the end, for Gaussian data of rms sigma_data; nan where that is unknown.

    deterministic: sigma_d / sqrt(alpha'^2 sigma_d^2 + sigma'^2)    with fresh noise: alpha' sigma_d^2 / (...)
    """
    data = math.nan if sigma_data is None or sigma_data <= 0 else float(sigma_data)
    variance = (alpha_next * data).square() + sigma_next.square()
    return alpha_next * (data * data) / variance if noisy else data / variance.sqrt()


def shares(values: Tensor) -> Tensor:  # [n, ...] -> [n, ...], sums to 1 over the known steps
    """Every step's part of the sum over the run; nan stays nan, a run without any push has 0 everywhere."""
    total = values.nansum(dim=0)
    return values / torch.where(total == 0, 1.0, total)


def interval(first: Tensor, second: Tensor) -> tuple[int, int] | None:  # [n] x2 -> first and last step
    """The shortest run of steps that holds 80 % of the mean of two shares, the first of equals; None if none does."""
    mean = torch.stack([first, second]).nanmean(dim=0).nan_to_num(0.0)
    before = torch.cat([mean.new_zeros(1), mean.cumsum(dim=0)])
    longest = None
    for start in range(len(mean)):
        ends = (before[start + 1 :] - before[start] >= HELD - 1e-9).nonzero()
        if len(ends) and (longest is None or int(ends[0]) < longest[1] - longest[0]):
            longest = (start, start + int(ends[0]))
    return longest
