"""From a place on the axes of a sweep to the settings of one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ..guidance.chain import Chain
from ..guidance.gradients.term import GradientTerm
from ..guidance.rules.kinds import Rule
from ..studies.axes import Axis, Value, meant, places
from ..studies.rules import rule_named
from ..studies.workflow import RULE
from .checks import CheckedNode, insist, misfits, number
from .rule_nodes import chain_by_name, rule_node_of, rules_by_name
from .sweep_conditions import DISTILLED, Asked
from .sweeping import Settings

FIELDS = {
    "cfg": "cfg",
    "seed": "seed",
    "steps": "steps",
    "sampler": "sampler_name",
    "sampler_name": "sampler_name",
    "scheduler": "scheduler",
}
ASKED: Mapping[str, Callable[[Any], Any]] = {"label": str, "prompt": str, DISTILLED: float}
MOST = 1e6  # of a knob whose range no widget states
SCALES = ("cfg", DISTILLED)  # which no widget of the node has
GRADIENT = "GGClassifierGradient"
GRADIENTS = ("classifier guidance", GRADIENT.lower(), GradientTerm.__name__.lower())  # what any gradient is called
KNOBS = {
    "scale": "weight",
    "every_k": "every",
    "start_percent": "start",
    "end_percent": "end",
}  # others keep their name
WIRES = {"energy", "options"}
NO_GRADIENT = "{name} names no gradient of the chain {chain!r}. Connect Classifier Guidance to guidance."
BOTH = "The axes have a label and a prompt, and a model has one of them. Leave out the other."
NO_CFG = "The axes have no cfg, and this node has no other place for it. Add a line, for example: cfg: 4"


def runs_of(axes: Sequence[Axis], usual: Settings, node: type[CheckedNode]) -> list[tuple[dict[str, Value], Settings]]:
    """Every place on the axes, and the settings there.  usual: of what no axis names. node: whose widgets they are.

    Raises ValueError for an axis that is unknown or a value that cannot be used, before anything runs.
    """
    names = [axis.name for axis in axes]
    if "cfg" not in names:
        raise ValueError(NO_CFG)
    if {"label", "prompt"} <= set(names):
        raise ValueError(BOTH)
    for axis in axes:
        if axis.name not in (*FIELDS, *ASKED, RULE) and "." not in axis.name:
            scales = [f"{rule.title or GRADIENT}.scale" for rule in usual.chain.rules if isinstance(rule, GradientTerm)]
            words = meant(axis.name, [*FIELDS, *ASKED, RULE, *(scales or ["APG.eta"])])
            raise ValueError(f"There is no axis {axis.name!r}. {words}")
        for value in axis.values:
            own = misfits(node, {FIELDS.get(axis.name, ""): value})
            insist(*([number(axis.name, value, 0.0, 100.0)] if axis.name in SCALES else own))
    return [(place, settings_at(place, usual)) for place in places(axes)]


def settings_at(place: Mapping[str, Value], usual: Settings) -> Settings:
    """The settings at one place."""
    own = {FIELDS[name]: value for name, value in place.items() if name in FIELDS}
    asked = Asked(**{name: kind(place[name]) for name, kind in ASKED.items() if name in place})
    chain = chain_by_name(str(place[RULE])) if RULE in place else usual.chain
    for name, value in place.items():
        if "." in name:
            chain = _changed(chain, name, value, RULE in place)
    return replace(usual, **own, chain=chain, asked=asked)


def _changed(chain: Chain, name: str, value: Value, by_rule: bool) -> Chain:
    """The chain with another value of a knob, named `Rule.knob`.

    by_rule: an axis names rules, so that some chains have the rule and others do not.
    """
    owner, _, knob = name.rpartition(".")
    if owner.lower() in GRADIENTS or any(owner.lower() in _names(rule) for rule in chain.rules):
        return _steered(chain, name, value, by_rule)
    kind = _kind(chain, owner)
    mine = [i for i, rule in enumerate(chain.rules) if type(rule) is kind]
    if not mine:
        if by_rule:
            return chain
        raise ValueError(f"{name} is on no rule of the chain {chain.text!r}. Connect that rule to guidance.")
    rule, node = chain.rules[mine[0]], rule_node_of(kind)
    known = {one.name: getattr(rule, one.name) for one in fields(rule) if one.init}
    known = {one: at for one, at in known.items() if isinstance(at, Value)}
    if knob not in known:
        words = meant(knob, known) if known else "None of its knobs can be an axis."
        raise ValueError(f"{owner} has no knob {knob!r} that an axis can set. {words}")
    value = str(value) if isinstance(known[knob], str) else value
    if node and knob in node.declared:
        insist(*misfits(node, {knob: value}))
    elif not isinstance(known[knob], str | bool):  # no widget of this name says a range: any number that means one
        insist(number(name, value, -MOST, MOST))
    return replace(chain, rules=tuple(replace(r, **{knob: value}) if r is rule else r for r in chain.rules))


def _names(rule: Rule) -> list[str]:
    """What an axis may call the node of a gradient."""
    return [rule.title.lower(), rule.node, *GRADIENTS] if isinstance(rule, GradientTerm) else []


def _steered(chain: Chain, name: str, value: Value, by_rule: bool) -> Chain:
    """The chain with another value of a gradient's widget; as `_changed`."""
    owner, _, knob = name.rpartition(".")
    mine = [rule for rule in chain.rules if isinstance(rule, GradientTerm) and owner.lower() in _names(rule)]
    if by_rule and not mine:
        return chain
    if len(mine) != 1:
        which = ", ".join(f"{rule.node or rule.title}.{knob}" for rule in mine)
        several = f"{name} may be one of {len(mine)} gradients. Write which: {which}."
        raise ValueError(several if mine else NO_GRADIENT.format(name=name, chain=chain.text))
    (node,) = (one for one in CheckedNode.__subclasses__() if one.__name__ == GRADIENT and "declared" in vars(one))
    known = [one for one in node.declared if KNOBS.get(one, one) in {each.name for each in fields(mine[0])} - WIRES]
    if knob not in known:
        raise ValueError(f"{owner} has no knob {knob!r} that an axis can set. {meant(knob, known)}")
    insist(*misfits(node, {knob: value}))
    own = {KNOBS.get(knob, knob): value} | ({"measured": False} if knob == "scale" else {})
    return replace(chain, rules=tuple(replace(r, **own) if r is mine[0] else r for r in chain.rules))


def _kind(chain: Chain, owner: str) -> type:
    """The class of a rule, by its own name or by that of its node."""
    mine = {type(rule).__name__.lower(): type(rule) for rule in chain.rules}
    if owner.lower() in mine:
        return mine[owner.lower()]
    return type(chain_by_name(rule_named(owner, rules_by_name()).id).rules[-1])
