"""What every rule node shares: the schema around its knobs, and the longer chain that it puts on the wire."""

from __future__ import annotations

from functools import partial
from typing import Any

from comfy_api.latest import io

from ..guidance.chain import PLAIN, Chain, Guidance, chain_of
from ..guidance.rules.kinds import Rule
from ..sweeps.rules import RuleNode, chain_named
from . import wires
from .adapter import prompt_server
from .checks import CheckedNode
from .knob_inputs import inputs_of, node_of, values_of

CATEGORY = "guidance geometry/rules"
UPSTREAM = wires.Guidance.Input("guidance", optional=True, tooltip="The chain so far; this node adds to its end.")
CHAIN = wires.Guidance.Output(
    display_name="guidance", tooltip="The longer chain, for a sampler, a guider or the next rule."
)
NOTHING = "With these settings this node changes nothing."


def rule_schema(
    node_id: str,
    display_name: str,
    description: str,
    knobs: list,
    experimental: bool = False,
    later: tuple = (),
):
    """Schema of a rule node: its knobs, the chain so far, and optional knobs that came later.

    experimental: not among the rules that artists are shown first.
    """
    return io.Schema(
        node_id=node_id,
        display_name=display_name,
        category=f"{CATEGORY}/experimental" if experimental else CATEGORY,
        description=description,
        inputs=[*knobs, UPSTREAM, *later],
        outputs=[CHAIN],
        hidden=[io.Hidden.unique_id],
        is_experimental=experimental,
    )


def schema_of(rule: type[Rule], inputs: list | None = None) -> io.Schema:
    """Schema of the node of a rule.  inputs: in place of those of its knobs."""
    facts = (rule.node_id, rule.name, rule.description, inputs or inputs_of(rule))
    return rule_schema(*facts, rule.maturity == "experimental", tuple(inputs_of(rule, later=True)))


def rule_node(rule: type[Rule]) -> type[CheckedNode]:
    """The node of a rule, made of what its class states of itself."""

    def execute(cls, given: dict[str, Any]) -> io.NodeOutput:
        return linked(cls, given["guidance"], rule(**values_of(rule, given)))

    return node_of(rule, partial(schema_of, rule), execute)


def linked(cls, guidance: Guidance | None, *rules: Rule) -> io.NodeOutput:
    """The chain with these rules at its end; says on the node when they change nothing."""
    chain = chain_of(guidance or PLAIN)
    for rule in rules:
        chain = chain.then(rule)
    say(cls, NOTHING if all(rule.neutral for rule in rules) else "")
    return io.NodeOutput(chain)


def say(cls, text: str) -> None:
    """Show a sentence on the node that runs now; without a server or a browser it is lost."""
    node = getattr(cls.hidden, "unique_id", None)
    server = prompt_server()
    if server is not None and node is not None:
        server.send_progress_text(text, node, server.client_id)


def rules_by_name() -> list[RuleNode]:
    """The rule nodes that are loaded, as an axis may name them."""
    return [as_named(node) for node in CheckedNode.__subclasses__() if _is_rule(node)]


def _is_rule(node: type[CheckedNode]) -> bool:
    return "declared" in vars(node) and node.define_schema().category.startswith(CATEGORY)


def rule_node_of(rule: type) -> type[CheckedNode] | None:
    """The node that makes rules of this class; None where there is none."""
    every = (node for node in CheckedNode.__subclasses__() if "declared" in vars(node))
    return next((node for node in every if node.__name__ == getattr(rule, "node_id", "")), None)


def as_named(node: type[CheckedNode]) -> RuleNode:
    """What an axis has to know of a node."""
    schema = node.define_schema()
    known = {one.id: getattr(one, "default", None) for one in schema.inputs}
    defaults = {name: value for name, value in known.items() if value is not None}
    sockets = tuple(one.id for one in schema.inputs if one.id not in defaults and not one.optional)
    return RuleNode(schema.node_id, schema.display_name or schema.node_id, defaults, sockets)


def chain_by_name(text: str) -> Chain:
    """A chain of rules with their default settings, from their names with + between them.  Raises ValueError."""
    nodes = {node.define_schema().node_id: node for node in CheckedNode.__subclasses__() if _is_rule(node)}
    chain = PLAIN
    for rule in chain_named(text, rules_by_name(), here=False):
        made: Any = nodes[rule.id].execute(**rule.defaults, guidance=chain)
        chain = made.result[0]
    return chain
