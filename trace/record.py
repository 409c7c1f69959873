"""The record that travels to the browser: one small JSON object per step, a header for the run.

Numbers have 6 significant digits, enough because differences were formed before the dots; nan and inf become None.
Readers look vectors and metrics up by name and ignore what they do not know.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .directions import directions_of
from .file import even_positions
from .gram import GramRecord
from .metrics import METRICS
from .portable import jsonable
from .terms import columns_of_pass, effects_of_pass, passes_of
from .trace import PER_STEP, Trace

VERSION = 1
DIGITS = 6
POWERS = torch.tensor([10.0**k for k in range(23)], dtype=torch.float64)  # of ten, all exact
COSINE_PLACES = 5  # of the directions: colours and words, no further arithmetic
STEP_BYTES = 9000  # of compact JSON: one live event carries a step, and 20 events a second must not be felt
ALL_SAMPLES = 24  # up to here every sample is sent; above, 16 and percentiles of all
SOME_SAMPLES = 16
PERCENTILES = (10, 50, 90)
STORED = tuple(name for name, metric in METRICS.items() if metric.column)  # what inner products cannot give
WRITTEN = (*PER_STEP, "K", "sum", *(METRICS[name].column for name in STORED))  # columns of a step's record
HEADER = ("scheduler", "sampler", "cfg", "seed", "sigmas", "labels", "chain", "model", "notes", "split", "evaluations")
OF_A_PASS = ("evals", "scale", "size", "along", "across")
OF_SOME_RUNS = ("part", "passes", "inside", "afterwards", "guider")


@dataclass(frozen=True)
class RunFacts:
    """What every step of a run has in common.

    run: its id. n: number of steps. space: "ve" or "flow". count: N, elements of one sample. vectors: names of the rows
    of K. sigma_data: rms of clean data, None where unknown.
    """

    run: str
    n: int
    space: str
    count: int
    vectors: tuple[str, ...]
    sigma_data: float | None = None


def run_record(trace: Trace, limit: int | None = None) -> dict:
    """A whole run as JSON-able data: header and "steps".

    limit: bytes of compact JSON it may take; steps are left out evenly, the first and the last last of all, and the
    notes say so. None: all steps. Each step takes 9 kB at most, whatever the batch.
    """
    facts = facts_of(trace)
    steps = step_records(trace.steps, facts, trace.stage)
    header = _header(trace, facts, steps)
    if limit is None:
        return header | {"steps": steps}
    room = limit - size_of(header) - 200  # the note on what is left out, and the frame of the list
    kept = fitting_steps(steps, room)
    if len(kept) < trace.n:
        words = f"{trace.n - len(kept)} of {trace.n} steps left out to keep this record below {limit} bytes"
        header["notes"] = [*header["notes"], words]
    return header | {"steps": kept}


def step_records(
    columns: Mapping[str, Tensor], facts: RunFacts, stages: Sequence[str], first: int = 0, limit: int = STEP_BYTES
) -> list[dict]:
    """Steps as JSON-able data, from their rows of the trace's columns: live, or from a finished trace.

    columns: sigma, sigma_next, alpha, alpha_next, gamma, kappa, evals, floor [n]; K [n, B, pairs], sum [n, B, 3] and
    PER_SAMPLE [n, B]. What is missing is unknown. stages: a word a step. first: number of the first one. limit: bytes
    of compact JSON of a step; more than 24 samples, or more than fit, are thinned evenly, and then "subset" names those
    kept and "percentiles" covers every metric of all of them.
    """
    short = {name: rounded(columns[name]) for name in WRITTEN if name in columns}  # of all steps at once: far faster
    steps = []
    for i, stage in enumerate(stages):
        row = {name: column[i] for name, column in columns.items()}
        start = _start_of(row, {name: short[name][i] for name in PER_STEP if name in short}, facts)
        start |= {"i": first + i, "stage": stage}
        samples = _samples({name: values[i] for name, values in short.items()})
        steps.append(_thinned(start, samples, row, facts, limit))
    return steps


def _start_of(row: Mapping[str, Tensor], levels: Mapping[str, Any], facts: RunFacts) -> dict:
    """A step without its samples."""
    start = {"v": VERSION, "run": facts.run, "n": facts.n, **dict.fromkeys(PER_STEP), **levels}
    start |= {"space": facts.space, "N": facts.count, "vectors": list(facts.vectors)}
    start |= _passes(row)
    start["evals"] = None if start["evals"] is None else int(start["evals"])
    return start


def _thinned(start: dict, samples: list[dict], row: Mapping[str, Tensor], facts: RunFacts, limit: int) -> dict:
    """A step with its samples, or with as many as fit."""
    batch = len(samples)
    if batch <= ALL_SAMPLES and size_of(start | {"samples": samples}) <= limit:
        return start | {"samples": samples}
    start["percentiles"] = _percentiles(row, facts)
    for count in range(min(SOME_SAMPLES, batch), 0, -1):
        chosen = even_positions(batch, count) or [0]
        thinned = start | {"subset": chosen, "samples": [samples[b] for b in chosen]}
        if size_of(thinned) <= limit:
            return thinned
    return start | {"subset": [], "samples": []}


def facts_of(trace: Trace) -> RunFacts:
    """What `step_record` must know of a finished run."""
    header = trace.header
    vectors, data = tuple(header["vectors"]), header.get("sigma_data")
    return RunFacts(str(header.get("run", "")), trace.n, header.get("space", "ve"), trace.count, vectors, data)


def step_metrics(columns: Mapping[str, Tensor], facts: RunFacts) -> dict[str, Tensor]:  # -> {"M1": [B], ...}
    """Every metric of one step that the row can give, by its number."""
    record = GramRecord(facts.vectors, columns["K"].double().cpu())
    given = {"count": facts.count, "sigma_data": math.nan if facts.sigma_data is None else facts.sigma_data}
    given |= {name: torch.as_tensor(columns[name]).double().cpu() for name in ("gamma", "sigma", "alpha")}
    found = {}
    for name, metric in METRICS.items():
        if metric.function is not None:
            found[name] = metric.function(record, **{need: given[need] for need in metric.needs})
        elif metric.column in columns:
            found[name] = columns[metric.column].double().cpu()
    return found


def size_of(value: object) -> int:
    """Bytes of compact JSON."""
    return len(json.dumps(value, separators=(",", ":"), allow_nan=False))


def rounded(value: Any) -> Any:
    """A tensor, number or list of them with 6 significant digits; None for what is not finite."""
    if isinstance(value, float):  # first: a record is made of thousands
        return _shortest(float(f"{value:.{DIGITS}g}")) if math.isfinite(value) else None
    if isinstance(value, Tensor):
        return _rounded(value)
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return {str(name): rounded(item) for name, item in value.items()} if isinstance(value, Mapping) else value


def _rounded(values: Tensor) -> Any:
    """The same for all numbers of a tensor at once.

    A whole number below 2^53 divided by an exact power of ten is the double nearest to that decimal, so it is written
    with as few digits. Numbers that are not finite, or need a power that is not exact, go one by one.
    """
    x = values.double().cpu()
    places = DIGITS - 1 - x.abs().log10().floor().nan_to_num(neginf=DIGITS - 1)
    if not x.isfinite().all() or (places.abs() >= len(POWERS)).any():
        return rounded(x.tolist())
    power, small = POWERS[places.abs().long()], places >= 0
    whole = torch.where(small, x * power, x / power).round()
    return _shortest(torch.where(small, whole / power, whole * power).tolist())


def _shortest(value: Any) -> Any:
    """A number, or lists of them, without a point where it is whole."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if value and isinstance(value[0], float):  # a call for each of thousands of numbers would take longer
        return [int(v) if v.is_integer() and abs(v) < 1e15 else v for v in value]
    return [_shortest(item) for item in value]


