"""EP-CFG."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.energy_preserving import EnergyPreserving
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema, space_input


class GGEnergyPreserving(CheckedNode):
    """The energy of the conditional prediction, kept."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGEnergyPreserving",
            "EP-CFG (Energy-Preserving CFG)",
            "Gives the guided prediction the energy of the conditional one: o' = o sqrt(E(o_c)/E(o)).",
            [
                io.Boolean.Input(
                    "robust",
                    default=False,
                    tooltip="Off: E is the sum of all squares. On: of the squares between their 45th and 55th "
                    "percentile, so that a few bright spots do not darken the rest; with few values it is noisy. "
                    "Zhang et al. 2024, arXiv 2412.09966.",
                ),
                space_input("ode", "Where the energy is measured."),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, robust, space, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, EnergyPreserving(robust, space))
