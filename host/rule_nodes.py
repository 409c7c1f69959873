"""What every rule node shares: the schema around its knobs, and the longer chain that it puts on the wire."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from comfy_api.latest import io

from ..guidance.chain import PLAIN, Chain, Guidance, chain_of
from ..guidance.rules.kinds import Rule
from ..guidance.rules.spaces import SPACES
from ..sweeps.rules import RuleNode, chain_named
from . import wires
from .adapter import prompt_server
from .checks import CheckedNode

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


def space_input(default: str, what: str) -> io.Combo.Input:
    """The widget for the space in which a rule measures.  what: the beginning of the tooltip."""
    return io.Combo.Input(
        "space",
        options=list(SPACES),
        default=default,
        tooltip=f"{what} x0: the clean prediction. epsilon: the noise. v: v-prediction, on flow models the velocity. "
        f"ode: (x - x0)/sigma, which is epsilon, or on flow models the velocity. Usual: {default}.",
    )


def share_input(name: str, default: float, tooltip: str) -> io.Float.Input:
    """The widget for an end of a window: a share of the run's steps."""
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


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


def refused(rule: Callable[..., Any], *knobs) -> str | None:
    """The sentence with which a rule refuses its knobs; None where it takes them, or where one comes over a wire."""
    if None in knobs:
        return None
    try:
        rule(*knobs)
    except ValueError as reason:
        return str(reason)
    return None


def rules_by_name() -> list[RuleNode]:
    """The rule nodes that are loaded, as an axis may name them."""
    return [as_named(node) for node in CheckedNode.__subclasses__() if _is_rule(node)]


def _is_rule(node: type[CheckedNode]) -> bool:
    return "declared" in vars(node) and node.define_schema().category.startswith(CATEGORY)


def rule_node_of(rule: type) -> type[CheckedNode] | None:
    """The node that makes rules of this class: its module imports it, and its `execute` names it where several do."""
    every = (node for node in CheckedNode.__subclasses__() if "declared" in vars(node) and makes_guidance(node))
    able = [node for node in every if vars(sys.modules[node.__module__]).get(rule.__name__) is rule]
    code: Any = [getattr(node.execute, "__wrapped__", node.execute) for node in able]
    makers = [node for node, execute in zip(able, code, strict=True) if rule.__name__ in execute.__code__.co_names]
    return next(iter([*makers, *able]), None)


def makes_guidance(node: type[CheckedNode]) -> bool:
    """Whether a node puts a chain on its wire."""
    return any(one.get_io_type() == CHAIN.get_io_type() for one in node.define_schema().outputs)


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
