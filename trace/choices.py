"""What is shown of a run unless somebody asks for more: a step, the window that holds its push, bands, ends of an axis.

Which sample: `Trace.median_sample`. The record carries all of it, so that the browser chooses nothing anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .gram import GramRecord
from .guidance_effect import (
    BAND,
    EffectiveScale,
    alike_throughout,
    cfg_of,
    contraction,
    interval,
    push,
    push_weights,
    shares,
    tells,
)
from .metrics import FLOOR_FACTOR
from .trace import Trace

STILL = 0.4  # where in a run the default still lies: the condition has spoken, the picture is not settled yet
FEWEST = 3  # samples; of fewer there is no band


def default_step(trace: Trace, sample: int | None = None, among: Sequence[int] | None = None) -> int:
    """The step a still shows unless told otherwise: nearest to 0.4 of the run among those with a real difference.

    A difference counts when it is above ten precision floors. Without any such step: the one nearest to 0.4.
    among: steps it is chosen from, None for all.
    """
    sizes = trace.column("M2")
    mine = sizes.nanmean(dim=1) if sample is None else sizes[:, sample]
    offered = torch.zeros(trace.n, dtype=torch.bool)
    offered[list(range(trace.n)) if among is None else list(among)] = True
    real = offered & (mine > FLOOR_FACTOR * trace.steps["floor"].nan_to_num(0.0))
    distance = (torch.arange(trace.n, dtype=torch.float64) - STILL * trace.n).abs()
    return int(torch.where(real if real.any() else offered, distance, torch.inf).argmin())


def band(values: Tensor) -> Tensor:  # [..., B] -> [..., 2]
    """10th and 90th percentile over the samples that know a value; nan where fewer than three do."""
    if not values.numel():  # of a run whose record ended before its first step
        return values.new_full((*values.shape[:-1], 2), torch.nan)
    ends = values.nanquantile(BAND, dim=-1).movedim(0, -1)
    return torch.where((values.isfinite().sum(dim=-1) >= FEWEST)[..., None], ends, torch.nan)


def scale_axes(trace: Trace) -> Tensor:  # -> [B, 2]
    """Ends of an axis of effective scales, for each sample: it holds what pushes, with its band, and 0, 1 and cfg."""
    scales = trace.column("M19")
    pushing = tells(scales, torch.where(scales.isfinite(), push_weights(trace), 0.0))
    ends = band(scales)[:, None].expand(*scales.shape, 2)
    held = torch.where(pushing[..., None], torch.cat([scales[..., None], ends], dim=-1), torch.nan)
    given = torch.tensor([0.0, 1.0, cfg_of(trace)], dtype=torch.float64).expand(trace.batch, 3)
    values = torch.cat([held.movedim(1, 0).flatten(1), given], dim=1)
    finite = values.isfinite()
    low, high = torch.where(finite, values, torch.inf).amin(dim=1), torch.where(finite, values, -torch.inf).amax(dim=1)
    return torch.stack([low, high], dim=-1)


@dataclass(frozen=True)
class Pushes:
    """How far every step pushed beyond c, and an estimate of what later steps leave of it: [n, B], nan: unknown."""

    push: Tensor
    left: Tensor

    @classmethod
    def of(cls, record: GramRecord, columns: Mapping[str, Tensor], sigma_data: float | None) -> Pushes:
        """The pushes of these steps.  columns: of their trace. sigma_data: rms of clean data, None where unknown"""
        pushed = push(record, columns["gamma"][:, None], columns["kappa"][:, None])
        noisy = bool((record.dot("noise", "noise") > 0).any())
        left = contraction(columns["sigma_next"], columns["alpha_next"], sigma_data, noisy)
        return cls(pushed, pushed * left[:, None])

    def window(self, sample: int) -> tuple[int, int] | None:
        """First and last step of the shortest stretch that holds 80 % of the mean of both."""
        return interval(shares(self.push)[:, sample], shares(self.left)[:, sample])


def choices_of(trace: Trace, pushes: Pushes, samples: Sequence[int], steps: Sequence[int]) -> dict[str, list]:
    """What a figure shows of each of these samples by itself; nothing of a run without steps.

    pushes: of the run. step: the default one of these steps. window: first and last step that hold most of the push.
    least, most, across, weight: of the effective scale, and what one unit of it pushes. low, high: ends of its axis.
    alone: whether other samples acted otherwise.
    """
    if not steps:
        return {}
    weights, axes = push_weights(trace).nansum(dim=0), scale_axes(trace)
    rows = []
    for sample in samples:
        acted = EffectiveScale.of(trace, slice(sample, sample + 1))
        rows.append(
            {
                "samples": sample,
                "step": default_step(trace, sample, steps),
                "window": pushes.window(sample),
                "least": acted.least,
                "most": acted.most,
                "across": acted.across,
                "weight": float(weights[sample]),
                "low": float(axes[sample, 0]),
                "high": float(axes[sample, 1]),
                "alone": not all(alike_throughout(trace.column(name), sample) for name in ("M19", "M19a")),
            }
        )
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
