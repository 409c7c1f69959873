"""A rule in somebody's own file, for sweeps of a ComfyUI that a command started with it; any other has no such node."""

from __future__ import annotations

from comfy_api.latest import io

from ...files.claims import check_claims, either, json_of, number, switch, table, text
from ...guidance.contract import chain_from
from ...guidance.rule_file import RuleFile
from ...host.rule_nodes import RuleNode, extend_chain
from ...sweeps.rules import knob_of, with_knob

CHANGED = "{} has changed since the sweep began. Give the same command again."
TABLE = "Give a table of knobs and their values."
OFFERED = RuleFile.list_offers()  # named by whoever started this process, never by a prompt

if OFFERED:

    class GGRuleFile(RuleNode):
        """A rule in a file."""

        name = "Rule from a File"
        description = "A rule in a file that was named when this ComfyUI was started. Only sweeps use it."
        maturity = "experimental"
        knobs = (
            io.Combo.Input("rule", options=[*OFFERED], tooltip="FILE:RULE, of those that were named."),
            io.String.Input("digest", default="", tooltip="Of the file as the sweep knows it; empty: any."),
            io.String.Input("knobs", default="", optional=True, tooltip="JSON: knobs of the rule and their values."),
        )

        @classmethod
        def execute(cls, rule, digest="", knobs="", guidance=None) -> io.NodeOutput:
            place = OFFERED[rule]
            if digest not in ("", place.digest):
                raise ValueError(CHANGED.format(place.file.name))
            chain = chain_from(place.rule())
            values = json_of(f"{rule}: knobs", knobs or "{}", TABLE)
            check_claims(rule, {"knobs": values}, {"knobs": table(either(number(), switch(), text()), 100)}, TABLE)
            for name, value in values.items():
                named = knob_of(chain, f"{place.name}.{name}", lambda one: [place.name])
                chain = with_knob(chain, *named, value) if named else chain
            return extend_chain(cls, guidance, *chain.rules)
