"""The CFG schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ...guidance.rules.schedule import ScaleSchedule, parse_values
from ...host.editor.knob_inputs import refusal_of
from ...host.editor.rule_nodes import RuleNode, extend_chain

if TYPE_CHECKING:
    from ...guidance.chain import Guidance


class GGCFGSchedule(RuleNode):
    """Gamma over the run."""

    owner = ScaleSchedule

    @classmethod
    def validate_inputs(cls, schedule: str | None, values: str | None) -> str | None:
        return refusal_of(gammas, values) if schedule == "list" else None

    @classmethod
    def execute(
        cls,
        schedule: str,
        start_weight: float,
        end_weight: float,
        power: float,
        values: str,
        guidance: Guidance | None = None,
    ) -> io.NodeOutput:
        numbers = parse_values(values) if schedule == "list" else ()
        return extend_chain(cls, guidance, ScaleSchedule(schedule, start_weight, end_weight, power, numbers))


def gammas(values: str) -> ScaleSchedule:
    """The schedule of a list.  Raises ValueError for a text that is none."""
    return ScaleSchedule("list", values=parse_values(values))
