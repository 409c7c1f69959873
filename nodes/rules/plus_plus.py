"""CFG++."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ...guidance.rules.plus_plus import PlusPlus
from ...host.editor.rule_nodes import RuleNode, extend_chain, say

if TYPE_CHECKING:
    from ...guidance.chain import Guidance

EXACT_FOR = "CFG++: exact with {}; approximate with any sampler that takes other steps. cfg is lambda: 0 to 1, try 0.6."
SAMPLERS = {
    "euler": "euler and DDIM (eta 0)",
    "euler_ancestral": "euler_ancestral at this eta",
    "ddim": "DDIM at this eta and, at eta 1, DDPM",
    "measured": "every sampler whose step reads one prediction",
}


class GGPlusPlus(RuleNode):
    """CFG++ for any sampler."""

    owner = PlusPlus

    @classmethod
    def execute(cls, step_of: str, eta: float, guidance: Guidance | None = None) -> io.NodeOutput:
        output = extend_chain(cls, guidance, PlusPlus(step_of, eta))
        say(cls, EXACT_FOR.format(SAMPLERS[step_of]))
        return output
