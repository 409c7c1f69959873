"""A window for any rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ...guidance.rules.window import part_of_run
from ...host.editor import wires
from ...host.editor.knob_inputs import refusal_of
from ...host.editor.rule_nodes import RuleNode, chain_with, extend_chain

if TYPE_CHECKING:
    from ...guidance.chain import Guidance


def _share(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


class GGWindow(RuleNode):
    """Rules that act in a part of the run."""

    name = "Part of the Run (window for rules)"
    search_words = ("start percent", "end percent", "interval", "timestep range")
    description = "Lets rules act in a part of the run alone. Outside it they change nothing and cost nothing."
    maturity = "experimental"
    knobs = (
        wires.Guidance.Input("rules", tooltip="The rules that act in this part: one or several, from any rule node."),
        _share("start_percent", 0.0, "Share of the run's steps before the rules begin; 0 is from the start."),
        _share("end_percent", 1.0, "Share of the steps after which they have ended; 1 is to the end."),
    )

    @classmethod
    def validate_inputs(cls, start_percent: float | None, end_percent: float | None) -> str | None:
        return refusal_of(part_of_run, start_percent, end_percent)

    @classmethod
    def execute(
        cls, rules: Guidance, start_percent: float, end_percent: float, guidance: Guidance | None = None
    ) -> io.NodeOutput:
        return extend_chain(
            cls, guidance, *(rule.within(start_percent, end_percent) for rule in chain_with(rules).rules)
        )
