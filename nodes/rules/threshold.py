"""Dynamic threshold."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.threshold import METHODS, DynamicThreshold
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema

LARGEST = 1000.0


class GGDynamicThreshold(CheckedNode):
    """Percentile and mimic thresholds."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGDynamicThreshold",
            "Dynamic Threshold (percentile / mimic)",
            "Brings the guided prediction back into range: clips its extremes and scales the rest.",
            [
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="mimic",
                    tooltip="mimic: each channel keeps the range it has at mimic_scale; any model. percentile: all "
                    "values within bound, Imagen's form; pixel models only. arXiv 2205.11487.",
                ),
                io.Float.Input(
                    "quantile",
                    default=0.995,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=0.0001,
                    tooltip="Share of values that count as regular. 1: the maximum; one outlier greys the picture. "
                    "Below 0.9: flat patches.",
                ),
                io.Float.Input(
                    "bound",
                    default=1.0,
                    min=0.001,
                    max=LARGEST,
                    step=0.05,
                    tooltip="percentile only: largest value of clean data, 1 for pixels in -1..1. Larger: less effect.",
                ),
                io.Float.Input(
                    "mimic_scale",
                    default=4.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="mimic only: the cfg whose range is kept. cfg or more: no effect. 1: washed out.",
                ),
            ],
        )

    @classmethod
    def execute(cls, method, quantile, bound, mimic_scale, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, DynamicThreshold(method, quantile, bound, mimic_scale))
