"""Presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ...guidance.presets import PRESETS
from ...host.editor.rule_nodes import RuleNode, chain_with, extend_chain

if TYPE_CHECKING:
    from ...guidance.chain import Guidance


class GGPreset(RuleNode):
    """Rules for a purpose, as one node."""

    name = "Guidance Preset"
    search_words = ("burn", "recipe", "faster")
    description = "Ready-made rules for a purpose, with settings to start from. The node shows which rules it adds."
    knobs = (
        io.Combo.Input(
            "preset",
            options=list(PRESETS),
            default="less burn (APG)",
            tooltip="less burn: APG, any model. flow: CFG-Zero*, for flow models. faster: fewer runs of the model, "
            "any model. plain CFG: nothing.",
        ),
    )

    @classmethod
    def execute(cls, preset: str, guidance: Guidance | None = None) -> io.NodeOutput:
        rules, advice = PRESETS[preset]
        shown: dict = {"ui": {"text": [f"{chain_with(None, *rules).text}. {advice}"]}} if rules else {}
        return io.NodeOutput(*extend_chain(cls, guidance, *rules).args, **shown)
