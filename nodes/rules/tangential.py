"""TCFG."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.tangential import Tangential
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema, space_input


class GGTangential(CheckedNode):
    """The part of the unconditional output that the conditional one shares."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGTangential",
            "TCFG (Tangential Damping CFG)",
            "Keeps only the part of the unconditional output along the direction that both outputs share.",
            [
                space_input(
                    "ode",
                    "u' = <u, v1> v1, v1: first right singular vector of the two outputs in this space. Kwon et al. "
                    "2025, arXiv 2503.18137.",
                ),
            ],
        )

    @classmethod
    def execute(cls, space, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, Tangential(space))
