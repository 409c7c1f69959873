"""Energies made of energies, as wires."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.energies.composition import CombinedEnergy
from ...guidance.energies.protocol import Energy
from ...host.editor.energy_inputs import EnergyNode
from ...host.editor.knob_inputs import input_for
from ...host.editor.wires import EnergyWire

LARGEST_WEIGHT = 1e4


class GGCombineEnergies(EnergyNode):
    """Two energies as one."""

    owner = CombinedEnergy
    inputs = (
        EnergyWire.Input("energy_a", tooltip="The first energy."),
        input_for(CombinedEnergy, "mixture"),
        *(
            io.Float.Input(
                name,
                default=1.0,
                min=-LARGEST_WEIGHT,
                max=LARGEST_WEIGHT,
                step=0.05,
                tooltip=f"Weight of {energy}. 0 leaves it out; below 0 (product only) moves away from it.",
            )
            for name, energy in (("weight_a", "energy_a"), ("weight_b", "energy_b"))
        ),
        EnergyWire.Input("energy_b", optional=True, tooltip="The second energy."),
    )

    @classmethod
    def execute(
        cls, energy_a: Energy, how: str, weight_a: float, weight_b: float, energy_b: Energy | None = None
    ) -> io.NodeOutput:
        given = [(energy_a, weight_a)] + ([(energy_b, weight_b)] if energy_b is not None else [])
        energies, weights = zip(*given, strict=True)
        return io.NodeOutput(CombinedEnergy(energies, weights, how == "mixture"))
