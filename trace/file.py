"""A trace on disk: one safetensors file, every claim of which is checked when it is read.

Columns are float64 tensors, captured tensors are fp16, the rest is JSON text in the metadata. Readers look vectors and
columns up by name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files.claims import (
    ABSENT,
    ANYTHING,
    LINE,
    PAGE,
    Field,
    check_claims,
    either,
    find_claim,
    guard,
    json_of,
    maybe,
    number,
    one_of,
    require,
    several,
    switch,
    table,
    text,
    too_deep,
    whole,
)
from ..files.places import TRACE_FORMAT
from ..files.safetensors import read_header, read_safetensors, safetensors_bytes
from ..files.writing import write_atomically
from ..guidance.printing import quote, shorten, words_of
from . import MOST_PARTS
from .directions import with_directions
from .gram import VECTORS
from .metrics import motion_metrics
from .portable import ascii_json, jsonable
from .terms import columns_of_pass, effects_of_pass, passes_of
from .trace import AFTERWARDS, CROSS, END, MEASURED, OF_A_PART, PART, PER_SAMPLE, PER_STEP, STAGES, VERSION, Trace

CHECKSUM, UNSEALED = "gg.sha256", "0" * 64  # of the whole file, with UNSEALED in the place of the checksum
ROOM_FOR_NAMES = 1024  # bytes, of the tensors that are added back
MAX_BYTES = 4 * 10**6  # a trace travels by mail and in browsers; `save` thins the pictures until it fits
READABLE_BYTES = 64 * 10**6
MOST_SAMPLES = 65536
MOST_STEPS = 1_000_000  # 10,000 of a sampler, each repeated 100 times
MOST_NOTES = 10_000
MOST_LEVELS = 1000  # of noise, at which a model was asked about finished samples
PART_FACTS = (*OF_A_PART, CROSS, "stage")  # a fault may end the record of one part before that of another
BESIDE = ("workflow", "prompt")  # what stands beside the header, where other programs look for it
UNSAVED = "Such a trace cannot be saved: record the run again."
DAMAGED = "The file is damaged: save the trace again."
HEADER = {  # what the header of a file may say; a field of a later writer is kept
    "vectors": require(several(text(), 64, len(VECTORS))),
    "stage": require(several(one_of(*STAGES), MOST_STEPS)),
    "latent.shape": require(several(whole(1, 2**24), 8)),
    "latent.format": maybe(text()),
    "latent.native": maybe(several(whole(1, 2**24), 8)),
    "capture.steps": require(several(whole(0, MOST_STEPS), MOST_STEPS)),
    "capture.mode": maybe(text()),
    "capture.note": maybe(text(PAGE)),
    "capture.budget_mb": maybe(number(0)),
    "run": maybe(text()),
    "part": maybe(text()),
    "passes": maybe(table(number(0), 1000)),
    "inside": maybe(table(number(0), 1000)),
    AFTERWARDS: maybe(table(maybe(either(text(), number(0), several(whole(0, MOST_STEPS), MOST_STEPS))), 100)),
    f"{MEASURED}.evaluations": maybe(number(0)),
    f"{MEASURED}.sigmas": maybe(several(number(0), MOST_LEVELS)),
    **dict.fromkeys(
        (f"{MEASURED}.{name}" for name in ("along", "length", "error", "expected")),
        maybe(several(several(maybe(number()), MOST_SAMPLES), MOST_LEVELS)),
    ),
    "space": one_of("ve", "flow"),
    "sampler": maybe(text()),
    "scheduler": maybe(text()),
    "cfg": maybe(number()),
    "seed": maybe(number()),
    "sigmas": maybe(several(maybe(number()), MOST_STEPS)),
    "sigma_data": maybe(number(0)),
    "labels": maybe(several(maybe(text()), MOST_SAMPLES)),
    **dict.fromkeys(("chain", "guider"), maybe(text(PAGE))),
    "beside": maybe(several(text(PAGE), 100)),
    "patches": maybe(several(text(PAGE), 1000)),
    "lanes": maybe(table(ANYTHING, 2)),
    "lanes.cfg": maybe(several(number(), MOST_SAMPLES)),
    "lanes.chain": maybe(several(text(PAGE), MOST_SAMPLES)),
    "model.hash": maybe(text()),
    "model.file": maybe(text(PAGE)),
    "terms": maybe(table(text(PAGE), 1000)),
    "titles": maybe(table(text(PAGE), 1000)),
    "scales": maybe(table(number(), 1000)),
    "options": maybe(table(maybe(either(number(), text(), switch())), 1000)),
    "options.eta": maybe(number()),
    "model": maybe(table(maybe(either(text(PAGE), several(text(), 100_000))), 1000)),
    "model.name": maybe(text()),
    "host": maybe(table(maybe(text()), 1000)),
    "notes": maybe(several(text(PAGE), MOST_NOTES)),
    "faults": maybe(several(text(PAGE), MOST_NOTES)),
    "advice": maybe(several(text(PAGE), MOST_NOTES)),
    "distilled_guidance": maybe(number()),
    "knobs": maybe(several(table(maybe(either(text(PAGE), number())), 100), 1000)),
    "negative": maybe(switch()),
    "split": maybe(text(PAGE)),
    "evaluations": maybe(number(0)),
    "workflow": maybe(table(ANYTHING, MOST_STEPS)),
    "prompt": maybe(table(ANYTHING, MOST_STEPS)),
}
COMPARED = {
    f"{CROSS}.steps": require(several(whole(0, MOST_STEPS), MOST_STEPS)),
    f"{CROSS}.error": require(number(0)),
}


def save(trace: Trace, path: str | os.PathLike) -> Trace:
    """Write a trace to one safetensors file, all or nothing, and return it as written.

    Above 4 MB captured steps are left out, evenly, the first and last last of all; header.capture.note says so.
    Texts are cut to what is read again. Raises ValueError when the numbers alone exceed it, or where a required
    field of the header does not hold what `load` needs.
    """
    if len(trace.parts) >= MOST_PARTS:
        raise ValueError(f"The trace has {len(trace.parts) + 1} parts; a file holds {MOST_PARTS}. Save one part.")
    written = fit_trace(_with_directions(trace))
    write_atomically(path, [_pack(written)])
    return written


def pack_trace(trace: Trace) -> bytes:
    """The file of a trace, as `save` writes it."""
    return _pack(fit_trace(_with_directions(trace)))


def fit_trace(trace: Trace, limit: int = MAX_BYTES) -> Trace:
    """A trace with as many captured steps as fit into a file of `limit` bytes."""
    if trace.parts:
        first, *others = _fit_parts([replace(part, parts={}) for part in trace.every_part], limit)
        return replace(first, parts=dict(zip(trace.parts, others, strict=True)))
    bare = _with_capture(trace, [], end=False)
    numbers = len(_pack(bare)) + ROOM_FOR_NAMES
    if numbers + sum(map(_size, trace.tensors.values())) <= limit:
        return trace
    if numbers > limit and trace.cross:
        return fit_trace(replace(trace, cross={}), limit)
    if numbers > limit:
        raise ValueError(
            f"The numbers of {trace.n} steps and {trace.batch} samples need {numbers:,} bytes; a trace file holds "
            f"{limit:,}. Save fewer samples or fewer steps, or leave the workflow out."
        )
    end = _size(trace.tensors.get(END))
    stacks = [tensor for name, tensor in trace.tensors.items() if name != END]
    each = sum(map(_size, stacks)) // max(len(trace.captured_steps), 1)
    fit = (limit - numbers - end) // each if each else 0
    return _with_capture(trace, even_positions(len(trace.captured_steps), fit), end=numbers + end <= limit)


def _fit_parts(parts: Sequence[Trace], limit: int) -> list[Trace]:
    """Each part with room for its numbers, and a share of what is left of the file by the size of its pictures."""
    first, *others = parts
    headers = [{name: v for name, v in part.header.items() if name not in BESIDE} for part in others]
    parts = [first, *(replace(part, header=header) for part, header in zip(others, headers, strict=True))]
    needs = [len(_pack(_with_capture(part, [], end=False))) + ROOM_FOR_NAMES for part in parts]
    wants = [sum(map(_size, part.tensors.values())) for part in parts]
    spare, all_of_them = max(limit - sum(needs), 0), max(sum(wants), 1)
    tight = min(limit / sum(needs), 1)
    rooms = [int(tight * need + spare * want / all_of_them) for need, want in zip(needs, wants, strict=True)]
    return [fit_trace(part, room) for part, room in zip(parts, rooms, strict=True)]


def even_positions(count: int, most: int) -> list[int]:
    """At most so many of `count` positions, evenly, with the first and the last; none where these two do not fit."""
    chosen = min(most, count)
    if chosen < min(count, 2):
        return []
    return sorted({round(i * (count - 1) / max(chosen - 1, 1)) for i in range(chosen)})


def some_samples(batch: int, most: int, shown: int) -> list[int]:
    """At most so many samples, evenly; the one that is shown before anybody chooses stands for the nearest of them."""
    chosen = even_positions(batch, most) or [shown] * (batch > 0)
    nearest = min(range(len(chosen)), key=lambda k: abs(chosen[k] - shown), default=None)
    if nearest is not None and shown not in chosen:
        chosen[nearest] = shown
    return chosen


def _with_capture(trace: Trace, positions: list[int], end: bool) -> Trace:
    tensors = {name: tensor[positions] for name, tensor in trace.tensors.items() if name != END and positions}
    if end and END in trace.tensors:
        tensors[END] = trace.tensors[END]
    before = trace.captured_steps
    note = f"{len(before) - len(positions)} of {len(before)} captured steps left out to keep the file below 4 MB"
    if END in trace.tensors and END not in tensors:
        note += ", the end state too"
    capture = dict(trace.header.get("capture") or {})
    capture["note"] = "; ".join(words_of(text) for text in (capture.get("note"), note) if text)
    capture["steps"] = [before[i] for i in positions]
    return replace(trace, header={**trace.header, "capture": capture}, tensors=tensors)


def with_end_alone(trace: Trace) -> Trace:
    """The numbers of a run, and of its tensors where it ended."""
    capture = {**(trace.header.get("capture") or {}), "steps": []}
    tensors = {name: tensor for name, tensor in trace.tensors.items() if name == END}
    parts = {name: with_end_alone(part) for name, part in trace.parts.items()}
    return replace(trace, header={**trace.header, "capture": capture}, tensors=tensors, parts=parts)


def _size(tensor: Tensor | None) -> int:
    return 0 if tensor is None else 2 * tensor.numel()  # fp16


def _with_directions(trace: Trace) -> Trace:
    parts = {name: with_directions(part) for name, part in trace.parts.items()}
    return replace(with_directions(trace), parts=parts)


def _facts(trace: Trace) -> dict:
    capture = {**(trace.header.get("capture") or {}), "steps": trace.captured_steps}
    return readable({**trace.header, "capture": capture, "version": VERSION, "stage": list(trace.stage)})


def _pack(trace: Trace) -> bytes:
    facts, tensors = _facts(trace), _rooms(trace)
    beside = {name: facts.pop(name, None) for name in BESIDE}
    metadata = {"gg.format": TRACE_FORMAT, "gg.version": str(VERSION), "gg.header": ascii_json(facts)}
    metadata |= {name: ascii_json(value) for name, value in beside.items() if value is not None}
    if trace.parts:
        parts = [
            {name: fact for name, fact in _facts(part).items() if name in PART_FACTS} for part in trace.parts.values()
        ]
        metadata["gg.parts"] = ascii_json(parts)
    for i, part in enumerate(trace.parts.values(), 1):
        tensors |= {f"part{i}.{name}": tensor for name, tensor in _rooms(part).items()}
    data = safetensors_bytes(tensors, metadata | {CHECKSUM: UNSEALED})
    return _with_checksum(data, UNSEALED, hashlib.sha256(data).hexdigest())


def _with_checksum(data: bytes, old: str, new: str) -> bytes:
    """The file with another checksum in its place; within any other text its quotes would be escaped."""
    return data.replace(f'"{CHECKSUM}":"{old}"'.encode(), f'"{CHECKSUM}":"{new}"'.encode(), 1)


def _rooms(trace: Trace) -> dict[str, Tensor]:
    """All tensors of a trace by the names that they have in a file."""
    columns = {f"steps.{name}": column.double() for name, column in trace.steps.items()}
    captured = {f"tensors.{name}": tensor.half() for name, tensor in trace.tensors.items()}
    return {**columns, **captured, **{f"cross.{name}": tensor.double() for name, tensor in trace.cross.items()}}


def readable(header: Mapping) -> dict:
    """The facts of a header as `load` reads them: texts cut to what their field holds; a note names what is left out.

    Raises ValueError where a required field does not hold what it must.
    """
    facts = {words_of(name): jsonable(value) for name, value in header.items() if not too_deep([value])}
    left = [words_of(name) for name in header if words_of(name) not in facts]
    for name, needed in HEADER.items():
        where, _, last = name.rpartition(".")
        holder = find_claim(facts, where) if where else facts
        if needed.required or find_claim(facts, name) is ABSENT:
            continue
        holder[last] = _fitting(holder[last], needed)
        if holder[last] is ABSENT:
            left.append(name)
            del holder[last]
    if left:
        note = shorten(f"left out of the file, which cannot hold it: {', '.join(left)}", PAGE)
        facts["notes"] = [note, *(facts.get("notes") or [])][:MOST_NOTES]
    check_claims("the header of the trace", facts, HEADER, UNSAVED)
    return facts


def _fitting(value: Any, field: Field) -> Any:
    """The value, its texts cut no further than the field needs; ABSENT where it is something else."""
    forms = (value, *(_cut_texts(value, most) for most in (PAGE, LINE)))
    return next((form for form in forms if field.fits(form)), ABSENT)


def _cut_texts(value: Any, most: int) -> Any:
    """A value with no text longer than so many characters, and no name longer than is read again."""
    if isinstance(value, dict):
        return {shorten(name, LINE): _cut_texts(item, most) for name, item in value.items()}
    if isinstance(value, list):
        return [_cut_texts(item, most) for item in value]
    return shorten(value, most) if isinstance(value, str) else value


def load(path: str | os.PathLike) -> Trace:
    """Read a trace file; every claim it makes about itself is checked.

    Raises FileNotFoundError, or ValueError for a file that is no trace, is damaged, or is newer than this pack.
    """
    with guard(Path(path).name, "its header or its numbers", DAMAGED):
        return _load(path)


def _load(path: str | os.PathLike) -> Trace:
    name = Path(path).name
    _, metadata = read_header(path, max_bytes=READABLE_BYTES)
    header = _header(name, metadata)
    stored, _ = read_safetensors(path, dtypes=("F64", "F16"), max_bytes=READABLE_BYTES)
    first = _trace(name, header, stored)
    others = [
        _trace(
            f"{name}, part {i}",
            facts,
            {key.removeprefix(f"part{i}."): tensor for key, tensor in stored.items() if key.startswith(f"part{i}.")},
        )
        for i, facts in enumerate(_part_headers(name, header, metadata), 1)
    ]
    if any(part.batch != first.batch for part in others):
        raise ValueError(f"{name}: its parts hold different samples. {DAMAGED}")
    stated = metadata.get(CHECKSUM)
    unsealed = _with_checksum(Path(path).read_bytes(), stated, UNSEALED) if stated is not None else b""
    if unsealed and hashlib.sha256(unsealed).hexdigest() != stated:
        raise ValueError(f"{name} is damaged at some byte: its content has another checksum than it states. {DAMAGED}")
    return replace(first, parts={part.header[PART]: part for part in others})


def _trace(name: str, header: dict, stored: Mapping[str, Tensor]) -> Trace:
    """The record of a part, from the tensors that belong to it; every claim is checked."""
    rooms: dict[str, dict[str, Tensor]] = {"steps": {}, "tensors": {}, "cross": {}}
    for key, tensor in stored.items():
        room, _, column = key.partition(".")
        if room in rooms:
            rooms[room][column] = tensor.clone()
    facts = {fact: value for fact, value in header.items() if fact != "stage"}
    trace = Trace(facts, rooms["steps"], header["stage"], rooms["tensors"], rooms["cross"])
    _check_columns(name, trace)
    _check_captured(name, trace)
    _check_cross(name, trace)
    return trace


def _header(name: str, metadata: Mapping[str, str]) -> dict:
    if metadata.get("gg.format") != TRACE_FORMAT:
        raise ValueError(f"{name} is a safetensors file but not a guidance trace. Choose one that a trace node saved.")
    version = metadata.get("gg.version", "")
    if not (version.isdecimal() and len(version) < 10 and int(version) > 0):
        raise ValueError(f"{name} gives its trace version as {version!r}; a whole number is needed. Save it again.")
    if int(version) > VERSION:
        raise ValueError(f"{name} is a trace of version {version}; this pack reads up to {VERSION}. Update the pack.")
    header = _json(name, metadata, "gg.header")
    if not isinstance(header, dict):
        raise ValueError(f"{name}: gg.header is {quote(header)}; a table is needed. {DAMAGED}")
    header |= {key: _json(name, metadata, key) for key in BESIDE}
    check_claims(f"{name}: the header", header, HEADER, DAMAGED)
    _check_steps(name, header)
    return header


def _part_headers(name: str, header: Mapping, metadata: Mapping[str, str]) -> list[dict]:
    """Headers of the parts beside the first: the facts of each, over what is said of the run."""
    parts = _json(name, metadata, "gg.parts") if "gg.parts" in metadata else []
    if not (isinstance(parts, list) and len(parts) < MOST_PARTS and all(isinstance(facts, dict) for facts in parts)):
        raise ValueError(f"{name}: gg.parts is {quote(parts)}, and a list of tables is needed. {DAMAGED}")
    shared = {fact: value for fact, value in header.items() if fact not in PART_FACTS}
    headers = [shared | {fact: value for fact, value in facts.items() if fact in PART_FACTS} for facts in parts]
    for i, facts in enumerate(headers, 1):
        check_claims(f"{name}: the header of part {i}", facts, HEADER, DAMAGED)
        _check_steps(name, facts)
    names = [facts.get(PART) for facts in (header, *headers)]
    if headers and (None in names or len(set(names)) < len(names)):
        raise ValueError(f"{name}: its parts do not have names of their own. {DAMAGED}")
    return headers


def _json(name: str, metadata: Mapping[str, str], key: str) -> Any:
    return json_of(f"{name}: {key}", metadata[key], DAMAGED) if key in metadata else None


def _check_steps(name: str, header: Mapping) -> None:
    """Refuse vectors that are not all there or stand twice, and captured steps that are no steps of the run."""
    vectors, captured = header["vectors"], header["capture"]["steps"]
    if not set(VECTORS) <= set(vectors) or len(set(vectors)) < len(vectors):
        raise ValueError(f"{name}: the header's vectors are not {', '.join(VECTORS)} and others. {DAMAGED}")
    if len(set(captured)) < len(captured) or any(step >= len(header["stage"]) for step in captured):
        raise ValueError(
            f"{name}: the header's capture.steps are not different steps of {len(header['stage'])}. {DAMAGED}"
        )


def _check_columns(name: str, trace: Trace) -> None:
    pairs = len(trace.header["vectors"]) * (len(trace.header["vectors"]) + 1) // 2
    K = trace.steps.get("K")
    n, batch = trace.n, K.shape[1] if K is not None and K.ndim == 3 else 0
    wanted = {"K": (n, batch, pairs), "sum": (n, batch, 3)}
    wanted |= dict.fromkeys(PER_STEP, (n,)) | dict.fromkeys(PER_SAMPLE, (n, batch))
    for further in passes_of(trace.steps):
        wanted |= dict(zip(columns_of_pass(further), ((n,), (n,), (n, batch)), strict=True))
        wanted |= dict.fromkeys(effects_of_pass(further), (n, batch))
    wanted |= {metric.column: (n, batch) for metric in motion_metrics(trace.steps).values()}
    term_columns = {column for term in trace.terms for column in (term.column, term.weight)}
    wanted |= dict.fromkeys(term_columns & trace.steps.keys(), (n, batch))
    for column, size in wanted.items():
        _check_tensor(name, f"column {column!r}", trace.steps.get(column), size, torch.float64)


def _check_captured(name: str, trace: Trace) -> None:
    stack = (len(trace.captured_steps), trace.batch, *trace.latent_shape)
    for key, tensor in trace.tensors.items():
        _check_tensor(name, f"captured {key!r}", tensor, stack[1:] if key == END else stack, torch.float16)


def _check_cross(name: str, trace: Trace) -> None:
    if CROSS not in trace.cross:
        return
    check_claims(f"{name}: the header", trace.header, COMPARED, DAMAGED)
    steps = trace.header[CROSS]["steps"]
    if any(step >= trace.n for step in steps):
        raise ValueError(f"{name}: the header does not say which steps {CROSS!r} compares. {DAMAGED}")
    size = (trace.batch, len(steps) * (len(steps) + 1) // 2)
    _check_tensor(name, f"part {CROSS!r}", trace.cross[CROSS], size, torch.float64)


def _check_tensor(name: str, what: str, tensor: Tensor | None, size: tuple[int, ...], dtype: torch.dtype) -> None:
    form = None if tensor is None else (tuple(tensor.shape), tensor.dtype)
    if form != (size, dtype):
        raise ValueError(f"{name}: {what} is {form}, {(size, dtype)} is needed. The file is damaged: save it again.")
