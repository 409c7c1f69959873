"""The rule nodes of this pack with plain settings, so that a new one is covered without being named anywhere."""

from __future__ import annotations

from typing import Any

from ..guidance.chain import Chain
from ..guidance.rules.adaptive_projected import AdaptiveProjected
from .invariants import GAMMA, TOLERANCE, deviation, plain_cfg, play, steps_of

TRIALS = (0.5, 2.0, 0.0, 1.0)
SOME_RULES = Chain((AdaptiveProjected(),))  # for a node that does something with rules


def settings(node: type, sockets: dict[str, Any]) -> dict[str, Any]:
    """Every input of a node: its widgets at their defaults, its sockets from {wire type: value}; others left out.

    A node that asks for rules is given some.
    """
    found = {}
    for one in node.define_schema().inputs:
        if one.io_type in sockets:
            found[one.id] = sockets[one.io_type]
        elif one.io_type == "GG_GUIDANCE" and not one.optional:
            found[one.id] = SOME_RULES
        elif hasattr(one, "default") and one.default is not None:
            found[one.id] = one.default
        elif getattr(one, "options", None):
            found[one.id] = one.options[0]
    return found


def chain_from(node: type, sockets: dict[str, Any], **changes: Any) -> Chain:
    """The chain that a node makes."""
    return node.execute(**{**settings(node, sockets), **changes}).result[0]


def active_chain(node: type, sockets: dict[str, Any]) -> Chain:
    """The chain of a node with its defaults; where these leave plain CFG, with the first other knob that does not."""
    chain = chain_from(node, sockets)
    if is_active(chain):
        return chain
    for one in node.define_schema().inputs:
        widget = getattr(one, "default", None)
        values = getattr(one, "options", None) or (TRIALS if isinstance(widget, float) else ())
        for value in values:
            other = tried_chain(node, sockets, {one.id: value})
            if other is not None and is_active(other):
                return other
    return chain


def is_active(chain: Chain) -> bool:
    """Whether a chain differs from plain CFG on the made-up run of the invariants."""
    steps = steps_of(chain)
    return deviation(play(chain, steps), plain_cfg(steps, GAMMA)) > TOLERANCE


def tried_chain(node: type, sockets: dict[str, Any], changes: dict[str, Any]) -> Chain | None:
    """The chain of a node with some inputs changed; None where it refuses them."""
    try:
        return chain_from(node, sockets, **changes)
    except ValueError:
        return None
