"""ADG."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.angle import Angle
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema


class GGAngle(CheckedNode):
    """Turn the prediction away from u instead of lengthening it."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGAngle",
            "ADG (Angle Domain Guidance)",
            "Replaces CFG: turns c away from u by (cfg - 1) times their angle, so that colours do not burn.",
            [
                io.Float.Input(
                    "max_angle",
                    default=60.0,
                    min=1.0,
                    max=90.0,
                    step=1.0,
                    tooltip="Largest turn in degrees: D = cos(t') c + sin(t') |c| e, t' = (cfg - 1) t up to this. "
                    "Small: cfg has little effect. 90: nothing of c may remain. Jin et al. 2025, arXiv 2506.11039.",
                ),
                io.Boolean.Input(
                    "keep_norm",
                    default=False,
                    tooltip="On: the result is exactly as long as c. Off: at most sqrt(2) times as long.",
                ),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, max_angle, keep_norm, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, Angle(max_angle, keep_norm))
