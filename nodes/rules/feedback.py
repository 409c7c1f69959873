"""Feedback guidance."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.feedback import Feedback
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema

LATEST = 0.99


class GGFeedback(CheckedNode):
    """A scale per sample that follows how well its condition already shows."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGFeedback",
            "FBG (Feedback Guidance)",
            "Guides each sample as much as it needs: more until its condition shows, less once it does. "
            "cfg in the sampler is the highest scale.",
            [
                io.Float.Input(
                    "pi",
                    default=0.95,
                    min=0.01,
                    max=0.9999,
                    step=0.01,
                    round=0.0001,
                    tooltip="Trust in the conditional model; the first scale is 1/pi. Near 1: hardly any guidance. "
                    "Small: strong from the first step. arXiv 2506.06085.",
                ),
                io.Float.Input(
                    "t0",
                    default=0.5,
                    min=0.0,
                    max=LATEST,
                    step=0.01,
                    tooltip="Noise time, 1 at the start and 0 at the end, at which an undecided sample reaches scale "
                    "3. Larger: guidance starts earlier.",
                ),
                io.Float.Input(
                    "t1",
                    default=0.4,
                    min=0.0,
                    max=LATEST,
                    step=0.01,
                    tooltip="Noise time around which evidence outweighs the drift and guidance falls off. Near t0 or "
                    "above: it falls off at once.",
                ),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, pi, t0, t1, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, Feedback(pi, t0, t1))
