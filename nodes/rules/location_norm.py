"""CFGNorm."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.location_norm import LocationNorm
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema, space_input


class GGLocationNorm(CheckedNode):
    """At every location, the length of the conditional prediction, kept."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGLocationNorm",
            "CFGNorm (norm per location)",
            "Shortens the guided prediction wherever its channels are longer than those of the conditional one.",
            [
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="k in o' = o (1 + k (f - 1)), f = min(1, |o_c|/|o|) over the channels of a location. "
                    "0: plain CFG. 1: never longer than c, flat where cfg pushes hardest. From HiDream-E1.",
                ),
                io.Boolean.Input(
                    "match",
                    default=False,
                    tooltip="On: f = |o_c|/|o|, which also lengthens, as Qwen-Image does; dark places then become "
                    "noisier.",
                ),
                space_input("x0", "Where the lengths are measured."),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, strength, match, space, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, LocationNorm(strength, match, space))
