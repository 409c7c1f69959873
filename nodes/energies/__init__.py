"""Energies as wires.

A node is made of what its energy states of itself. A node that does more is written in a file here.
"""

from __future__ import annotations

from ...guidance.registry import every_energy
from ...host.editor.energy_inputs import EnergyNode
from ...host.editor.knob_inputs import nodes_from

MADE = nodes_from(every_energy(), EnergyNode, __name__, __path__)
