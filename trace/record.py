"""The record that travels to the browser: one small JSON object per step, a header for the run.

Numbers have 6 significant digits, enough because differences were formed before the dots; nan and inf become None.
Readers look vectors and metrics up by name and ignore what they do not know.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .choices import FEWEST, Pushes, band, choices_of
from .directions import directions_of
from .file import even_positions, some_samples
from .gram import GramRecord
from .guidance_effect import shares
from .metrics import METRICS, motion_metrics
from .places import PLACES, places_of
from .portable import jsonable
from .terms import columns_of_pass, effects_of_pass, passes_of
from .trace import PER_STEP, Trace, model_key

VERSION = 1
DIGITS = 6
POWERS = torch.tensor([10.0**k for k in range(23)], dtype=torch.float64)  # of ten, all exact
COSINE_PLACES = 5  # of the directions: colours and words, no further arithmetic
STEP_BYTES = 14_000  # of compact JSON of a step of a finished run; a live one has less room
CHOICE_BYTES = 140  # of one sample
ALL_SAMPLES = 24  # up to here every sample is sent; above, 16 and percentiles of all
SOME_SAMPLES = 16
PERCENTILES, BAND_ENDS = (10, 50, 90), (10, 90)
BANDS = ("M2", "M7", "M8", "M13", "M19")  # whose 10th and 90th percentile every step of a batch carries
FROM_PRODUCTS = tuple(name for name, metric in METRICS.items() if not metric.column)
NUMBERS = (*FROM_PRODUCTS, "push", "left")  # of a sample beside the stored ones; a step names those that it has
DRAWN = ("M1", "M2", "M3", "M3c", "M7", "M8", "push", "left")  # what figures paint: a live step has room for these
STORED = tuple(name for name, metric in METRICS.items() if metric.column)  # what inner products cannot give
HEADER = ("scheduler", "sampler", "cfg", "seed", "sigmas", "labels", "chain", "model", "notes", "split", "evaluations")
OF_A_PASS = ("evals", "scale", "size", "along", "across")
OF_SOME_RUNS = ("part", "passes", "inside", "afterwards", "guider")


@dataclass(frozen=True)
class RunFacts:
    """What every step of a run has in common.

    run: id of the run.
    n: number of steps.
    space: "ve" or "flow".
    count: N, elements of one sample.
    vectors: names of the rows of K.
    sigma_data: rms of clean data, None where unknown.
    sample: the one that is shown before anybody chooses, as far as that is known.
    """

    run: str
    n: int
    space: str
    count: int
    vectors: tuple[str, ...]
    sigma_data: float | None = None
    sample: int = 0


def run_record(trace: Trace, limit: int | None = None) -> dict:
    """A whole run as JSON-able data: header and "steps".

    limit: bytes of compact JSON it may take; steps are left out evenly, the first and the last last of all, and the
    notes say so. None: all steps. Each step takes 14 kB at most, whatever the batch.
    """
    facts = facts_of(trace)
    steps = step_records(trace.steps, facts, trace.stage)
    sent = next((step["subset"] for step in steps if step.get("subset")), list(range(trace.batch)))  # samples
    header = _header(trace, facts, sent)
    if limit is not None:
        beside = 200 + CHOICE_BYTES * len(sent)  # the note on what is left out, the frame of the list, and the choices
        steps = fitting_steps(steps, limit - size_of(header) - beside)
    if len(steps) < trace.n:
        words = f"{trace.n - len(steps)} of {trace.n} steps left out to keep this record below {limit} bytes"
        header["notes"] = [*header["notes"], words]
    indices = [step["i"] for step in steps]
    pushes = Pushes.of(trace.record, trace.steps, facts.sigma_data)
    ends = band(shares(pushes.push[indices])) if indices else torch.empty(0, 2)  # of shares of the push
    for step, pair in zip(steps, round_digits(ends), strict=True):
        if None not in pair:  # the batch is large enough
            step["whisker"] = pair
    return header | {"choices": round_digits(choices_of(trace, pushes, sent, indices)), "steps": steps}


def step_records(
    columns: Mapping[str, Tensor],
    facts: RunFacts,
    stages: Sequence[str],
    first: int = 0,
    limit: int = STEP_BYTES,
    numbers: Sequence[str] = NUMBERS,
) -> list[dict]:
    """Steps as JSON-able data, from their rows of the trace's columns: live, or from a finished trace.

    columns: sigma, sigma_next, alpha, alpha_next, gamma, kappa, evals, floor [n]; K [n, B, pairs], sum [n, B, 3] and
    PER_SAMPLE [n, B], of which what is missing is unknown. stages: a word a step. first: number of the first one.
    limit: bytes of compact JSON of a step; more than 24 samples, or more than fit, are thinned evenly, and then
    "subset" names those kept and "percentiles" covers every metric of all of them. numbers: which ones go along, of
    NUMBERS.

    Of a sample: "K", "sum", "m": what cannot be found from K; "n": what can, by the step's "numbers"; "at": PLACES.
    """
    by_name = numbers_of(columns, facts, numbers)
    level = round_digits(torch.stack([columns[name] for name in PER_STEP], dim=-1))
    stored = (*STORED, *motion_metrics(columns))
    names = (*stored, *numbers, *PLACES)
    values = round_digits(torch.stack([by_name[name] for name in names], dim=-1))
    samples = _samples(columns, values, stored, len(numbers))
    starts = []
    for i, stage in enumerate(stages):
        start = {"v": VERSION, "run": facts.run, "n": facts.n, **dict.fromkeys(PER_STEP)}
        start |= {"space": facts.space, "N": facts.count, "vectors": list(facts.vectors)}
        start |= _passes(columns, i)
        start |= dict(zip(PER_STEP, level[i], strict=True))
        start["evals"] = None if start["evals"] is None else int(start["evals"])
        starts.append(start | {"i": first + i, "stage": stage, "numbers": list(numbers)})
    return _fitting_samples(starts, samples, by_name, limit, facts.sample)


def numbers_of(columns: Mapping[str, Tensor], facts: RunFacts, names: Sequence[str]) -> dict[str, Tensor]:
    """{name: [n, B]} of these metrics and of those that the columns hold, of pushes and of PLACES."""
    record = GramRecord(facts.vectors, columns["K"])
    unknown = torch.full(record.K.shape[:-1], torch.nan, dtype=torch.float64)
    by_name = {
        name: metric.values(record, columns, facts.count, facts.sigma_data)
        if metric.column or name in names
        else unknown
        for name, metric in (METRICS | motion_metrics(columns)).items()
    }
    pushes = Pushes.of(record, columns, facts.sigma_data)
    places = places_of(record, columns["gamma"][:, None], facts.count, by_name["M19"], by_name["M19a"])
    return by_name | {"push": pushes.push, "left": pushes.left} | places


def _fitting_samples(
    starts: list[dict], samples: list[list[dict]], by_name: Mapping[str, Tensor], limit: int, shown: int
) -> list[dict]:
    """The steps with their samples, or all with as many, evenly, as fit into the largest of them.

    by_name: by its name every metric [n, B], of which percentiles go along. shown: a sample that is among them.
    """
    batch = by_name["M1"].shape[1]
    some = {name: by_name[name] for name in BANDS}
    bands = _percentiles(some, BAND_ENDS, band) if batch >= FEWEST else [{} for _ in starts]
    whole = [start | ends | {"samples": rows} for start, ends, rows in zip(starts, bands, samples, strict=True)]
    if batch <= ALL_SAMPLES and all(size_of(step) <= limit for step in whole):
        return whole
    ranks = torch.tensor(PERCENTILES, dtype=torch.float64) / 100
    every = {name: by_name[name] for name in METRICS}
    ends = _percentiles(every, PERCENTILES, lambda values: values.nanquantile(ranks, dim=-1).movedim(0, -1))

    def thin(count: int) -> list[dict]:
        chosen = some_samples(batch, count, shown) if count else []
        subsets = ({"subset": chosen, "samples": [rows[b] for b in chosen]} for rows in samples)
        return [start | percentiles | subset for start, percentiles, subset in zip(starts, ends, subsets, strict=True)]

    fewer = map(thin, range(min(SOME_SAMPLES, batch), 0, -1))
    return next((steps for steps in fewer if all(size_of(step) <= limit for step in steps)), thin(0))


def facts_of(trace: Trace) -> RunFacts:
    """What `step_record` must know of a finished run."""
    header = trace.header
    vectors, data = tuple(header["vectors"]), header.get("sigma_data")
    run, space = str(header.get("run", "")), header.get("space", "ve")
    return RunFacts(run, trace.n, space, trace.count, vectors, data, trace.median_sample())


def size_of(value: object) -> int:
    """Bytes of compact JSON."""
    return len(json.dumps(value, separators=(",", ":"), allow_nan=False))


def round_digits(value: Any) -> Any:
    """A tensor, number or list of them with 6 significant digits; None for what is not finite."""
    if isinstance(value, float):  # first: a record is made of thousands
        return _shortest(float(f"{value:.{DIGITS}g}")) if math.isfinite(value) else None
    if isinstance(value, Tensor):
        return _round_tensor(value)
    if isinstance(value, list | tuple):
        return [round_digits(item) for item in value]
    return {str(name): round_digits(item) for name, item in value.items()} if isinstance(value, Mapping) else value


def _round_tensor(values: Tensor) -> Any:
    """The numbers of a tensor with 6 significant digits, all at once.

    A whole number below 2^53 divided by an exact power of ten is the double nearest to that decimal, so it is written
    with as few digits. Numbers that are not finite, or need a power that is not exact, go one by one.
    """
    x = values.double().cpu()
    if not x.ndim:
        return round_digits(float(x))
    places = DIGITS - 1 - x.abs().log10().floor().nan_to_num(neginf=DIGITS - 1, posinf=math.inf)
    odd = ~x.isfinite() | (places.abs() >= len(POWERS))
    even, places = torch.where(odd, 0.0, x), torch.where(odd, 0.0, places)
    power, small = POWERS[places.abs().long()], places >= 0
    whole = torch.where(small, even * power, even / power).round()
    numbers = _shortest(torch.where(small, whole / power, whole * power).tolist())
    for *at, last in odd.nonzero().tolist():
        row = numbers
        for k in at:
            row = row[k]
        row[last] = round_digits(float(x[(*at, last)]))
    return numbers


def _shortest(value: Any) -> Any:
    """A number, or lists of them, without a point where it is whole."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if value and isinstance(value[0], float):  # a call for each of thousands of numbers would take longer
        return [int(v) if v.is_integer() and abs(v) < 1e15 else v for v in value]
    return [_shortest(item) for item in value]


