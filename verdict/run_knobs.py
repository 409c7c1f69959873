"""The numbers that shaped a run and that a widget sets: cfg, distilled guidance, what a gradient, rule or LoRA has.

What acted most decides which of them the report speaks of; picks of each are kept apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..trace.trace import Trace, model_key
from .picks import CFG
from .sentences import Sentence, say

DISTILLED, GRADIENT, RULE, LORA = "guidance", "gradient", "rule", "lora"  # kinds beside cfg
LEAST_CFG, MOST_CFG = 1.0, 100.0  # below 1 guidance weakens the condition; the widgets of samplers end at 100
LATER, EARLIER = ", in a later stage", ", in a first stage"  # of a key: scales of parts of a run are kept apart
TEXTS, NUMBERS = ("kind", "name", "key", "term", "title", "node", "by_hand", "model", "what"), ("value", "low", "high")


@dataclass(frozen=True)
class RunKnob:
    """One number that guided a run, or the strength of a LoRA in it.

    kind: CFG, DISTILLED, GRADIENT, RULE or LORA.
    name: of the widget.
    value: in the run, None where it is unknown or not one number.
    key: by which picks of the knob are kept, with what else guided.
    term: a gradient's name in the record.
    title: of the node that has the widget, None where nobody tells.
    node: id of that node, None where nobody tells, or where another number than the widget's acted.
    low, high: what is worth trying.
    by_hand: where a preset stood in for the widget, the node's input that must bear its name instead.
    model: under which its picks and curves are kept, where that is not the key of the run's model, which a LoRA's
        strength changes.
    what: the name of a LoRA.
    """

    kind: str
    name: str
    value: float | None
    key: str
    term: str = ""
    title: str | None = None
    node: str | None = None
    low: float = 0.0
    high: float = math.inf
    by_hand: str = ""
    model: str = ""
    what: str = ""

    @property
    def words(self) -> Sentence:
        """Name and value of the knob, and whose it is."""
        facts = {"name": self.name, "value": "?" if self.value is None else self.value}
        title = self.what or self.title
        return say("knob.of", title=title, **facts) if title and self.kind != CFG else say("knob", **facts)

    def as_json(self) -> dict[str, Any]:
        """The knob for scripts and browsers."""
        widget: dict[str, Any] = {"title": self.title, "node": self.node, "input": self.name}
        widget |= {"beside": {self.by_hand: self.name}} if self.by_hand else {}
        widget |= {name: value for name, value in (("model", self.model), ("what", self.what)) if value}
        limits = [end if math.isfinite(end) else None for end in (self.low, self.high)]
        return {"key": self.key, "kind": self.kind, "name": self.name, "value": self.value, "limits": limits} | widget

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> RunKnob:
        """A knob as a header states it."""
        kinds = {**dict.fromkeys(TEXTS, str), **dict.fromkeys(NUMBERS, int | float)}
        stated = {name: facts[name] for name, kind in kinds.items() if isinstance(facts.get(name), kind)}
        return cls(**{"kind": RULE, "name": "", "value": None, "key": ""} | stated)


def knobs_of(trace: Trace, cfg: float | None) -> tuple[RunKnob, ...]:
    """Every knob of a run, as its header states them, with those that other facts of it tell.  cfg: of the widget"""
    header = trace.header
    stated = [RunKnob.of(facts) for facts in header.get("knobs") or ()]
    kinds, terms = {knob.kind for knob in stated}, {knob.term for knob in stated}
    knobs = [replace(knob, value=cfg) if knob.kind == CFG else knob for knob in stated]
    if CFG not in kinds:
        knobs.append(RunKnob(CFG, CFG, cfg, CFG, low=LEAST_CFG, high=MOST_CFG))
    distilled = header.get("distilled_guidance")
    if distilled is not None and DISTILLED not in kinds:
        knobs.append(RunKnob(DISTILLED, DISTILLED, float(distilled), DISTILLED))
    gradients = (term for term in trace.terms if term.guides and term.name not in terms)
    knobs += [RunKnob(GRADIENT, "scale", g.scale, f"scale, {g.label}", g.name, g.label) for g in gradients]
    return tuple(knobs)


def model_of(trace: Trace, key: str) -> str | None:
    """By what the picks and curves of a knob of a run are kept.  key: of the knob"""
    knob = next((knob for knob in knobs_of(trace, None) if knob.key == key), None)
    return (knob.model if knob else "") or model_key(trace.header.get("model") or {})


def without_stage(key: str) -> str:
    """The key of a knob in whatever part of a run."""
    return key.removesuffix(LATER).removesuffix(EARLIER)
