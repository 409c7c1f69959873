"""Frequency bands."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.bands import METHODS, Bands
from ...guidance.rules.schedule import parse_values
from ...host.checks import checked, choice, insist, number, validated, verdict
from .link import linked, refused, rule_schema

MIDDLE = io.String.Input(
    "middle",
    default="",
    optional=True,
    tooltip="FDG only: weights of further bands between low and high, coarse to fine, such as 0.6, "
    "0.8. Each halves the resolution at which low begins. Empty: two bands.",
)


class GGFrequencyBands(io.ComfyNode):
    """FDG and FreSca."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGFrequencyBands",
            "Frequency Bands (FDG / FreSca)",
            "Guides coarse structure and fine detail with weights of their own. Any latent, split at a share of its "
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
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="Weight of coarse structure and colour. 1 is plain CFG. Lower: more variety, less "
                    "saturation; 0 loses the prompt. Higher: burnt.",
                ),
                io.Float.Input(
                    "high",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="Weight of fine detail. 1 is plain CFG. Higher: crisper; too high is grain. 0: soft.",
                ),
                io.Float.Input(
                    "cutoff",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="FreSca only: where the bands part, as a share of the highest frequency. 0: only the mean "
                    "is low. 1: everything is.",
                ),
            ],
            later=(MIDDLE,),
        )

    @classmethod
    @validated
    def validate_inputs(cls, method=None, middle=None):
        return verdict(*_complaints(method, middle))

    @classmethod
    @checked
    def execute(cls, method, low, high, cutoff, guidance=None, middle="") -> io.NodeOutput:
        insist(*_complaints(method, middle))
        return linked(cls, guidance, Bands(method, low, high, cutoff, parse_values(middle, "middle")))


def _complaints(method, middle) -> list[str | None]:
    return [choice("method", method, METHODS), *_of_middle(middle)]


def _of_middle(middle: str | None) -> list[str | None]:
    if middle is None:
        return []
    try:
        weights = parse_values(middle, "middle")
    except ValueError as error:
        return [str(error)]
    return [*(number("middle", weight, -10, 10) for weight in weights), refused(Bands, "FDG", 1.0, 1.0, 0.5, weights)]


NODES = [GGFrequencyBands]
