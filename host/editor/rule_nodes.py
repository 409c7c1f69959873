"""What every rule node shares: its schema, and the longer chain that it puts on the wire."""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar

from comfy_api.latest import io

from ... import guidance, sweeps
from ...guidance.rules.kinds import Rule
from ..server import prompt_server
from . import wires
from .checks import CheckedNode
from .knob_inputs import StatedNode, inputs_of, values_of

CATEGORY = "guidance geometry/rules"
UPSTREAM = wires.Guidance.Input(
    "guidance", optional=True, tooltip="Rules that come before this one; this node adds to them."
)
CHAIN = wires.Guidance.Output(
    display_name="guidance", tooltip="The rules with this one, for a sampler, a guider or the next rule."
)
NOTHING = "With these settings this node changes nothing."


class RuleNode(StatedNode):
    """A node that adds rules to a chain.

    knobs: its widgets and sockets, where they are others than those of its rule. maturity: where no rule states it.
    """

    outputs = (CHAIN,)
    hidden_inputs = (io.Hidden.unique_id,)
    knobs: ClassVar[tuple[Any, ...]] = ()
    maturity: ClassVar[str] = "stable"

    def __init_subclass__(cls, **named):
        if "inputs_by_id" not in vars(cls):  # a clone of the host's has it, and cannot be changed
            cls.is_experimental = (cls.owner or cls).maturity == "experimental"
            cls.category = f"{CATEGORY}/experimental" if cls.is_experimental else CATEGORY
            later = inputs_of(cls.owner, later=True) if cls.owner else ()
            cls.inputs = (*(cls.knobs or inputs_of(cls.owner)), UPSTREAM, *later)
        super().__init_subclass__(**named)

    @classmethod
    def search_aliases(cls) -> list[str]:
        """What an editor's search finds the node by: its own words, and what rules change."""
        return [*super().search_aliases(), "cfg", "classifier-free guidance"]

    @classmethod
    def outcome(cls, given: dict[str, Any]) -> io.NodeOutput:
        """The chain with the rule at its end."""
        return extend_chain(cls, given["guidance"], cls.owner(**values_of(cls.owner, given)))


def extend_chain(cls, upstream: guidance.chain.Guidance | None, *rules: Rule) -> io.NodeOutput:
    """The chain with these rules at its end; says on the node when they change nothing."""
    chain = chain_with(upstream, *rules)
    say(cls, NOTHING if all(rule.neutral for rule in rules) else "")
    return io.NodeOutput(chain)


def chain_with(upstream: guidance.chain.Guidance | None, *rules: Any) -> guidance.chain.Chain:
    """The chain with these rules or gradients at its end; the shortest one is plain classifier-free guidance."""
    return reduce(lambda chain, rule: chain.then(rule), rules, guidance.chain.chain_of(upstream))


def say(cls, text: str) -> None:
    """Show a sentence on the node that runs now; without a server or a browser it is lost."""
    node = getattr(cls.hidden, "unique_id", None)
    server = prompt_server()
    if server is not None and node is not None:
        server.send_progress_text(text, node, server.client_id)


def rules_by_name() -> list[sweeps.rules.RuleNode]:
    """The rule nodes that are loaded, as an axis may name them."""
    return [describe_rule_node(node) for node in RuleNode.__subclasses__()]


def rule_node_of(rule: type) -> type[CheckedNode] | None:
    """The node that makes rules of this class; None where there is none."""
    every = (*CheckedNode.__subclasses__(), *RuleNode.__subclasses__())
    return next((node for node in every if node.__name__ == getattr(rule, "node_id", "")), None)


def describe_rule_node(node: type[CheckedNode]) -> sweeps.rules.RuleNode:
    """What an axis has to know of a node."""
    schema = node.define_schema()
    usual = {declared.id: getattr(declared, "default", None) for declared in schema.inputs}
    defaults = {name: value for name, value in usual.items() if value is not None}
    sockets = tuple(declared.id for declared in schema.inputs if declared.id not in defaults and not declared.optional)
    return sweeps.rules.RuleNode(schema.node_id, schema.display_name or schema.node_id, defaults, sockets)


def chain_by_name(text: str) -> guidance.chain.Chain:
    """A chain of rules with their default settings, from their names with + between them.  Raises ValueError."""
    nodes = {node.node_id: node for node in RuleNode.__subclasses__()}
    chain = guidance.chain.PLAIN
    for rule in sweeps.rules.chain_named(text, rules_by_name(), here=False):
        made: Any = nodes[rule.id].execute(**rule.defaults, guidance=chain)
        chain = made[0]
    return chain
