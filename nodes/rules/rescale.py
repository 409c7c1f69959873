"""Guidance rescale."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.rescale import Rescale
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema, space_input


class GGRescale(CheckedNode):
    """The contrast of the conditional prediction, kept."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGRescale",
            "Rescale CFG (std)",
            "Shrinks the guided prediction until its contrast is that of the conditional one: less burn at a high cfg.",
            [
                io.Float.Input(
                    "phi",
                    default=0.7,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="o' = o (phi std(o_c)/std(o) + 1 - phi). 0: plain CFG. 1: the full rescale, flat and grey "
                    "at a high cfg. Lin et al. 2023, arXiv 2305.08891.",
                ),
                space_input("v", "Where the standard deviations are measured."),
            ],
        )

    @classmethod
    def execute(cls, phi, space, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, Rescale(phi, space))
