"""Energies made of energies, as wires."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.energies.composition import CombinedEnergy, MaskedEnergy
from ...host.energy_inputs import ENERGY, EnergyNode, region
from ...host.widgets import choice_input
from ...host.wires import EnergyWire

COMBINE = ("product", "mixture")
LARGEST_WEIGHT = 1e4


class GGMaskedEnergy(EnergyNode):
    """An energy that acts in a region."""

    name = "Masked Energy (region)"
    description = "Lets an energy change only a region. It still sees the whole picture."
    inputs = (
        ENERGY,
        io.Mask.Input(
            "mask",
            tooltip="White areas change, black areas stay. It is resized to the picture; if its "
            "proportions differ, its middle is used.",
        ),
    )

    @classmethod
    def execute(cls, energy, mask) -> io.NodeOutput:
        return io.NodeOutput(MaskedEnergy(energy, region(mask)))


class GGCombineEnergies(EnergyNode):
    """Two energies as one."""

    name = "Combine Energies"
    description = (
        "Joins two energies: both must hold (product), or either (mixture). With one energy: its "
        "weight; negative moves away from it."
    )
    inputs = (
        EnergyWire.Input("energy_a", tooltip="The first energy."),
        choice_input(
            "how",
            COMBINE,
            "product: weight_a log p_a + weight_b log p_b. mixture: log of the weighted mean of the "
            "probabilities; the easier one wins.",
        ),
        *(
            io.Float.Input(
                name,
                default=1.0,
                min=-LARGEST_WEIGHT,
                max=LARGEST_WEIGHT,
                step=0.05,
                tooltip=f"Weight of {of}. 0 leaves it out; below 0 (product only) moves away from it.",
            )
            for name, of in (("weight_a", "energy_a"), ("weight_b", "energy_b"))
        ),
        EnergyWire.Input("energy_b", optional=True, tooltip="The second energy."),
    )

    @classmethod
    def execute(cls, energy_a, how, weight_a, weight_b, energy_b=None) -> io.NodeOutput:
        given = [(energy_a, weight_a)] + ([(energy_b, weight_b)] if energy_b is not None else [])
        energies, weights = zip(*given, strict=True)
        return io.NodeOutput(CombinedEnergy(energies, weights, how == "mixture"))
