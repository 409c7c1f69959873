"""Autoguidance."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.autoguidance import Autoguidance
from ...guidance.rules.kinds import Source
from ...host.checks import CheckedNode, insist
from ...host.rule_nodes import linked, rule_schema

NOTHING_WEAKER = (
    "Autoguidance has nothing weaker to guide away from. Connect weak_model (a smaller or less trained model of the "
    "same latent space), or weak_condition (a vaguer prompt)."
)


class GGAutoguidance(CheckedNode):
    """A weak model, or a weaker condition, in place of the negative."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGAutoguidance",
            "Autoguidance (weak model)",
            "Guides away from a weaker model, or from a weaker condition, in place of the negative.",
            [
                io.Float.Input(
                    "weak_share",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="u' = u + share (weak - u). 1: the weak pass alone, as in the paper; the negative is not "
                    "evaluated. arXiv 2406.02507. 0: plain CFG. Between: one evaluation more per step.",
                ),
                io.Model.Input(
                    "weak_model",
                    optional=True,
                    tooltip="A smaller or less trained model with the same latents; it gets the positive condition. "
                    "One that differs in other ways guides into artefacts.",
                ),
                io.Conditioning.Input(
                    "weak_condition",
                    optional=True,
                    tooltip="The condition of the weak pass, in place of the positive one; with no weak_model, the "
                    "same model gets this vaguer condition.",
                ),
            ],
        )

    @classmethod
    def execute(cls, weak_share, weak_model=None, weak_condition=None, guidance=None) -> io.NodeOutput:
        nothing = NOTHING_WEAKER if weak_model is None and weak_condition is None else None
        insist(nothing)
        source = Source("cond" if weak_condition is None else weak_condition, weak_model)
        return linked(cls, guidance, Autoguidance(source, weak_share))
