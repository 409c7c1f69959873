"""Rules as wires: each node adds to a guidance chain.

A node is made of what its rule states of itself. A node that does more is written in a file of the rule's name here.
"""

from __future__ import annotations

from ...guidance.registry import every_rule
from ...host.editor.knob_inputs import nodes_from
from ...host.editor.rule_nodes import RuleNode

MADE = nodes_from(every_rule(), RuleNode, __name__, __path__)
