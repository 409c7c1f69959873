"""Rules by name: `APG`, `CFG-Zero*`, `TCFG + Rescale CFG`, as nodes with their default settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..guidance.chain import Chain
from ..guidance.contract import chain_from
from ..guidance.printing import quote
from ..guidance.rule_file import FORM, RuleFile
from ..guidance.rules.kinds import Rule
from .axes import suggest

CATEGORY = "guidance geometry/rules"
PLAIN = ("cfg", "plaincfg", "none")
FILE_NODE = "GGRuleFile"  # runs rules in files, on a ComfyUI that was started with them
NO_FILES = (
    "The rule {} is in a file, and this ComfyUI runs no files: only one that guidance-geometry sweep itself starts "
    "does. Leave out --server, or add the rule to the pack."
)
SOCKET, ENERGY = "guidance", "GG_ENERGY"  # an input that every rule has; the type of a wire


@dataclass(frozen=True)
class RuleNode:
    """A node that makes a guidance chain longer.

    defaults: of its widgets. sockets: inputs that must be connected. knobs: of a rule in a file, whose node takes those
    that differ as one text.
    """

    id: str
    title: str
    defaults: Mapping[str, Any]
    sockets: tuple[str, ...] = ()
    knobs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """What it may be called: its id, its title, and what stands before and inside the brackets there."""
        head, _, inside = self.title.partition("(")
        return [head.strip(), self.title, self.id.removeprefix("GG"), self.id, *re.split(r"[/,]", inside.rstrip(") "))]


class Nodes(NamedTuple):
    """What a sweep has to know of the nodes of a server.  energies: those that can judge."""

    rules: Sequence[RuleNode] = ()
    energies: Collection[str] = ()

    @classmethod
    def of(cls, types: Mapping[str, Mapping | None]) -> Nodes:
        """types: the server's /object_info, {node id: {display_name, category, input, output} or None}."""
        present = {name: facts for name, facts in types.items() if facts}
        rules = [_rule_node(name, facts) for name, facts in present.items() if facts["category"].startswith(CATEGORY)]
        return cls(rules, {name for name, facts in present.items() if ENERGY in facts.get("output", ())})


NOTHING = Nodes()


def knob_of(chain: Chain, name: str, names: Callable[[Rule], Iterable[str]]) -> tuple[Rule, str] | None:
    """The rule of a chain and its field that an axis `Rule.knob` sets; None where the chain has no such rule.

    names: what a rule may be called. Raises ValueError for a knob that it has not, and where several rules are meant
    that their numbers tell apart.
    """
    owner, _, knob = name.rpartition(".")
    mine = [rule for rule in chain.rules if letters_of(owner) in map(letters_of, names(rule))]
    if not mine:
        return None
    if len(numbers := [node for rule in mine if (node := getattr(rule, "node", ""))]) > 1:
        which = ", ".join(f"{node}.{knob}" for node in numbers)
        raise ValueError(f"{name} may be one of {len(mine)} gradients. Write which: {which}.")
    widgets = mine[0].fields_by_widget
    field = widgets.get(knob, knob)
    if field not in widgets.values():
        words = suggest(knob, widgets) if widgets else "None of its knobs can be an axis."
        raise ValueError(f"{owner} has no knob {quote(knob)} that an axis can set. {words}")
    return mine[0], field


def refuse_unmatched(axes: Iterable[str], chains: Iterable[Chain], names: Callable[[Rule], Sequence[str]]) -> None:
    """Raise ValueError for an axis `Rule.knob` that no run of a sweep would read.

    axes: names of all. chains: of all runs. names: what a rule may be called, the best name first.
    """
    chains = [*chains]
    for name in axes:
        if "." in name and not any(knob_of(chain, name, names) for chain in chains):
            rules = {id(rule): rule for chain in chains for rule in chain.rules}.values()
            knobs = [f"{names(rule)[0]}.{knob}" for rule in rules for knob in rule.fields_by_widget]
            there = suggest(name, knobs) if knobs else "They have none with a knob: add a rule, or leave out this axis."
            raise ValueError(f"No run of this sweep has a rule with {name}. {there}")


def set_knob(chain: Chain, rule: Rule, field: str, value: Any) -> Chain:
    """The chain with another value of a field of one of its rules."""
    return replace(chain, rules=tuple(r.with_field(field, value) if r is rule else r for r in chain.rules))


def _rule_node(name: str, facts: Mapping) -> RuleNode:
    required = facts["input"].get("required", {})
    inputs = {**required, **facts["input"].get("optional", {})}
    usual = {widget: default_of(declared) for widget, declared in inputs.items()}
    defaults = {widget: value for widget, value in usual.items() if value is not None}
    return RuleNode(
        name, facts["display_name"], defaults, tuple(socket for socket in required if socket not in defaults)
    )


def default_of(declared: Sequence) -> Any:
    """What a widget shows at first, by what /object_info says of it; None of a socket."""
    kind, more = declared[0], declared[1] if len(declared) > 1 else {}
    options = kind if isinstance(kind, list) else more.get("options") or []
    return more.get("default", options[0] if options else None)


def chain_named(text: str, rules: Sequence[RuleNode], here: bool = True) -> list[RuleNode]:
    """The nodes of a chain of rules, in wire order: names with + between them; `cfg` is none.

    here: the files of rules are on this machine; else only a server knows them, by their words.
    Raises ValueError for a name that no node has, and for a rule that needs more than its widgets.
    """
    words = [word.strip() for word in text.split("+")]
    return [
        rule_in_file(word, rules, here) if FORM.fullmatch(word) else rule_named(word, rules)
        for word in words
        if letters_of(word) not in PLAIN
    ]


def rule_in_file(word: str, rules: Sequence[RuleNode], here: bool = True) -> RuleNode:
    """The node of a rule that is named FILE:RULE.  Raises ValueError where nothing runs files, or there is none."""
    node = next((rule for rule in rules if rule.id == FILE_NODE), None)
    if node is None:
        raise ValueError(NO_FILES.format(word))
    place = RuleFile.offered(word) if here else None
    if place is None:
        return replace(node, title=word, defaults={"rule": word, "digest": ""})
    first = next(iter(chain_from(place.rule()).rules), None)
    knobs = {name: getattr(first, field) for name, field in first.fields_by_widget.items()} if first else {}
    return replace(node, title=place.name, defaults={"rule": place.word, "digest": place.digest}, knobs=knobs)


def words_of_files(chains: Iterable[Any]) -> list[str]:
    """The rules in files that chains name, each once."""
    words = (word.strip() for chain in chains for word in str(chain).split("+"))
    return [word for word in dict.fromkeys(words) if FORM.fullmatch(word)]


def rule_named(word: str, rules: Sequence[RuleNode]) -> RuleNode:
    """The node of a rule."""
    rule_node = next((rule for rule in rules if letters_of(word) in map(letters_of, rule.names)), None)
    if rule_node is None:
        usable = [rule for rule in rules if not rule.sockets]
        raise ValueError(
            f"No rule is called {quote(word)}. {suggest(word, ['cfg', *(rule.names[0] for rule in usable)])}"
        )
    if rule_node.sockets:
        raise ValueError(
            f"The rule {quote(word)} needs {' and '.join(rule_node.sockets)}, which an axis cannot give. "
            "Connect it in the workflow, and vary one of its widgets."
        )
    return rule_node


def letters_of(word: str) -> str:
    """A name by its letters and digits alone."""
    return re.sub(r"[^a-z0-9+]", "", word.lower())
