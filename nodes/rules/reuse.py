"""Skip and reuse, with the adaptive stop."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.reuse import PREDICTORS, Reuse
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema

MOST = 100


class GGReuse(CheckedNode):
    """Fewer unconditional passes."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGReuse",
            "Skip and Reuse (adaptive guidance, faster)",
            "Evaluates the unconditional pass at some steps only and predicts the difference between; can end guidance "
            "once it adds nothing more.",
            [
                io.Int.Input(
                    "every",
                    default=2,
                    min=1,
                    max=MOST,
                    tooltip="The unconditional pass runs at every k-th step. 1: every step, nothing saved. 2: about "
                    "a quarter of all passes saved. Large: the predicted difference becomes outdated.",
                ),
                io.Combo.Input(
                    "predictor",
                    options=list(PREDICTORS),
                    default="line",
                    tooltip="The difference at skipped steps. line: through the last two measured, as noise "
                    "predictions over log noise. hold: the last one as it is.",
                ),
                io.Float.Input(
                    "stop_cosine",
                    default=1.0,
                    min=-1.0,
                    max=1.0,
                    step=0.0001,
                    round=0.000001,
                    tooltip="Guidance ends once the cosine of both noise predictions is back at this value. 1: never. "
                    "0.999: late. Below 0.99: too early, prompt lost. arXiv 2312.12487.",
                ),
                io.Int.Input(
                    "patience",
                    default=2,
                    min=1,
                    max=MOST,
                    tooltip="How many evaluated steps in a row must reach stop_cosine. 1 trusts a single one. Each "
                    "sample ends on its own; the pass is saved once all have.",
                ),
            ],
        )

    @classmethod
    def execute(cls, every, predictor, stop_cosine, patience, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, Reuse(every, predictor, stop_cosine, patience))
