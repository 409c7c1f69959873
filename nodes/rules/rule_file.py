"""A rule in somebody's own file, for sweeps of a ComfyUI that a command started with it; any other has no such node."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ... import files, sweeps
from ... import guidance as theory
from ...host.editor.rule_nodes import RuleNode, extend_chain

if TYPE_CHECKING:
    from ...guidance.chain import Guidance

CHANGED = "{} has changed since the sweep began. Give the same command again."
TABLE = "Give a table of knobs and their values."
# named by whoever started this process, never by a prompt
OFFERED = theory.rule_file.RuleFile.list_offers() if theory.OFFERED in os.environ else {}

if OFFERED:

    class GGRuleFile(RuleNode):
        """A rule in a file."""

        name = "Rule from a File"
        search_words = ("custom rule", "python")
        description = "A rule in a file that was named when this ComfyUI was started. Only sweeps use it."
        maturity = "experimental"
        knobs = (
            io.Combo.Input("rule", options=[*OFFERED], tooltip="FILE:RULE, of those that were named."),
            io.String.Input("digest", default="", tooltip="Of the file as the sweep knows it; empty: any."),
            io.String.Input("knobs", default="", optional=True, tooltip="JSON: knobs of the rule and their values."),
        )

        @classmethod
        def execute(
            cls, rule: str, digest: str = "", knobs: str = "", guidance: Guidance | None = None
        ) -> io.NodeOutput:
            place = OFFERED[rule]
            if digest not in ("", place.digest):
                raise ValueError(CHANGED.format(place.file.name))
            chain = theory.contract.chain_from(place.rule())
            claims = files.claims
            values = claims.json_of(f"{rule}: knobs", knobs or "{}", TABLE)
            knob = claims.either(claims.number(), claims.switch(), claims.text())
            claims.check_claims(rule, {"knobs": values}, {"knobs": claims.table(knob, 100)}, TABLE)
            for name, value in values.items():
                named = sweeps.rules.knob_of(chain, f"{place.name}.{name}", lambda one: [place.name])
                chain = sweeps.rules.set_knob(chain, *named, value) if named else chain
            return extend_chain(cls, guidance, *chain.rules)
