"""TAG."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.tangential_amplify import TangentialAmplify
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema


class GGTangentialAmplify(CheckedNode):
    """More of the step across the noisy sample, no more along it."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGTangentialAmplify",
            "TAG (Tangential Amplifying Guidance)",
            "Amplifies the part of the step across the noisy sample; exact for first-order samplers such as euler.",
            [
                io.Float.Input(
                    "eta",
                    default=1.05,
                    min=0.0,
                    max=3.0,
                    step=0.01,
                    tooltip="step' = step_along + eta step_across, along and across x. 1: plain CFG. 1.02 to 1.3 is "
                    "usual; above that, detail turns into noise; below 1 blurs. Cho et al. 2025, arXiv 2510.04533.",
                ),
                io.Float.Input(
                    "align",
                    default=0.0,
                    min=-3.0,
                    max=3.0,
                    step=0.01,
                    tooltip="a in D + a <c, d> d/|d|^2, d: the difference across x; the paper's form for CFG. 0: off. "
                    "Large values overshoot where c and u are close.",
                ),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, eta, align, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, TangentialAmplify(eta, align))
