"""The limited interval."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.interval import UNITS, Interval
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, refused, rule_schema

FURTHEST = 100_000.0


class GGInterval(CheckedNode):
    """Guidance between two noise levels."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGInterval",
            "Limited Interval (guidance window)",
            "Guides only between two noise levels. Outside, the conditional prediction is used alone and the "
            "unconditional pass is not evaluated.",
            [
                io.Combo.Input(
                    "unit",
                    options=list(UNITS),
                    default="percent",
                    tooltip="percent: share of the run's steps, 0 is the first, 1 after the last. sigma: noise level, "
                    "as in the paper, for VE models (SD, SDXL). log-SNR: 2 ln(alpha/sigma), the same for VE and flow.",
                ),
                io.Float.Input(
                    "start",
                    default=0.2,
                    min=-FURTHEST,
                    max=FURTHEST,
                    step=0.01,
                    tooltip="Noisier end. percent and log-SNR: the smaller number; sigma: the larger. Later keeps more "
                    "variety; too late loses the prompt. Paper, SDXL: sigma 5.42, log-SNR -3.38.",
                ),
                io.Float.Input(
                    "end",
                    default=0.8,
                    min=-FURTHEST,
                    max=FURTHEST,
                    step=0.01,
                    tooltip="Cleaner end. Earlier saves passes and hardly changes the picture; too early softens "
                    "detail. Paper, SDXL: sigma 0.28, log-SNR 2.55. arXiv 2404.07724.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, unit, start, end):
        return refused(Interval, unit, start, end)

    @classmethod
    def execute(cls, unit, start, end, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, Interval(unit, start, end))
