"""Rules as wires: one file per rule, named as the rule in guidance/rules; each node adds to a guidance chain."""

from ..found import nodes_in

NODES = nodes_in(__name__, __path__)
