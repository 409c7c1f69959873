"""What a trace says about its run besides numbers: its header, its notes, and the tensors that were kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..trace.accumulator import Capture, Ledger
from ..trace.faults import kept_out
from ..trace.recorder import RECUR
from ..trace.trace import VERSION, Trace
from . import adapter
from .saving import mapped

if TYPE_CHECKING:
    from .recording import Watch

NO_EFFECT = (
    "the rules of the chain had no effect: at cfg 1 only the conditional prediction is made, and they need the "
    "difference between two. Raise cfg above 1"
)


def trace_of(watch: Watch) -> Trace:
    """All that was seen of a run; what cannot be told is left out, and a note says so."""
    ledger = watch.ledger if watch.begun else Ledger(watch.flow, Capture("numbers"))
    if not ledger.stage:
        ledger.batch = 0 if watch.end is None else len(watch.end)
    faults, header = watch.faults, least_header(watch, ledger)
    for name, fact in (
        FACTS.items() if watch.patcher is not None else ()
    ):  # of a run whose MODEL is out of reach there are none
        with kept_out(lambda fault, name=name: faults.append(f"{name} of the run unknown: {fault}")):
            header[name] = fact(watch, ledger)
    tensors: dict[str, Tensor] = {}
    with kept_out(lambda fault: faults.append(f"no pictures were kept: {fault}")):
        tensors = kept_tensors(watch, ledger, header["capture"])
    notes = header["notes"]
    notes[:0] = faults
    columns = ledger.closed(notes) if ledger.stage else ledger.unknown_columns()
    return Trace(header | {"faults": faults}, columns, list(ledger.stage), tensors)


def on_the_node(trace: Trace) -> dict:
    """What a node shows beside a trace: what ended its record, if anything did."""
    faults = trace.header.get("faults")
    return {"ui": {"text": faults}} if faults else {}


def least_header(watch: Watch, ledger: Ledger) -> dict:
    """What every reader of a trace relies on; nothing in it can fail."""
    shape = [] if watch.end is None else list(watch.end.shape[1:])
    capture = ledger.capture
    return {
        "version": VERSION,
        "run": watch.run_id,
        "space": "flow" if watch.flow else "ve",
        "vectors": list(ledger.vectors),
        "sampler": watch.name,
        "scheduler": None,
        "cfg": None,
        "seed": watch.seed,
        "sigmas": [float(s) for s in watch.sigmas],
        "model": {},
        "latent": {"shape": shape, "format": None},
        "evaluations": ledger.evaluations,
        "notes": [],
        "capture": {"mode": capture.mode, "budget_mb": capture.budget >> 20, "steps": [], "note": ""},
    }


def kept_tensors(watch: Watch, ledger: Ledger, capture: dict) -> dict[str, Tensor]:
    """The captured tensors and the end state; `capture` is told which steps, and what was left out."""
    steps, tensors, note = ledger.capture.stacked()
    if ledger.capture.mode != "numbers" and watch.end is not None:
        tensors["end"] = watch.end.half().cpu()
    tensors, why = mapped(tensors)
    capture |= {"steps": steps, "note": "; ".join(text for text in (note, why) if text)}
    return tensors


def _latent(watch: Watch, ledger: Ledger) -> dict:
    form = type(watch.patcher.get_model_object("latent_format")).__name__
    return {"shape": [] if watch.end is None else list(watch.end.shape[1:]), "format": form}


def _split(watch: Watch, ledger: Ledger) -> str:
    checked = "checked by the step's formula" if ledger.formula else "not verified by a formula"
    return f"{watch.split}; {checked}"


def _options(watch: Watch, ledger: Ledger) -> dict:
    return {name: v for name, v in watch.options.items() if isinstance(v, int | float | str)}


def _cfg(watch: Watch, ledger: Ledger) -> float | None:
    """The guider's scale; of one that combines its predictions itself, what the steps have in common."""
    if not watch.foreign:
        return float(getattr(watch.guider, "cfg", math.nan))
    (known, *others) = set(watch.scales) or {math.nan}
    return None if others or not math.isfinite(known) else known


def _chain(watch: Watch, ledger: Ledger) -> str:
    guidance = watch.run_of_chain.chain if watch.run_of_chain else getattr(watch.guider, "guidance", None)
    return getattr(guidance, "text", type(watch.guider).__name__)


def _labels(watch: Watch, ledger: Ledger) -> list[str] | None:
    return adapter.labels_of(watch.guider, 0 if watch.end is None else len(watch.end))


FACTS: dict[str, Callable[[Watch, Ledger], Any]] = {
    "latent": _latent,
    "terms": lambda watch, _: watch.terms(),
    "options": _options,
    "cfg": _cfg,
    "distilled_guidance": lambda watch, _: adapter.distilled_guidance(watch.guider),
    "labels": _labels,
    "chain": _chain,
    "model": lambda watch, _: adapter.describe_model(watch.patcher),
    "host": lambda watch, _: adapter.describe_host(watch.patcher),
    "sigma_data": lambda watch, _: adapter.data_deviation(watch.patcher),
    "split": _split,
    "notes": lambda watch, ledger: notes_of(watch, ledger),
}


def notes_of(watch: Watch, ledger: Ledger) -> list[str]:
    """What a reader should know before trusting the numbers."""
    notes = []
    if watch.masked:
        notes.append("a noise mask was set: D is the original outside it, so D - G is not a rule's doing there")
    if watch.flow and watch.name in adapter.WRONG_ON_FLOW:
        notes.append(f"{watch.name} adds VE noise to a flow state: its samples are wrong on flow models")
    notes += [*_about_uncond(watch, ledger), *_about_scale(watch), *_about_noise(watch)]
    return [*notes, *(watch.run_of_chain.told() if watch.run_of_chain else ())]


def _about_uncond(watch: Watch, ledger: Ledger) -> list[str]:
    asked = [stage for stage in ledger.stage if stage != RECUR]
    skipped = sum(stage != "step" for stage in asked)
    if not skipped:
        return []
    said = [f"uncond was not evaluated in {skipped} of {len(asked)} steps"]
    ruled = watch.run_of_chain is not None and watch.run_of_chain.chain.rules
    alone = ruled and set(asked) == {"cond_only"} and all(scale == 1 for scale in watch.scales)
    return [*said, NO_EFFECT] if alone else said


def _about_scale(watch: Watch) -> list[str]:
    unknown = sum(math.isnan(scale) for scale in watch.scales)
    if not watch.foreign or not unknown:
        return []
    name, count = type(watch.guider).__name__, len(watch.scales)
    return [f"{name} combines its predictions itself: its scale is unknown in {unknown} of {count} steps"]


def _about_noise(watch: Watch) -> list[str]:
    lost = watch.recorder.unfollowed if watch.begun else 0
    return [f"the noise of {lost} steps could not be followed: it counts as part of the move"] if lost else []
