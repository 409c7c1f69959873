"""Every rule node, and chains of it."""

from guidance_geometry.dev.fixtures.rule_nodes import active_chain, settings
from guidance_geometry.extension import nodes_in
from guidance_geometry.tests.rule_ids import RULE_IDS

ALL = sorted(RULE_IDS)
EMBEDDING = "GGConditionAnnealing"  # needs a model with embeddings, which an exact mixture has not


def node(name):
    return {cls.__name__: cls for cls in nodes_in("rules")}[name]


def chain(name, changes=None):
    """What the node makes of its settings as they stand, some of them changed."""
    return node(name).execute(**settings(node(name), {}) | (changes or {}))[0]


def acting(name, sockets):
    """The node's chain, with knobs that do not leave plain CFG.  sockets: {MODEL, CONDITIONING: what it takes}"""
    if name == "GGFormula":
        return chain(name, {"formula": "c + (gamma - 1) * rej(d, c)"})
    return active_chain(node(name), sockets)
