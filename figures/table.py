"""A run as a table: text for the eye, CSV and JSON for other programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from ..guidance.printing import count_of, nth
from ..trace.file import even_positions
from ..trace.metrics import METRICS
from ..trace.portable import jsonable
from ..trace.terms import columns_of_pass, passes_of
from ..trace.trace import Trace
from .scene import check_index, run_words

LEVELS = ("sigma", "sigma_next", "alpha", "alpha_next", "gamma", "kappa", "evals")
SHOWN = ("M1", "M2", "M3", "M5", "M6t", "M7", "M8", "M10", "M11", "M12", "M13", "M14", "M19", "M19a")
FACTS = (
    "sampler",
    "scheduler",
    "cfg",
    "seed",
    "space",
    "chain",
    "model",
    "host",
    "latent",
    "sigma_data",
    "evaluations",
)
ABSENT = "-"
MOST_ROWS = 10_000  # of a file: about 13 MB of JSON


def kept_steps(trace: Trace, each: int) -> list[int]:
    """Steps of a table of at most MOST_ROWS rows, evenly, the first and the last among them.  each: rows of a step"""
    return even_positions(trace.n, max(MOST_ROWS // max(each, 1), 2))


def left_out(trace: Trace) -> str:
    """What a table of all samples lacks, as a sentence; nothing where it holds every step."""
    steps = len(kept_steps(trace, trace.batch))
    if steps == trace.n:
        return ""
    return f"The files hold {steps:,} of {trace.n:,} steps, evenly: at most {MOST_ROWS:,} rows. Save Trace keeps all."


def spent_on_passes(trace: Trace) -> list[str]:
    """Columns of what the further passes cost and of their weights."""
    return [column for name in passes_of(trace.steps) for column in columns_of_pass(name)[:2]]


def rows_of(trace: Trace, samples: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """One row per step and sample: step, sample, stage, the noise levels, and every metric; nan where undefined.

    samples: which ones; None is all. Steps of a long run are left out, evenly (`kept_steps`).
    """
    columns = {name: trace.column(name) for name in trace.metrics}
    samples = range(trace.batch) if samples is None else samples
    rows = []
    for step in kept_steps(trace, len(samples)):
        levels = {name: float(trace.steps[name][step]) for name in (*LEVELS, *spent_on_passes(trace))}
        for sample in samples:
            numbers = {name: float(column[step, sample]) for name, column in columns.items()}
            rows.append({"step": step, "sample": sample, "stage": trace.stage[step], **levels, **numbers})
    return rows


def as_text(trace: Trace, sample: int | None = None) -> str:
    """What the columns are, then the first metrics of one sample, a line per step. sample: None is the median of M1."""
    median = trace.median_sample()
    chosen = median if sample is None else check_index(sample, trace.batch, "sample")
    rows = rows_of(trace, [chosen] if trace.batch else [])
    metrics = {name: metric for name, metric in trace.metrics.items() if name in SHOWN or name not in METRICS}
    shown = [name for name in metrics if any(math.isfinite(row[name]) for row in rows)]
    head = ["step", "sigma", "gamma", *spent_on_passes(trace), *shown]
    cells = [[str(nth(row["step"])), *(_short(row[name]) for name in head[1:])] for row in rows]
    which = f"sample {chosen} of 0-{trace.batch - 1}" + (" (median)" if chosen == median else "")
    widest = max((len(name) for name in shown), default=0)
    units = {name: f" ({metrics[name].unit})" if metrics[name].unit else "" for name in shown}
    legend = [f"{name:<{widest}} {metrics[name].name}{units[name]}" for name in shown]
    named = {"sigma": "noise", "gamma": "scale"}
    titles = [named.get(name, name) for name in head]
    run = f"{run_words(trace)}, cfg {trace.header.get('cfg')}, {count_of(trace.n, 'step')}"
    return "\n".join([f"{run}, {which}", "", *legend, "", *_align([titles, *cells])])


def as_csv(trace: Trace) -> str:
    """All steps, samples and metrics as comma-separated values; an undefined number is an empty cell."""
    rows, out = rows_of(trace), io.StringIO()
    names = ["step", "sample", "stage", *LEVELS, *spent_on_passes(trace), *trace.metrics]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return out.getvalue()


def as_json(trace: Trace) -> str:
    """All steps, samples and metrics as JSON, with facts of the run, names and units; undefined numbers are null."""
    facts = {name: trace.header.get(name) for name in FACTS}
    metrics = {name: {"name": metric.name, "unit": metric.unit} for name, metric in trace.metrics.items()}
    table = {"run": facts, "metrics": metrics, "note": left_out(trace), "rows": rows_of(trace)}
    return json.dumps(jsonable(table), indent=1)


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else ABSENT


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]


def _cell(value: float | int | str) -> float | int | str:
    return "" if isinstance(value, float) and not math.isfinite(value) else value
