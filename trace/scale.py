"""The scale of a run: what cfg was in force, and whether anything beside it took part."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .gram import named
from .metrics import FLOOR_FACTOR, scales_of
from .recorder import RECUR
from .terms import columns_of_pass, passes_of
from .trace import AFTERWARDS, SCALES, Trace

NEGLIGIBLE = 1e-3  # share of D below which D - G is rounding
OFF = ("cond_only", AFTERWARDS)


@dataclass(frozen=True)
class Scale:
    """What guided a run.

    low, high: least and largest gamma of its steps, nan where one is unknown. moved: largest |D - G| / |D| over the
    steps that know it, 0 where that is rounding, nan where none knows it; at: that step. further: names of what else
    took part: further passes, further conditions, classifiers. rules: the chain as text, empty where there is none.
    """

    low: float
    high: float
    moved: float
    at: int | None
    further: tuple[str, ...]
    rules: str

    @property
    def constant(self) -> bool:
        """Whether every step had the same."""
        return self.low == self.high

    @property
    def plain(self) -> bool:
        """Whether nothing but one cfg combined the two predictions."""
        return self.constant and not self.moved > 0 and not self.further


def scale_of(trace: Trace) -> Scale:
    """What guided a run, from its steps and its header."""
    own = own_steps(trace)
    gamma = trace.steps["gamma"][own]
    moved, at = _moved(trace)
    header = trace.header
    gradients = [term.shown for term in trace.terms if term.guides]
    further = (*(header.get("passes") or {}), *(header.get("beside") or ()), *gradients)
    chain = _rules_of(trace)
    known = len(gamma) > 0 and bool(gamma.isfinite().all()) and not several_of(trace)["cfg"]
    low, high = (float(gamma.min()), float(gamma.max())) if known else (math.nan, math.nan)
    return Scale(low, high, moved, at, further, chain if " " in chain else "")  # a chain of plain CFG, or a class name


def _rules_of(trace: Trace) -> str:
    """The chain without its gradients and watched energies, which are no rules."""
    chain = str(trace.header.get("chain") or "")
    texts = [term.text for term in trace.terms if term.text]
    for text in sorted(texts, key=len, reverse=True):  # one may begin another
        chain = chain.replace(f" > {text}", "")
    return chain


def several_of(trace: Trace) -> dict[str, list]:
    """What differs between runs that share the batch: their "cfg" and "chain" in turn, each empty where all agree."""
    lanes = trace.header.get("lanes") or {}
    told = {name: list(dict.fromkeys(lanes.get(name) or ())) for name in ("cfg", "chain")}
    return {name: values if len(values) > 1 else [] for name, values in told.items()}


def own_steps(trace: Trace) -> Tensor:  # -> [n] bool
    """Steps with a prediction of their own: none back to a noisier level."""
    return torch.tensor([stage != RECUR for stage in trace.stage], dtype=torch.bool)


def is_off(trace: Trace, scale: Scale) -> bool:
    """Whether guidance was off: every step has scale 1."""
    return scale.low == scale.high == 1


def predictions_agree(trace: Trace) -> bool:
    """Whether u and c are the same to rounding at every step that has both, of which there is one."""
    size = (trace.record.dot("delta", "delta") / trace.count).sqrt()
    known = size.isfinite().all(dim=1)
    return bool(known.any()) and bool((size[known] <= FLOOR_FACTOR * trace.steps["floor"][known][:, None]).all())


def rounding(trace: Trace) -> Tensor:  # -> [n, 1]
    """How long a difference of predictions may be and still be rounding; 0 where no floor is known."""
    gamma, floor = (trace.steps[name].nan_to_num()[:, None] for name in ("gamma", "floor"))
    return FLOOR_FACTOR * (1 + gamma.abs()) * floor * trace.count**0.5


def with_scales(trace: Trace) -> Trace:
    """The same with its effective scales, where it does not say them: a record of before they were taken.

    Unknown where a further pass took part, whose direction such a record does not hold.
    """
    if set(SCALES) <= trace.steps.keys():
        return trace
    steps = trace.steps
    weights = {term.name: steps[term.weight] for term in trace.terms if term.guides and term.weight in steps}
    scales = scales_of(trace.record, steps["gamma"], weights, steps["floor"][:, None] * trace.count**0.5)
    added = [steps[columns_of_pass(name)[1]].nan_to_num() != 0 for name in passes_of(steps)]
    unknown = sum(added, start=torch.zeros(trace.n, dtype=torch.bool))[:, None]
    return replace(trace, steps={**steps, **{
        name: torch.where(unknown, torch.nan, values) for name, values in zip(SCALES, scales, strict=True)
    }})  # fmt: skip


def _moved(trace: Trace) -> tuple[float, int | None]:
    """Largest |D - G| / |D| over the steps, and where."""
    gamma = trace.steps["gamma"][:, None]
    moved, guided = (trace.record.square(v).sqrt() for v in ({"D-G": 1.0}, named("D", gamma)))
    share = torch.where(moved > torch.maximum(NEGLIGIBLE * guided, rounding(trace)), moved / guided, 0.0)
    share = torch.where(moved.isfinite() & guided.isfinite() & ~gamma.isnan(), share, torch.nan)
    most = share.nan_to_num(nan=-1.0).amax(dim=1) if trace.batch else share.new_zeros(0)
    if not len(most) or bool((most < 0).all()):
        return math.nan, None
    at = int(most.argmax())
    return float(most[at]), at if most[at] > 0 else None
