"""Power-law guidance."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.power_law import FACTORS, PowerLaw
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema


class GGPowerLaw(CheckedNode):
    """A scale that follows the length of the difference."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGPowerLaw",
            "Power-law CFG",
            "Guides more where the difference is long and less where it is short.",
            [
                io.Float.Input(
                    "power",
                    default=0.9,
                    min=-1.0,
                    max=3.0,
                    step=0.05,
                    tooltip="D = c + (cfg - 1) |delta|^power delta. 0: plain CFG. Above 1 guides very strongly early "
                    "in a run; below 0 evens out all steps. Readjust cfg after a change. arXiv 2502.07849.",
                ),
                io.Combo.Input(
                    "space",
                    options=list(FACTORS),
                    default="score",
                    tooltip="Where |delta| is measured. score: as in the paper; very long at low noise, so cfg - 1 "
                    "must be small. epsilon: milder. x0: longest early.",
                ),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, power, space, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, PowerLaw(power, space))
