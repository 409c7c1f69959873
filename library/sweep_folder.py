"""The folder of a sweep of the library: every run a cell, whose row stays, and the page of all of them."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..figures.pictures import Pictures
from ..guidance.contract import chain_from
from ..guidance.rules.function import FunctionRule
from ..sweeps.addresses import place_at
from ..sweeps.axes import RULE, Axis
from ..sweeps.cells import Cell, cell_id, pack_version
from ..sweeps.measures import USUAL
from ..sweeps.plan import Plan
from ..sweeps.results import ORIGIN, Folder, digest_of
from ..sweeps.summary import set_faulty_aside, trace_at, write_summary
from ..trace.file import pack_trace
from .traces import Trace

DECIDED = {"gamma", "cfg", RULE, "sampler", "seed", "scheduler", "steps", "label", "prompt"}  # by what they change
SIDE = 32  # pixels of the picture of a sample that is none


class SweepFolder:
    """Where rows stay.

    call: what all runs have in common. pairs: every axis, as what rows say and the value. runs: as
    `library.sweeping.PlannedRun`. given: noise levels and condition where no axis has them, which a later call may
    change.
    """

    def __init__(
        self,
        folder: Any,
        call: Mapping[str, Any],
        pairs: Mapping,
        runs: Sequence[Any],
        judges: Mapping,
        given: Any,
    ):
        call_json, setting = as_json(call), digest_of(canonical_bytes(given))
        self.plan = Plan({"sweep": {"class_type": "guidance_geometry.sweep", "inputs": call_json}}, axes_of(pairs))
        self.judges, self.folder = judges, Folder(place_at(str(folder)), any_measure=True)
        self.cells = {id(run): cell_of(call_json, run) for run in runs}
        self.decode: Callable | None = getattr(call["denoiser"], "decode", None)
        self.plan = self.folder.widen(self.plan)
        self.folder.keep(self.plan)
        self.origins = {
            id(run): {"setting": setting, "rule": digest_of(canonical_bytes(codes_of(run)))} for run in runs
        }
        set_faulty_aside(self.folder, [*self.cells.values()])

    def row(self, one: Any) -> dict[str, Any] | None:
        """The row of a run that is done; None where there is none, or where it lacks a measure."""
        stored = self.folder.row(self.cells[id(one)])
        if not stored or not {*self.judges} <= stored["measures"].keys():
            return None
        values = {name: math.nan if value is None else value for name, value in stored["measures"].items()}
        first = {name: values.pop(name) for name in ("evaluations", *self.judges)}
        codes = {name: value for name, value in values.items() if name not in USUAL}
        return {**one.place, **first, **codes, "seconds": stored["seconds"]}

    def write(self, one: Any, row: dict[str, Any]) -> dict[str, Any]:
        """Keep the row of a run, its trace and its picture; returns the row."""
        values = {name: value for name, value in row.items() if name not in one.place and name != "seconds"}
        facts = {"seconds": row["seconds"], "measures": values, ORIGIN: self.origins[id(one)]}
        shown = picture_of(one.run.end, self.decode)
        self.folder.write(self.cells[id(one)], pack_trace(one.run.trace), shown, facts, USUAL)
        return row

    def trace(self, one: Any) -> Trace:
        """The trace of a run that is done."""
        return Trace.of(trace_at(self.folder, self.cells[id(one)].id))

    def show(self) -> None:
        """Write the page and the tables of what is done, by earlier calls too."""
        cells = [*self.cells.values(), *self.earlier()]
        note = f"{len(cells)} runs in one process."
        write_summary(self.folder, self.plan, cells, "Guidance sweep", note, (*USUAL, *self.judges))

    def earlier(self) -> list[Cell]:
        """What earlier calls left at other places, of the same levels and condition, and of rules as they are now."""
        cells = [*self.cells.values()]
        places = [cell.place for cell in cells]
        rules = {cell.place[RULE]: origin for cell, origin in zip(cells, self.origins.values(), strict=True)}
        setting = next(iter(rules.values()))["setting"]
        return [
            Cell(row["id"], row["place"], {})
            for row in self.folder.rows_beside(cells)
            if row.get(ORIGIN, {}).get("setting") == setting
            and row["place"] not in places
            and rules.get(row["place"].get(RULE), row[ORIGIN]) == row[ORIGIN]
        ]


def canonical_bytes(value: Any) -> bytes:
    """A value as text."""
    return json.dumps(as_json(value), sort_keys=True).encode()


def codes_of(planned: Any) -> list[str]:
    """The code of the rules of a run that are none of the pack's."""
    return [source_of(rule) for rule in chain_from(planned.at[RULE]).rules]


def axes_of(pairs: Mapping[str, Sequence[tuple[Any, Any]]]) -> tuple[Axis, ...]:
    """The axes by what rows say.  Raises ValueError where two values of one are called the same."""
    axes = tuple(Axis(name, tuple(as_json(word) for word, _ in values)) for name, values in pairs.items())
    if twice := [axis.name for axis in axes if len({*axis.values}) < len(axis.values)]:
        raise ValueError(f"Two values of the axis {twice[0]} have one name. Give them names: {{name: value, ...}}.")
    return axes


def cell_of(call: Mapping[str, Any], planned: Any) -> Cell:
    """A run as a cell, whose id follows all that can be told of what decides it."""
    decides = {name: planned.at[name] for name in ("condition", "sampler", "seed", "cfg")}
    decides |= {"sigmas": planned.run.run.sigmas, "chain": planned.run.facts["chain"]}
    decides |= {"knobs": {name: value for name, value in planned.place.items() if name not in DECIDED}}
    decides |= {"code": codes_of(planned)}
    prompt = {"run": {"class_type": "guidance_geometry.record", "inputs": {**call, **as_json(decides)}}}
    return Cell(cell_id(prompt, {}, pack_version()), as_json(planned.place), {})


def as_json(value: Any) -> Any:
    """A value as JSON has it: tensors and arrays by their bytes, whatever else there is by the name of its kind."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, Mapping):
        return {str(name): as_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple | torch.Size):
        return [as_json(each) for each in value]
    if isinstance(value, Tensor | np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(torch.as_tensor(value).cpu().float()).tobytes()).hexdigest()
    return getattr(value, "__qualname__", type(value).__qualname__)


def source_of(rule: Any) -> str:
    """The code of a rule that is none of the pack's; nothing where nobody can read it."""
    made = rule.function if isinstance(rule, FunctionRule) else type(rule)
    if made.__module__.startswith(__name__.partition(".")[0] + "."):
        return ""
    try:
        return inspect.getsource(made)
    except (OSError, TypeError):
        return ""


def picture_of(end: Tensor, decode: Callable[[Tensor], Tensor] | None) -> bytes:  # [B, C, ...] -> a PNG
    """The first sample as a picture; grey where its colours are not known."""
    from PIL import Image

    pictures, first = Pictures(decode), end[:1].float().cpu()
    has_picture = pictures.can_show(tuple(first.shape[1:]))
    pixels = pictures.image(first)[0] if has_picture else torch.full((SIDE, SIDE, 3), 0.5)
    sink = BytesIO()
    Image.fromarray((pixels * 255).round().to(torch.uint8).numpy()).save(sink, "PNG")
    return sink.getvalue()
