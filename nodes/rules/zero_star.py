"""CFG-Zero*."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.zero_star import ZeroStar
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema


class GGZeroStar(CheckedNode):
    """The unconditional output at its best length, and no move while the sample is pure noise."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGZeroStar",
            "CFG-Zero* (scale + zero-init)",
            "For flow models: scales the unconditional velocity to fit the conditional one, and does not move in the "
            "first steps.",
            [
                io.Int.Input(
                    "zero_init_steps",
                    default=1,
                    min=0,
                    max=100,
                    tooltip="First steps without a move (D = x) when a flow model starts from pure noise. 0: off. "
                    "Many: the composition forms too late. Needs a sampler without noise and history: euler, heun, "
                    "dpm_2, ddim. v = s v_u + cfg (v_c - s v_u), s = <v_c, v_u>/|v_u|^2. Fan et al. 2025, arXiv "
                    "2503.18886.",
                ),
            ],
        )

    @classmethod
    def execute(cls, zero_init_steps, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, ZeroStar(zero_init_steps))
