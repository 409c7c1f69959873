"""APG."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.adaptive_projected import PARTS, AdaptiveProjected
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema, space_input

UNITS = ("per element", "absolute")
NORM_OVER = io.Combo.Input(
    "norm_over",
    options=list(PARTS),
    default=PARTS[0],
    optional=True,
    tooltip="What lengths and directions are measured over. sample: the whole, as in the paper for pictures. channel: "
    "each channel, as the paper's code for video, and ACE-Step. frame: each frame.",
)


class GGAdaptiveProjected(CheckedNode):
    """Less of the difference along the prediction, a cap, and momentum."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGAdaptiveProjected",
            "APG (Adaptive Projected Guidance)",
            "Drops the part of the difference that only brightens and saturates, caps its length, and adds momentum.",
            [
                io.Float.Input(
                    "eta",
                    default=0.0,
                    min=-1.0,
                    max=2.0,
                    step=0.05,
                    tooltip="D = c + (cfg - 1)(delta_across + eta delta_along), along and across c. 0: no saturation. "
                    "1: plain CFG. Above 1 oversaturates, below 0 washes out. Sadat et al. 2024, arXiv 2410.02416.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.06,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    tooltip="Cap on the length of delta; 0 is off. Too low: cfg has no effect. 0.06 per element is the "
                    "paper's 15 for SDXL (4x128x128).",
                ),
                io.Float.Input(
                    "momentum",
                    default=-0.5,
                    min=-0.95,
                    max=0.95,
                    step=0.05,
                    tooltip="beta in m' = delta + beta m, over the steps of one run. Negative pushes away from earlier "
                    "steps, as in the paper; 0 is off; near 1 the differences pile up.",
                ),
                io.Combo.Input(
                    "threshold_unit",
                    options=list(UNITS),
                    default=UNITS[0],
                    tooltip="per element: length = threshold sqrt(N), the same at every resolution. absolute: the "
                    "length itself, as papers and other nodes give it (2.5 to 15).",
                ),
                space_input("x0", "Where along and across are measured; the cap is always on the x0 difference."),
            ],
            later=(NORM_OVER,),
        )

    @classmethod
    def execute(
        cls, eta, threshold, momentum, threshold_unit, space, guidance=None, norm_over=PARTS[0]
    ) -> io.NodeOutput:
        rule = AdaptiveProjected(eta, threshold, momentum, threshold_unit == "absolute", space, norm_over)
        return linked(cls, guidance, rule)
