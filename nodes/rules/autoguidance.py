"""Autoguidance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ...guidance.rules.autoguidance import Autoguidance
from ...guidance.rules.kinds import Source
from ...host.editor.checks import insist
from ...host.editor.knob_inputs import inputs_of
from ...host.editor.rule_nodes import RuleNode, extend_chain

if TYPE_CHECKING:
    from ...guidance.chain import Guidance

NOTHING_WEAKER = (
    "Autoguidance has nothing weaker to guide away from. Connect weak_model (a smaller or less trained model of the "
    "same latent space), or weak_condition (a vaguer prompt)."
)


class GGAutoguidance(RuleNode):
    """A weak model, or a weaker condition, in place of the negative."""

    owner = Autoguidance
    knobs = (
        *inputs_of(Autoguidance),
        io.Model.Input(
            "weak_model",
            optional=True,
            tooltip="A smaller or less trained model with the same latents; it gets the positive prompt. One that "
            "differs in other ways leads to artefacts.",
        ),
        io.Conditioning.Input(
            "weak_condition",
            optional=True,
            tooltip="A vaguer prompt for the weak model, in place of the positive. Without weak_model, the same "
            "model gets it.",
        ),
    )

    @classmethod
    def execute(
        cls,
        weak_share: float,
        weak_model: io.Model.Type | None = None,
        weak_condition: io.Conditioning.Type | None = None,
        guidance: Guidance | None = None,
    ) -> io.NodeOutput:
        nothing = NOTHING_WEAKER if weak_model is None and weak_condition is None else None
        insist(nothing)
        source = Source("cond" if weak_condition is None else weak_condition, weak_model)
        return extend_chain(cls, guidance, Autoguidance(source, weak_share))