def _samples(short: Mapping[str, list]) -> list[dict]:
    """Inner products, sums and stored metrics of every sample of a step."""
    batch = len(short["K"])
    sums, unknown = short.get("sum", [[None] * 3] * batch), [None] * batch
    stored = {name: short.get(METRICS[name].column, unknown) for name in STORED}
    return [
        {"K": row, "sum": sums[b], "m": {name: values[b] for name, values in stored.items()}}
        for b, row in enumerate(short["K"])
    ]


def _passes(columns: Mapping[str, Tensor]) -> dict:
    """What each further pass cost at a step and did: its weight, and means over the samples; of runs with any."""
    found = {}
    for name in passes_of(columns):
        named = zip(OF_A_PASS, (*columns_of_pass(name), *effects_of_pass(name)), strict=True)
        found[name] = {what: rounded(columns[column].mean()) for what, column in named if column in columns}
    return {"passes": found} if found else {}


def _percentiles(columns: Mapping[str, Tensor], facts: RunFacts) -> dict:
    """10th, 50th and 90th percentile over all samples; samples without a value are left out."""
    ranks = torch.tensor(PERCENTILES, dtype=torch.float64) / 100
    found: dict[str, Any] = {"p": list(PERCENTILES)}
    for name, values in step_metrics(columns, facts).items():
        found[name] = rounded(values.nanquantile(ranks))
    return found


def _header(trace: Trace, facts: RunFacts, steps: list[dict]) -> dict:
    header = {"v": VERSION, "run": facts.run, "n": facts.n, "space": facts.space, "N": facts.count}
    header |= {"vectors": list(facts.vectors), "batch": trace.batch, "sigma_data": rounded(facts.sigma_data)}
    header |= {name: rounded(trace.header.get(name)) for name in HEADER}
    capture = trace.header.get("capture") or {}
    header |= {name: trace.header[name] for name in OF_SOME_RUNS if trace.header.get(name)}
    header["capture"] = {name: capture.get(name) for name in ("mode", "steps", "note")}
    header["latent"] = rounded(trace.header.get("latent"))
    header["notes"] = list(header["notes"] or [])
    header |= _directions(trace, steps)
    header["sample"] = trace.median_sample(_sent(trace, steps))
    return jsonable(header)


def _directions(trace: Trace, steps: list[dict]) -> dict:
    """Cosines of the difference between all captured steps, for the samples that are sent; nothing where unknown."""
    found = directions_of(trace)
    if found is None:
        return {}
    sent = _sent(trace, steps)
    short = [[None if math.isnan(v) else round(v, COSINE_PLACES) for v in row] for row in found.cosines[sent].tolist()]
    return {"directions": {"steps": found.steps, "error": rounded(found.error), "subset": sent, "samples": short}}


def _sent(trace: Trace, steps: list[dict]) -> list[int]:
    """The samples that are sent."""
    return next((step["subset"] for step in steps if step.get("subset")), list(range(trace.batch)))


def fitting_steps(steps: list[dict], room: int) -> list[dict]:
    """As many steps, evenly spread, as fit into `room` bytes."""
    sizes = [size_of(step) + 1 for step in steps]
    for count in range(len(steps), 0, -1):
        chosen = even_positions(len(steps), count)
        if sum(sizes[i] for i in chosen) <= room:
            return [steps[i] for i in chosen]
    return []
