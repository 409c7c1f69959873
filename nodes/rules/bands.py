"""Frequency bands."""

from __future__ import annotations

from typing import ClassVar

from comfy_api.latest import io

from ...guidance.rules.bands import METHODS, Bands
from ...guidance.rules.schedule import parse_values
from ...host.checks import CheckedNode, number
from ...host.rule_nodes import linked, refused, rule_schema

HEAVIEST = 10.0
MIDDLE = io.String.Input(
    "middle",
    default="",
    optional=True,
    tooltip="FDG only: weights of further bands between low and high, coarse to fine, such as 0.6, "
    "0.8. Each halves the resolution at which low begins. Empty: two bands.",
)


def bad_middle(middle: str) -> str | None:
    """A sentence if a text is no list of weights, or one of them is out of range."""
    try:
        weights = parse_values(middle, "middle")
    except ValueError as error:
        return str(error)
    outside = next(filter(None, (number("middle", weight, -HEAVIEST, HEAVIEST) for weight in weights)), None)
    return outside or refused(Bands, "FDG", 1.0, 1.0, 0.5, weights)


class GGFrequencyBands(CheckedNode):
    """FDG and FreSca."""

    checks: ClassVar = {"middle": bad_middle}

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGFrequencyBands",
            "Frequency Bands (FDG / FreSca)",
            "Guides coarse structure and fine detail with separate weights. Any latent, split at a share of its "
            "resolution.",
            [
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="FDG",
                    tooltip="FDG: c + (cfg - 1)(low d_low + high d_high), Laplacian pyramid, arXiv 2506.19713. FreSca: "
                    "u + cfg (low d_low + high d_high), Fourier box, arXiv 2504.02154.",
                ),
                io.Float.Input(
                    "low",
                    default=0.5,
                    min=-HEAVIEST,
                    max=HEAVIEST,
                    step=0.05,
                    tooltip="Weight of coarse structure and colour. 1 is plain CFG. Lower: more variety, less "
                    "saturation; 0 loses the prompt. Higher: burnt.",
                ),
                io.Float.Input(
                    "high",
                    default=1.0,
                    min=-HEAVIEST,
                    max=HEAVIEST,
                    step=0.05,
                    tooltip="Weight of fine detail. 1 is plain CFG. Higher: crisper; too high is grain. 0: soft.",
                ),
                io.Float.Input(
                    "cutoff",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="FreSca only: where the bands split, as a share of the highest frequency. 0: only the mean "
                    "is low. 1: everything is.",
                ),
            ],
            later=(MIDDLE,),
        )

    @classmethod
    def execute(cls, method, low, high, cutoff, guidance=None, middle="") -> io.NodeOutput:
        return linked(cls, guidance, Bands(method, low, high, cutoff, parse_values(middle, "middle")))
