"""Skimming."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.skim import Skim
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema


class GGSkim(CheckedNode):
    """A lower scale for values that stick out already."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGSkim",
            "Skimmed CFG (less burn, per value)",
            "Uses a lower scale at the values that guidance pushes further out than they already are.",
            [
                io.Float.Input(
                    "skim",
                    default=3.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Scale where delta, c, the guided value and its move from x share one sign. cfg or more: "
                    "plain CFG. 1: c there. Below 1: washed out. No paper.",
                ),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, skim, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, Skim(skim))
