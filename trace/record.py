"""The record that travels to the browser: one small JSON object per step, a header for the run.

Numbers have 6 significant digits, enough because differences were formed before the dots; nan and inf become None.
Readers look vectors and metrics up by name and ignore what they do not know.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .directions import directions_of
from .file import even_positions
from .gram import GramRecord
from .metrics import METRICS
from .terms import columns_of_pass, passes_of
from .trace import PER_STEP, Trace

VERSION = 1
DIGITS = 6
COSINE_PLACES = 5  # of the directions: colours and words, no further arithmetic
STEP_BYTES = 9000  # of compact JSON: one live event carries a step, and 20 events a second must not be felt
ALL_SAMPLES = 24  # up to here every sample is sent; above, 16 and percentiles of all
SOME_SAMPLES = 16
PERCENTILES = (10, 50, 90)
STORED = tuple(name for name, metric in METRICS.items() if metric.column)  # what inner products cannot give
HEADER = ("scheduler", "sampler", "cfg", "seed", "sigmas", "labels", "chain", "model", "notes", "split", "evaluations")
OF_SOME_RUNS = ("part", "passes", "afterwards")


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
    steps = [step_record(_row(trace, i), facts, i, trace.stage[i]) for i in range(trace.n)]
    header = _header(trace, facts, steps)
    if limit is None:
        return header | {"steps": steps}
    room = limit - size_of(header) - 200  # the note on what is left out, and the frame of the list
    kept = fitting_steps(steps, room)
    if len(kept) < trace.n:
        words = f"{trace.n - len(kept)} of {trace.n} steps left out to keep this record below {limit} bytes"
        header["notes"] = [*header["notes"], words]
    return header | {"steps": kept}


def step_record(
    columns: Mapping[str, Tensor], facts: RunFacts, index: int, stage: str = "step", limit: int = STEP_BYTES
) -> dict:
    """One step as JSON-able data, from its row of the trace's columns: live, or from a finished trace.

    columns: scalars sigma, sigma_next, alpha, alpha_next, gamma, kappa, evals, floor; K [B, pairs], sum [B, 3] and
    m9 .. m14 [B]. What is missing is unknown. limit: bytes of compact JSON; more than 24 samples, or more than fit, are
    thinned evenly, and then "subset" names those kept and "percentiles" covers every metric of all of them.
    """
    K = columns["K"].double().cpu()
    levels = {name: rounded(columns.get(name)) for name in PER_STEP}
    start = {"v": VERSION, "run": facts.run, "i": index, "n": facts.n, **levels, "stage": stage}
    start |= {"space": facts.space, "N": facts.count, "vectors": list(facts.vectors)}
    start |= _passes(columns)
    start["evals"] = None if levels["evals"] is None else int(levels["evals"])
    samples = _samples(K, columns)
    batch = len(samples)
    if batch <= ALL_SAMPLES and size_of(start | {"samples": samples}) <= limit:
        return start | {"samples": samples}
    start["percentiles"] = _percentiles(columns, facts)
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
        short = float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
        return short if short is None or not short.is_integer() or abs(short) >= 1e15 else int(short)
    if isinstance(value, Tensor):
        return rounded(value.tolist())
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return {str(name): rounded(item) for name, item in value.items()} if isinstance(value, Mapping) else value


def _row(trace: Trace, i: int) -> dict[str, Tensor]:
    return {name: column[i] for name, column in trace.steps.items()}


def _samples(K: Tensor, columns: Mapping[str, Tensor]) -> list[dict]:
    """Inner products, sums and stored metrics of every sample."""
    unknown = torch.full((len(K),), torch.nan)
    sums = rounded(columns.get("sum", unknown[:, None].expand(-1, 3)))
    stored = {name: rounded(columns.get(METRICS[name].column, unknown)) for name in STORED}
    return [
        {"K": row, "sum": sums[b], "m": {name: values[b] for name, values in stored.items()}}
        for b, row in enumerate(rounded(K))
    ]


def _passes(columns: Mapping[str, Tensor]) -> dict:
    """What each further pass cost at a step, its weight, and the mean size of what it takes away; of runs with any."""
    found = {}
    for name in passes_of(columns):
        values = [rounded(columns[column].mean()) for column in columns_of_pass(name)]
        found[name] = dict(zip(("evals", "scale", "size"), values, strict=True))
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
    header["sample"] = _typical(trace, steps)
    return json.loads(json.dumps(header, default=str))


def _directions(trace: Trace, steps: list[dict]) -> dict:
    """Cosines of the difference between all captured steps, for the samples that are sent; nothing where unknown."""
    found = directions_of(trace)
    if found is None:
        return {}
    sent = next((step["subset"] for step in steps if step.get("subset")), list(range(trace.batch)))
    short = [[None if math.isnan(v) else round(v, COSINE_PLACES) for v in row] for row in found.cosines[sent].tolist()]
    return {"directions": {"steps": found.steps, "error": rounded(found.error), "subset": sent, "samples": short}}


def _typical(trace: Trace, steps: list[dict]) -> int:
    """The sample a figure shows unless told otherwise: its M1, mean over the steps, is the median one."""
    sent = next((step["subset"] for step in steps if step.get("subset")), range(trace.batch))
    strength = trace.column("M1").nanmean(dim=0) if trace.n else torch.zeros(trace.batch)
    if strength.isnan().all():
        return next(iter(sent), 0)
    middle = strength.nanmedian()
    return min(sent, key=lambda b: float((strength[b] - middle).abs().nan_to_num(nan=math.inf)), default=0)


def fitting_steps(steps: list[dict], room: int) -> list[dict]:
    """As many steps, evenly spread, as fit into `room` bytes."""
    sizes = [size_of(step) + 1 for step in steps]
    for count in range(len(steps), 0, -1):
        chosen = even_positions(len(steps), count)
        if sum(sizes[i] for i in chosen) <= room:
            return [steps[i] for i in chosen]
    return []
