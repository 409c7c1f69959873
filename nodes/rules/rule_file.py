"""A rule in somebody's own file, for sweeps of a ComfyUI that a command started with it; any other has no such node."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.contract import chain_from
from ...guidance.rule_file import RuleFile
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, rule_schema

CHANGED = "{} has changed since the sweep began. Give the same command again."
OFFERED = RuleFile.offered()  # named by whoever started this process, never by a prompt

if OFFERED:

    class GGRuleFile(CheckedNode):
        """A rule in a file."""

        @classmethod
        def define_schema(cls):
            return rule_schema(
                "GGRuleFile",
                "Rule from a File",
                "A rule in a file that was named when this ComfyUI was started. Only sweeps use it.",
                [
                    io.Combo.Input("rule", options=[*OFFERED], tooltip="FILE:RULE, of those that were named."),
                    io.String.Input("digest", default="", tooltip="Of the file as the sweep knows it; empty: any."),
                ],
                experimental=True,
            )

        @classmethod
        def execute(cls, rule, digest="", guidance=None) -> io.NodeOutput:
            place = OFFERED[rule]
            if digest not in ("", place.digest):
                raise ValueError(CHANGED.format(place.file.name))
            return linked(cls, guidance, *chain_from(place.rule()).rules)
