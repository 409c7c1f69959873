"""From the rows of a run to the columns of a trace."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import torch
from torch import Tensor

from ..guidance.extrapolation import predicted_difference
from ..guidance.vectors import on_cpu
from . import metrics
from .fit import Fits
from .gram import HISTORY, MASKED, GramRecord, with_history, with_zeros
from .guidance_effect import prove_scales
from .rows import LEVELS, RATIOS, Row, Setting
from .terms import columns_of_pass, effects_of_pass, vector_of_pass
from .trace import PER_SAMPLE, PER_STEP, SCALES

MOTION_COLUMNS = tuple(metric.column for metric in metrics.MOTION.values())


def columns_of(rows: list[Row], setting: Setting, start: int, solved: Fits) -> dict[str, Tensor]:
    """The columns from a step on, {name: [n] or [n, B, ...] float64 on the CPU}; they are fetched from the device here.

    All of it in one copy, because every one waits for the device. rows: of all steps. solved: their fits so far
    """
    known = len(solved.fits)
    taken, missed = on_cpu((rows[start:], [row.fit for row in rows[known:start]]))
    solved.fits += [*missed, *(row.fit for row in taken[max(known - start, 0) :])]
    levels = torch.tensor([row.levels for row in taken], dtype=torch.float64)
    columns = dict(zip(LEVELS, levels.unbind(dim=1), strict=True))
    record, count = _record_of(taken, setting), int(columns.pop("count")[0])
    ratios = [columns.pop(name)[:, None] for name in RATIOS]
    energy_values = torch.stack([row.energy_values for row in taken]).double()
    term_columns = {column: energy_values[:, i] for i, column in enumerate(setting.columns)}
    floor = torch.as_tensor(metrics.precision_floor((record.dot("a", "a") / count).sqrt(), setting.dtype))
    weights = {MASKED: 1.0} | {term.name: term_columns[term.weight] for term in setting.terms if term.guides}
    facts = (columns["gamma"], columns.pop("predictions"), weights, setting.passes, floor, count, setting.states_scales)
    columns["gamma"], record, *scales, pulled = prove_scales(record, *facts)
    memory = metrics.direction_memory(record, count, floor)
    across = {
        "m9": metrics.straightness(record),
        "m9a": metrics.progress_along(record, columns["gamma"][:, None]),
        "m13": torch.where(ratios[0].isnan() | ratios[1].isnan(), torch.nan, memory),
        "m14": metrics.extrapolation_error(record, predicted_difference(*ratios)),
    }
    measured = _tensor_columns(taken, torch.maximum(columns["sigma"], columns["sigma_next"])[:, None])
    kappa = torch.tensor([row.kappa for row in taken], dtype=torch.float64)
    proved = (measured["m12"] <= metrics.IDENTITY_LIMIT).all(dim=1)
    return {
        **columns,
        **term_columns,
        **dict(zip(SCALES, scales, strict=True)),
        **_pass_columns(taken, setting, record, pulled),
        **{name: _of_the_step_before(values) for name, values in across.items()},
        **measured,
        "sum": torch.stack([record.dot(name, "one") for name in ("u", "delta", "D-G")], dim=-1),
        "m11": metrics.out_of_plane(record),
        "m11s": metrics.out_of_span(record),
        "K": record.part(setting.vectors).K,
        "floor": floor.mean(dim=1),
        "kappa": torch.where(proved, kappa, torch.nan) if setting.response.steps else solved.kappas(start),
        **_motion_columns(taken),
    }


def _record_of(taken: list[Row], setting: Setting) -> GramRecord:  # -> [n, B]
    """The inner products of all measured vectors and of HISTORY."""
    names = setting.vector_names
    every = (*names, *HISTORY)
    alike = ((present, list(rows)) for present, rows in groupby(taken, lambda row: (row.rows, row.columns)))
    parts = []
    for (present, others), rows in alike:
        places = ([names.index(name) for name in present], len(names)), ([*map(every.index, others)], len(every))
        parts.append(with_zeros(torch.stack([row.products for row in rows]), *places))
    return with_history(names, torch.cat(parts))


def unknown_columns(levels: list[tuple[float, ...]], setting: Setting, batch: int) -> dict[str, Tensor]:
    """The columns of steps whose numbers nobody took: their noise levels and gamma, else nan."""
    names, n = LEVELS[: LEVELS.index("evals")], len(levels)
    pairs = len(setting.vectors) * (len(setting.vectors) + 1) // 2
    samples = (*PER_SAMPLE, *setting.columns, *(MOTION_COLUMNS if setting.has_frames else ()))
    shapes = dict.fromkeys(PER_STEP, (n,)) | dict.fromkeys(samples, (n, batch))
    shapes |= {"K": (n, batch, pairs), "sum": (n, batch, 3)}
    for name in setting.passes:
        shapes |= dict(zip(columns_of_pass(name), ((n,), (n,), (n, batch)), strict=True))
        shapes |= dict.fromkeys(effects_of_pass(name), (n, batch))
    level_columns = torch.tensor(levels, dtype=torch.float64).reshape(n, len(LEVELS))
    unknown = {name: torch.full(shape, torch.nan, dtype=torch.float64) for name, shape in shapes.items()}
    return unknown | dict(zip(names, level_columns.unbind(dim=1), strict=False))


def _pass_columns(
    taken: list[Row], setting: Setting, record: GramRecord, pulled: Mapping[str, tuple[Tensor, Tensor, Tensor]]
) -> dict[str, Tensor]:
    """What the further passes cost and did; unknown where only a later stage of a step made one."""
    columns, count = {}, taken[0].levels[LEVELS.index("count")]
    for name in setting.passes:
        vector = vector_of_pass(name)
        is_known = torch.tensor([vector in row.rows for row in taken])[:, None]
        size = torch.where(is_known, (record.dot(vector, vector) / count).sqrt(), torch.nan)
        cost = torch.tensor([row.passes.get(name, 0) for row in taken], dtype=torch.float64)
        scale, *effects = pulled[name]
        columns |= dict(zip(columns_of_pass(name), (cost, scale, size), strict=True))
        columns |= dict(zip(effects_of_pass(name), effects, strict=True))
    return columns


def _tensor_columns(taken: list[Row], noisier: Tensor) -> dict[str, Tensor]:
    """What inner products cannot give.  noisier: the noisier end of each step, [n, 1]."""
    beyond, beyond_of_cond = torch.stack([row.beyond for row in taken]).unbind(dim=1)
    unexplained, state = torch.stack([row.residual for row in taken]).unbind(dim=1)
    return {
        "m10": beyond,
        "m10c": metrics.saturation_excess(beyond, beyond_of_cond),
        "m12": metrics.identity_residual(unexplained, state, noisier),
    }


def _motion_columns(taken: list[Row]) -> dict[str, Tensor]:
    """Shares of motion, of films."""
    shares = [row.motion for row in taken if row.motion is not None]
    return dict(zip(MOTION_COLUMNS, torch.stack(shares).unbind(dim=1), strict=True)) if shares else {}


def _of_the_step_before(values: Tensor) -> Tensor:  # [n, B] -> [n, B]
    """Numbers that compare a step with the one before belong to the row of the earlier one; the last has none."""
    return torch.cat([values[1:], torch.full_like(values[:1], torch.nan)])