def _samples(columns: Mapping[str, Tensor], numbers: list, stored: tuple[str, ...], count: int) -> list[list[dict]]:
    """Every step's samples: inner products, sums, and of their numbers the stored metrics, those named, and places.

    stored: names of the stored ones. count: of those that a step names.
    """
    K, sums = (round_digits(columns[name]) for name in ("K", "sum"))
    end = len(stored) + count
    return [
        [
            {
                "K": K[i][b],
                "sum": sums[i][b],
                "m": dict(zip(stored, values, strict=False)),
                "n": values[len(stored) : end],
                "at": values[end:],
            }
            for b, values in enumerate(rows)
        ]
        for i, rows in enumerate(numbers)
    ]


def _passes(columns: Mapping[str, Tensor], i: int) -> dict:
    """What each further pass cost at a step and did: its weight, and means over the samples; of runs with any."""
    passes = {}
    for name in passes_of(columns):
        named = zip(OF_A_PASS, (*columns_of_pass(name), *effects_of_pass(name)), strict=True)
        passes[name] = {what: round_digits(columns[column][i].mean()) for what, column in named if column in columns}
    return {"passes": passes} if passes else {}


def _percentiles(metrics: Mapping[str, Tensor], percent: Sequence[int], of: Callable[[Tensor], Tensor]) -> list[dict]:
    """Percentiles of metrics [n, B] over the samples, step by step.  of: takes them, [..., B] -> [..., percent]"""
    ends = round_digits(of(torch.stack(list(metrics.values()), dim=1)))
    return [{"percentiles": {"p": list(percent), **dict(zip(metrics, row, strict=True))}} for row in ends]


