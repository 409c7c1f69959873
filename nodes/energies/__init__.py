"""Energies as wires: one file a kind, named as in guidance/energies."""

from ..found import nodes_in

NODES = nodes_in(__name__, __path__, "label", "reference", "composition", "perception")  # the order of the editor
