"""The CFG schedule."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.schedule import SHAPES, ScaleSchedule, parse_values
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, refused, rule_schema

SCHEDULES = ("constant", *SHAPES, "list")


class GGCFGSchedule(CheckedNode):
    """Gamma over the run."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            node_id="GGCFGSchedule",
            display_name="CFG Schedule",
            description="Changes the guidance scale over the run: gamma = 1 + (cfg - 1) w, with cfg from the sampler.",
            knobs=[
                io.Combo.Input(
                    "schedule",
                    options=list(SCHEDULES),
                    default="constant",
                    tooltip="Shape of w from the first step (p = 0) to the last (1). constant: plain CFG. linear: p. "
                    "cosine: (1 - cos pi p)/2. power: p^k. beta: a bump in the middle, below k = 1 a "
                    "valley. list: gamma itself, step by step, from values. arXiv 2404.13040; beta: arXiv 2502.10574.",
                ),
                io.Float.Input(
                    "start_weight",
                    default=0.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="w where the shape is 0. 0 is the conditional prediction alone, 1 the full scale; "
                    "below 0 pushes the prompt away. Ignored for constant and list.",
                ),
                io.Float.Input(
                    "end_weight",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="w where the shape is 1. Above 1 overshoots cfg and burns; 0 ends unguided. Ignored for "
                    "constant and list.",
                ),
                io.Float.Input(
                    "power",
                    default=2.0,
                    min=0.1,
                    max=10.0,
                    step=0.1,
                    tooltip="k of power and beta: larger waits longer (power) or narrows the bump (beta). beta "
                    "at 1: constant; below 1: most at both ends.",
                ),
                io.String.Input(
                    "values",
                    default="",
                    tooltip="For list: gamma of each step, such as 7, 5, 3, or one number for all; cfg is not read.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, schedule, values):
        return refused(gammas, values) if schedule == "list" else None

    @classmethod
    def execute(cls, schedule, start_weight, end_weight, power, values, guidance=None) -> io.NodeOutput:
        numbers = parse_values(values) if schedule == "list" else ()
        return linked(cls, guidance, ScaleSchedule(schedule, start_weight, end_weight, power, numbers))


def gammas(values: str) -> ScaleSchedule:
    """The schedule of a list.  Raises ValueError for a text that is none."""
    return ScaleSchedule("list", values=parse_values(values))
