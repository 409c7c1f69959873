"""Several conditions at once."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.negative import FORMS, Negative
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema

HEAVIEST = 100


def _weight(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(
        name,
        default=default,
        min=-HEAVIEST,
        max=HEAVIEST,
        step=0.05,
        tooltip=f"{tooltip} Negative pushes away, 0 is not evaluated; in a sum the weights multiply cfg, and "
        "conditions that pull the same way burn like a higher cfg.",
    )


class GGNegative(CheckedNode):
    """Two positives, a weighted negative, or the two scales of InstructPix2Pix."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGNegative",
            "Negative / Dual CFG (InstructPix2Pix)",
            "More conditions beside the sampler's positive and negative, each with its weight; each costs one "
            "evaluation.",
            [
                io.Conditioning.Input("second", tooltip="The second condition; the middle one of InstructPix2Pix."),
                io.Combo.Input(
                    "form",
                    options=list(FORMS),
                    default=FORMS[0],
                    tooltip="sum: u + cfg (c - u + sum of w_i (c_i - u)), Liu et al. 2022, arXiv 2206.01714. "
                    "InstructPix2Pix: u + w (m - u) + cfg (c - m), Brooks et al. 2022, arXiv 2211.09800. nested: "
                    "u + w (m + cfg (c - m) - u), as in DualCFGGuider. m is second, w its weight.",
                ),
                _weight(
                    "second_weight",
                    0.5,
                    "Weight of second; in the forms with a middle condition, its scale (usually 1.5).",
                ),
                _weight("third_weight", 0.5, "Weight of third."),
                _weight("fourth_weight", 0.5, "Weight of fourth."),
                io.Conditioning.Input("third", optional=True, tooltip="A third condition, for the form sum."),
                io.Conditioning.Input("fourth", optional=True, tooltip="A fourth condition, for the form sum."),
            ],
        )

    @classmethod
    def execute(
        cls, second, form, second_weight, third_weight, fourth_weight, third=None, fourth=None, guidance=None
    ) -> io.NodeOutput:
        given = [(second, second_weight), (third, third_weight), (fourth, fourth_weight)]
        conditions, weights = zip(*[pair for pair in given if pair[0] is not None], strict=True)
        return linked(cls, guidance, Negative(conditions, weights, form))
