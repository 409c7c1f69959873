"""MAMBO-G."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.magnitude_aware import MagnitudeAware
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema, space_input


class GGMagnitudeAware(CheckedNode):
    """Less guidance where the difference is large."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGMagnitudeAware",
            "MAMBO-G (Magnitude-Aware Guidance)",
            "Reduces guidance at steps where the difference is large compared with the prediction.",
            [
                io.Float.Input(
                    "damping",
                    default=8.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    tooltip="a in c + (cfg - 1) exp(-a |delta|/|u|) delta. 0: plain CFG. 8: usual, for cfg near 10. "
                    "Large: no guidance early, prompt lost. arXiv 2508.03442.",
                ),
                space_input("ode", "Where both lengths are measured."),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, damping, space, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, MagnitudeAware(damping, space))