def _header(trace: Trace, facts: RunFacts, sent: list[int]) -> dict:
    """What is said of the run as a whole.  sent: the samples of its steps"""
    header = {"v": VERSION, "run": facts.run, "n": facts.n, "space": facts.space, "N": facts.count}
    header |= {"vectors": list(facts.vectors), "batch": trace.batch, "sigma_data": round_digits(facts.sigma_data)}
    header |= {name: round_digits(trace.header.get(name)) for name in HEADER}
    if key := model_key(header["model"] or {}):
        header["model"]["key"] = key
    capture = trace.header.get("capture") or {}
    header |= {name: trace.header[name] for name in OF_SOME_RUNS if trace.header.get(name)}
    header["capture"] = {name: capture.get(name) for name in ("mode", "steps", "note")}
    header["latent"] = round_digits(trace.header.get("latent"))
    header["notes"] = list(header["notes"] or [])
    if turns := directions_of(trace):
        rows = [
            [None if math.isnan(v) else round(v, COSINE_PLACES) for v in row] for row in turns.cosines[sent].tolist()
        ]
        header["directions"] = {
            "steps": turns.steps,
            "error": round_digits(turns.error),
            "subset": sent,
            "samples": rows,
        }
    header["sample"] = trace.median_sample(sent)
    return jsonable(header)


def fitting_steps(steps: list[dict], room: int) -> list[dict]:
    """As many steps, evenly spread, as fit into `room` bytes."""
    sizes = [size_of(step) + 1 for step in steps]
    for count in range(len(steps), 0, -1):
        chosen = even_positions(len(steps), count)
        if sum(sizes[i] for i in chosen) <= room:
            return [steps[i] for i in chosen]
    return []
