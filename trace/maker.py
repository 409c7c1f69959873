"""The one place where a record becomes a Trace, whoever watched the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .accumulator import Accumulator, Remarks
from .faults import keep_out
from .terms import term_facts
from .trace import END, VERSION, Trace

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class EndedRun:
    """A run, or a part of its sample, as far as it was seen.

    id: of the run. sigmas: the schedule. end: the sampler's result [B, ...], None where it is out of reach. faults:
    what ended the record or some of it, a sentence each.
    """

    id: str
    accumulator: Accumulator
    sigmas: Sequence[float | None]
    end: Tensor | None
    faults: list[str] = field(default_factory=list)

    @property
    def batch(self) -> int:
        """How many samples the run has."""
        return 0 if self.end is None else len(self.end)

    @property
    def shape(self) -> list[int]:
        """Shape of one sample, without the batch axis."""
        return [] if self.end is None else list(self.end.shape[1:])


def make_trace(
    run: EndedRun,
    facts: Mapping[str, Any],
    store: Callable[[Tensors], tuple[Tensors, str]] = lambda tensors: (tensors, ""),
    remarks: Remarks = lambda columns: [],
) -> Trace:
    """The trace of a run; what cannot be kept is left out, and a note says so.

    facts: of the header, beside and above what every reader relies on. store(tensors): where captured tensors are
    kept, and why not elsewhere. remarks(columns): sentences for the notes, once the numbers are known.
    """
    accumulator, faults = run.accumulator, run.faults
    header = {**_least_header(run), **facts}
    tensors: Tensors = {}
    with keep_out(lambda fault: faults.append(f"no pictures were kept: {fault}")):
        tensors = _capture_tensors(run, header["capture"], store)
    notes = header["notes"] = [*faults, *header["notes"]]
    stage = list(accumulator.stage)
    columns = (
        accumulator.close_columns(notes, faults, remarks=remarks) if stage else accumulator.unknown_columns(run.batch)
    )
    passes = {"passes": dict(accumulator.passes)} if accumulator.passes else {}
    return Trace(header | {"faults": faults} | passes, columns, stage, tensors)


def _least_header(run: EndedRun) -> dict[str, Any]:
    """What every reader of a trace relies on."""
    accumulator, capture = run.accumulator, run.accumulator.capture
    return {
        "version": VERSION,
        "run": run.id,
        "space": "flow" if accumulator.setting.flow else "ve",
        "vectors": list(accumulator.setting.vectors),
        **term_facts(accumulator.setting.terms),
        "sampler": None,
        "scheduler": None,
        "cfg": None,
        "seed": None,
        "sigmas": list(run.sigmas),
        "model": {},
        "latent": {"shape": run.shape, "format": None},
        "evaluations": accumulator.evaluations,
        "notes": [],
        "capture": {"mode": capture.mode, "budget_mb": capture.budget >> 20, "steps": [], "note": ""},
    }


def _capture_tensors(run: EndedRun, facts: dict, store: Callable[[Tensors], tuple[Tensors, str]]) -> Tensors:
    """The captured tensors and the end state; `facts` gets which steps, and what was left out."""
    capture = run.accumulator.capture
    steps, tensors, note = capture.stack()
    if capture.mode != "numbers" and run.end is not None:
        tensors[END] = run.end.half().cpu()
    tensors, why = store(tensors)
    facts |= {"steps": steps, "note": "; ".join(text for text in (note, why) if text)}
    return tensors
