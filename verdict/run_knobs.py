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

    kind: CFG, or one of those above. name: of its widget. value: in the run, None where it is unknown or not one. key:
    by which its picks are kept, with what else guided. term: a gradient's name in the record. title, node: of the node
    that has the widget, None where nobody tells, or where another number than the widget's acted. low, high: what is
    worth trying. by_hand: where a preset stood in for the widget, the node's input that must bear its name instead.
    model: under which its picks and curves are kept, where that is not the key of the run's model, which a LoRA's
    strength changes. what: the name of a LoRA.
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
        """Its name and value, and whose it is."""
        facts = {"name": self.name, "value": "?" if self.value is None else self.value}
        title = self.what or self.title
        return say("knob.of", title=title, **facts) if title and self.kind != CFG else say("knob", **facts)

    def as_json(self) -> dict[str, Any]:
        """For scripts and browsers."""
        widget: dict[str, Any] = {"title": self.title, "node": self.node, "input": self.name}
        widget |= {"beside": {self.by_hand: self.name}} if self.by_hand else {}
        widget |= {name: value for name, value in (("model", self.model), ("what", self.what)) if value}
        limits = [end if math.isfinite(end) else None for end in (self.low, self.high)]
        return {"key": self.key, "kind": self.kind, "name": self.name, "value": self.value, "limits": limits} | widget

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> RunKnob:
        """As a header states it."""
        kinds = {**dict.fromkeys(TEXTS, str), **dict.fromkeys(NUMBERS, int | float)}
        stated = {name: facts[name] for name, kind in kinds.items() if isinstance(facts.get(name), kind)}
        return cls(**{"kind": RULE, "name": "", "value": None, "key": ""} | stated)


def knobs_of(trace: Trace, cfg: float | None) -> tuple[RunKnob, ...]:
    """Every knob of a run, as its header states them, with those that other facts of it tell.  cfg: of the widget"""
    header = trace.header
    stated = [RunKnob.of(one) for one in header.get("knobs") or ()]
    kinds, terms = {one.kind for one in stated}, {one.term for one in stated}
    plain = RunKnob(CFG, CFG, cfg, CFG, low=LEAST_CFG, high=MOST_CFG)
    found = [replace(one, value=cfg) if one.kind == CFG else one for one in stated]
    found += [] if CFG in kinds else [plain]
    told = header.get("distilled_guidance")
    found += [] if told is None or DISTILLED in kinds else [RunKnob(DISTILLED, DISTILLED, float(told), DISTILLED)]
    gradients = (term for term in trace.terms if term.guides and term.name not in terms)
    found += [RunKnob(GRADIENT, "scale", g.scale, f"scale, {g.label}", g.name, g.label) for g in gradients]
    return tuple(found)


def model_of(trace: Trace, key: str) -> str | None:
    """By what the picks and curves of a knob of a run are kept.  key: of the knob"""
    knob = next((one for one in knobs_of(trace, None) if one.key == key), None)
    return (knob.model if knob else "") or model_key(trace.header.get("model") or {})


def without_stage(key: str) -> str:
    """The key of a knob in whatever part of a run."""
    return key.removesuffix(LATER).removesuffix(EARLIER)
