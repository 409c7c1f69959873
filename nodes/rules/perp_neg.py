"""Perp-Neg."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.perp_neg import PerpNeg
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema


class GGPerpNeg(CheckedNode):
    """A negative prompt that cannot take away what the positive one asks for."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGPerpNeg",
            "Perp-Neg (Perpendicular Negative)",
            "Replaces CFG: pushes away only from the part of the negative that the positive does not ask for.",
            [
                io.Conditioning.Input(
                    "empty", tooltip="The empty prompt, from which both prompts are measured; one more evaluation."
                ),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.05,
                    tooltip="k in e + cfg (p - k q_across), p = c - e, q = negative - e, across p. 0: CFG against the "
                    "empty prompt. Above 3 the image drifts off. Armandpour et al. 2023, arXiv 2304.04968.",
                ),
            ],
        )

    @classmethod
    def execute(cls, empty, weight, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, PerpNeg(empty, weight))
