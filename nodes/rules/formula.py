"""A rule typed as a formula."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from comfy_api.latest import io

from ...guidance.rules.formula import ALLOWED, PLAIN, Formula
from ...host.checks import CheckedNode
from ...host.rule_nodes import linked, refused, rule_schema


class GGFormula(CheckedNode):
    """The guided prediction as a formula."""

    checks: ClassVar = {"formula": partial(refused, Formula)}

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGFormula",
            "Guidance Formula (your own rule)",
            "The guided prediction as a formula of u, c, d = c - u, x, sigma, alpha and gamma, in place of plain CFG.",
            [
                io.String.Input(
                    "formula",
                    default=PLAIN,
                    tooltip=f"Computed for each sample separately. {ALLOWED} proj(a, b), rej(a, b): a along and "
                    "across b. dot, norm, mean, std: one number per sample. clamp(a, low, high). a / 0 is 0.",
                ),
            ],
            experimental=True,
        )

    @classmethod
    def execute(cls, formula, guidance=None) -> io.NodeOutput:
        return linked(cls, guidance, Formula(formula))
