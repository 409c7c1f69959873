"""From a place on the axes of a sweep to the settings of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ...guidance.chain import Chain
from ...guidance.gradients.term import GradientTerm
from ...guidance.rules.kinds import Rule
from ...sweeps.axes import RULE, WORDS, Axis, Value, Word, kind_of, places, suggest, value_at, word_of
from ...sweeps.rules import knob_of, letters_of, refuse_unmatched, rule_named, set_knob
from ..editor.checks import CheckedNode, insist, misfits, number
from ..editor.rule_nodes import chain_by_name, describe_rule_node, rule_node_of, rules_by_name
from .conditions import Asked
from .runs import Settings

MOST = 1e6  # of a knob whose range no widget states
BOTH = "The axes have a label and a prompt, and a model has one of them. Leave out the other."
NO_CFG = "The axes have no cfg, and this node has no other place for it. Add a line, for example: cfg: 4"
OF_RUN, ASKED = (
    [field.name for field in fields(kind) if field.name not in ("chain", "condition")] for kind in (Settings, Asked)
)


def runs_of(axes: Sequence[Axis], usual: Settings, node: type[CheckedNode]) -> list[tuple[dict[str, Value], Settings]]:
    """Every place on the axes, and the settings there.  usual: of what no axis names. node: whose widgets they are.

    Raises ValueError for an axis that is unknown or a value that cannot be used, before anything runs.
    """
    words = {axis.word for axis in axes if "." not in axis.name}
    if "cfg" not in words:
        raise ValueError(NO_CFG)
    if {"label", "prompt"} <= words:
        raise ValueError(BOTH)
    for axis in axes:
        if "." not in axis.name and axis.word not in (*OF_RUN, *ASKED, RULE):
            steered = [f"{owner}.scale" for rule in usual.chain.rules if (owner := getattr(rule, "title", ""))]
            words = suggest(axis.name, [*OF_RUN, *ASKED, RULE, *(steered or ["APG.eta"])])
            raise ValueError(f"There is no axis {axis.name!r}. {words}")
        for value in axis.values:
            insist(*_misfits(axis, value, node))
    runs = [(place, settings_at(place, usual)) for place in places(axes)]
    refuse_unmatched((axis.name for axis in axes), (settings.chain for _, settings in runs), _names)
    return runs


def _misfits(axis: Axis, value: Value, node: type[CheckedNode]) -> Iterator[str | None]:
    """What is wrong with a value, by the widget of the node that it takes the place of, or by the range of a scale."""
    names = (axis.word, *WORDS.get(axis.word, Word("")).widgets)
    widgets = [name for name in names if axis.word in OF_RUN and name in node.inputs_by_id and "." not in axis.name]
    if widget := next(iter(widgets), ""):
        yield from misfits(node, {widget: value})
    elif axis.kind == "scale" and "." not in axis.name:
        yield number(axis.name, value, 0.0, 100.0)


def settings_at(place: Mapping[str, Value], usual: Settings) -> Settings:
    """The settings at one place."""
    named = {word_of(name): value for name, value in place.items() if "." not in name}
    of_run: dict[str, Any] = {word: named[word] for word in OF_RUN if word in named}
    wanted: dict[str, Any] = {word: named[word] for word in ASKED if word in named}
    wanted |= {word: str(value) for word, value in wanted.items() if kind_of(word) != "scale"}
    condition = Asked(**wanted)
    by_rule = value_at(place, RULE)
    chain = usual.chain if by_rule is None else chain_by_name(str(by_rule))
    for name, value in place.items():
        if "." in name:
            chain = _change_knob(chain, name, value, by_rule is not None)
    return replace(usual, **of_run, chain=chain, condition=condition)


def _change_knob(chain: Chain, name: str, value: Value, by_rule: bool) -> Chain:
    """The chain with another value of a knob, named `Rule.knob` as on the rule's node, or by its number: `22.scale`.

    by_rule: an axis names rules, so that some chains have the rule and others do not.
    """
    owner, _, knob = name.rpartition(".")
    meant_one = knob_of(chain, name, _names)
    if meant_one is None:
        named = _names_of(GradientTerm)
        title = named[0] if letters_of(owner) in map(letters_of, named) else rule_named(owner, rules_by_name()).names[0]
        if by_rule:
            return chain
        raise ValueError(f"{name} is on no rule of the chain {chain.text!r}. Connect {title} to guidance.")
    (rule, field), node = meant_one, rule_node_of(type(meant_one[0]))
    before = getattr(rule, field)
    value = str(value) if isinstance(before, str) else value
    if node and knob in node.inputs_by_id:
        insist(*misfits(node, {knob: value}))
    elif not isinstance(before, str | bool):  # no widget of this name says a range: any number that means one
        insist(number(name, value, -MOST, MOST))
    return set_knob(chain, rule, field, value)


def _names(rule: Rule) -> list[str]:
    """What an axis may call a rule: as its class, or by the title and the number of the node that made it."""
    return [*_names_of(type(rule)), *filter(None, (getattr(rule, name, "") for name in ("title", "node")))]


def _names_of(kind: type[Rule]) -> list[str]:
    """What the rules of a class are called: by their node, then by the class itself."""
    node = rule_node_of(kind)
    return [*(describe_rule_node(node).names if node else []), kind.__name__]
