"""Measured runs of several rules as a plane: prompt strength across, denoising ratio up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..guidance.vectors import flat
from ..measure.estimates import Estimate, variety
from ..measure.measurement import Measurement, measurement_of
from ..measure.plane import UNGUIDED, Plane, RuleCurve
from ..trace.trace import END, Trace
from ..verdict.measured import beside_of
from ..verdict.picks import PLAIN
from .axes import RULE, Axis, is_chance, is_seed
from .measures import OWN
from .results import Row

CONTROL = " by scale alone"  # ends the name of a rule's control: plain guidance at its effective scale
CFG = "cfg"  # the word of its axis
NO_PLANE = "Rules are not compared at equal prompt strength: {}"
UNMEASURED = "no run was measured by its model: ask for prompt_strength and denoising_ratio"
NO_PLAIN = "no run of plain guidance was measured; it is what rules are compared with"
NO_UNGUIDED = "plain guidance was not measured at cfg 1, from which departure counts: add cfg 1"
NO_RULE = "no rule was measured at two values of cfg, of the seeds of plain guidance"
ONE_SEED = "one picture of each value tells no rule from another: add seeds"


class MeasuredRun(NamedTuple):
    """A run whose finished samples were measured.

    rule: its name. cfg: the value of the widget. draw: seed, prompt and label, by which runs are paired. evaluations:
    of the network for one sample. samples: [B, ...] for its variety, None where they are not known. prompts: of each.
    """

    rule: str
    cfg: float
    draw: Any
    measured: Measurement
    evaluations: float
    samples: Tensor | None = None
    prompts: Sequence[Any] = ()


def measured_run(
    trace: Trace, rule: str, cfg: float, draw: Any, prompts: Sequence[Any], samples: Tensor | None = None
) -> MeasuredRun | None:
    """A run by its trace, None where it was not measured.  samples: where the trace does not hold its end"""
    measured = measurement_of(trace.header)
    if measured is None:
        return None
    end = trace.tensors[END].float() if samples is None and END in trace.tensors else samples
    return MeasuredRun(rule, cfg, draw, measured, float(trace.header.get("evaluations") or 0), end, prompts)


def plane_of(runs: Sequence[MeasuredRun], plain: str, controls: Sequence[MeasuredRun] = ()) -> Plane:
    """The plane of runs.  plain: the rule that is none. controls: each by the name of the rule that it is of.

    Only draws that plain guidance has at every value count, and only values at which a rule has all of these. Raises
    ValueError that says what is missing.
    """
    table, of_scale = by_rule(runs), by_rule(controls)
    if not table:
        raise ValueError(f"{UNMEASURED}.")
    if plain not in table:
        raise ValueError(f"{NO_PLAIN}.")
    most = max(map(len, table[plain].values()))
    full = {cfg: by_draw for cfg, by_draw in table[plain].items() if 2 * len(by_draw) > most}
    if UNGUIDED not in full:
        raise ValueError(f"{NO_UNGUIDED}.")
    shared = (draw for draw in full[UNGUIDED] if all(draw in by_draw for by_draw in full.values()))
    draws = sorted(shared, key=str)  # whoever lists the runs: a resample is of the same pictures
    base = [full[UNGUIDED][draw] for draw in draws]
    if sum(run.measured.count for run in base) < 2:
        raise ValueError(f"{ONE_SEED}.")
    curves = {name: curve_of(name, by_cfg, draws, base) for name, by_cfg in table.items()}
    rules = [curve for name, curve in curves.items() if curve and name != plain]
    if not rules or (whole := curves[plain]) is None:
        raise ValueError(f"{NO_RULE}.")
    scales = {curve.name: curve_of(curve.name, of_scale.get(curve.name, {}), draws, base) for curve in rules}
    return Plane(whole, rules, {name: curve for name, curve in scales.items() if curve})


def by_rule(runs: Sequence[MeasuredRun]) -> dict[str, dict[float, dict[Any, MeasuredRun]]]:
    """Runs by rule, value and draw; the values rise."""
    table: dict[str, dict[float, dict[Any, MeasuredRun]]] = {}
    for run in sorted(runs, key=lambda run: run.cfg):
        table.setdefault(run.rule, {}).setdefault(run.cfg, {})[run.draw] = run
    return {name: table[name] for name in dict.fromkeys(run.rule for run in runs)}


def curve_of(
    name: str, by_cfg: Mapping[float, Mapping[Any, MeasuredRun]], draws: Sequence[Any], base: Sequence[MeasuredRun]
) -> RuleCurve | None:
    """The curve of a rule at the values that have every draw; None for fewer than two.  base: plain runs at cfg 1"""
    full = {cfg: [by_draw[d] for d in draws] for cfg, by_draw in by_cfg.items() if by_draw.keys() >= {*draws}}
    if len(full) < 2:
        return None
    points = [row[0].measured.joined(*(run.measured for run in row[1:])) for row in full.values()]
    varieties = [variety_of(row, base) for row in full.values()]
    known = [v for v in varieties if v is not None]
    spent = [fmean(run.evaluations for run in row) for row in full.values()]
    return RuleCurve(name, [*full], points, known if len(known) == len(full) else (), spent if all(spent) else ())


def variety_of(runs: Sequence[MeasuredRun], base: Sequence[MeasuredRun]) -> Estimate | None:
    """The variety of the samples of runs, over that of others; None where no two are of one prompt."""
    samples, others = ([run.samples for run in row] for row in (runs, base))
    if any(x is None for x in (*samples, *others)) or len({x.shape for x in (*samples, *others) if x is not None}) > 1:
        return None
    prompts = [prompt for run in runs for prompt in run.prompts]
    numbers = [sorted(map(str, {*prompts})).index(str(prompt)) for prompt in prompts]
    ends, plain = (flat(torch.cat([x for x in row if x is not None])) for row in (samples, others))
    estimate = variety(ends, plain, numbers)
    return estimate if estimate.value == estimate.value else None


def plane_of_sweep(
    rows: Sequence[Row], axes: Sequence[Axis], trace_of: Callable[[str], Trace], picture_of: Callable[[str], Tensor]
) -> tuple[Plane | None, str]:
    """The plane of a sweep over rule and cfg, or why there is none; neither where nothing asks for one.

    trace_of, picture_of: of a cell; pictures [H, W, 3] tell the variety where a trace does not hold its end.
    """
    varied = {axis.word: axis.name for axis in axes if len(axis.values) > 1}
    if not {CFG, RULE} <= varied.keys() or not any(OWN.keys() <= row["measures"].keys() for row in rows):
        return None, ""
    try:
        names = varied[CFG], varied[RULE]
        runs = [one for row in rows if (one := _run_of(row, axes, names, trace_of, picture_of))]
        plain = next((run.rule for run, is_plain in runs if is_plain), "")
        controls = [run._replace(rule=run.rule.removesuffix(CONTROL)) for run, _ in runs if run.rule.endswith(CONTROL)]
        return plane_of([run for run, _ in runs if not run.rule.endswith(CONTROL)], plain, controls), ""
    except ValueError as error:
        return None, NO_PLANE.format(error)


def _run_of(
    row: Row,
    axes: Sequence[Axis],
    names: tuple[str, str],
    trace_of: Callable[[str], Trace],
    picture_of: Callable[[str], Tensor],
) -> tuple[MeasuredRun, bool] | None:
    """A row as a measured run, and whether it is one of plain guidance; None where it was not measured."""
    cfg, rule = names
    trace, place = trace_of(row["id"]), row["place"]
    is_plain = beside_of(trace.header) == PLAIN
    draw = tuple((name, value) for name, value in place.items() if is_chance(name))
    others = [
        axis.name for axis in axes if len(axis.values) > 1 and not is_chance(axis.name) and axis.name not in names
    ]
    words = [] if is_plain else [f"{name} {place[name]}" for name in others]
    prompt = tuple(value for (name, value) in draw if not is_seed(name))
    samples = None if END in trace.tensors else picture_of(row["id"])[None]
    labels = (trace.header.get("labels") or []) if samples is None else []
    prompts = [(prompt, label) for label in labels] or [prompt] * (trace.batch if samples is None else 1)
    run = measured_run(trace, ", ".join([str(place[rule]), *words]), float(place[cfg]), draw, prompts, samples)
    return run and (run, is_plain)
