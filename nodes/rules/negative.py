"""Several conditions at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ...guidance.rules.negative import Negative
from ...host.editor.knob_inputs import inputs_of
from ...host.editor.rule_nodes import RuleNode, extend_chain

if TYPE_CHECKING:
    from ...guidance.chain import Guidance

HEAVIEST = 100


def _weight(prompt: str, more: str = "") -> io.Float.Input:
    return io.Float.Input(
        f"{prompt}_weight",
        default=0.5,
        min=-HEAVIEST,
        max=HEAVIEST,
        step=0.05,
        tooltip=f"Weight of {prompt}{more}. Negative pushes away, 0 leaves it out. In a sum the weights multiply cfg, "
        "and prompts that pull the same way burn like a higher cfg.",
    )


class GGNegative(RuleNode):
    """Two positives, a weighted negative, or the two scales of InstructPix2Pix."""

    owner = Negative
    knobs = (
        io.Conditioning.Input(
            "second", tooltip="The second prompt; for InstructPix2Pix the image without the instruction."
        ),
        *inputs_of(Negative),
        _weight("second", "; 1.5 is usual for InstructPix2Pix and nested"),
        _weight("third"),
        _weight("fourth"),
        io.Conditioning.Input("third", optional=True, tooltip="A third prompt, for the form sum."),
        io.Conditioning.Input("fourth", optional=True, tooltip="A fourth prompt, for the form sum."),
    )

    @classmethod
    def execute(
        cls,
        second: io.Conditioning.Type,
        form: str,
        second_weight: float,
        third_weight: float,
        fourth_weight: float,
        third: io.Conditioning.Type | None = None,
        fourth: io.Conditioning.Type | None = None,
        guidance: Guidance | None = None,
    ) -> io.NodeOutput:
        given = [(second, second_weight), (third, third_weight), (fourth, fourth_weight)]
        conditions, weights = zip(*[pair for pair in given if pair[0] is not None], strict=True)
        return extend_chain(cls, guidance, Negative(conditions, weights, form))
