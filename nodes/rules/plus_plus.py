"""CFG++."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.plus_plus import STEPS, PlusPlus
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema, say

EXACT_FOR = "CFG++: exact with {}; approximate with any sampler that takes other steps. cfg is lambda: 0 to 1, try 0.6."
SAMPLERS = {
    "euler": "euler and DDIM (eta 0)",
    "euler_ancestral": "euler_ancestral at this eta",
    "ddim": "DDIM at this eta and, at eta 1, DDPM",
    "measured": "every sampler whose step reads one prediction",
}


class GGPlusPlus(CheckedNode):
    """CFG++ for any sampler."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGPlusPlus",
            "CFG++ (any sampler)",
            "CFG++ as a scale per step: gamma = cfg / (1 - n'/n), n = sigma/alpha. Set cfg in the sampler to 0..1. "
            "Exact for euler, euler_ancestral, DDIM and DDPM; approximate for samplers of higher order.",
            [
                io.Combo.Input(
                    "step_of",
                    options=list(STEPS),
                    default="euler",
                    tooltip="The sampler in use. measured: whichever it is. euler: any sampler without noise. "
                    "euler_ancestral: the host's. ddim: DDIM and DDPM of this pack. A wrong choice of these three "
                    "gives the wrong scale, without an error.",
                ),
                io.Float.Input(
                    "eta",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="The sampler's own eta: 0 no noise, 1 ancestral. Ignored for euler. arXiv 2406.08070.",
                ),
            ],
        )

    @classmethod
    def execute(cls, step_of, eta, guidance=None) -> io.NodeOutput:
        output = linked(cls, guidance, PlusPlus(step_of, eta))
        say(cls, EXACT_FOR.format(SAMPLERS[step_of]))
        return output
