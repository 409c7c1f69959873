"""Guidance away from a perturbed pass."""

from __future__ import annotations

from comfy_api.latest import io

from ...guidance.rules.kinds import Source
from ...guidance.rules.perturbed import Perturbed
from ...host.checks import CheckedNode, insist
from ...host.rule_nodes import linked, refused, rule_schema, share_input

SAMPLER_HOOKS = ("sampler_post_cfg_function", "sampler_calc_cond_batch_function")


class GGPerturbed(CheckedNode):
    """A perturbed MODEL as what guidance leads away from, beside the negative."""

    @classmethod
    def define_schema(cls):
        return rule_schema(
            "GGPerturbed",
            "Perturbed Pass (PAG / SEG / SLG style)",
            "Guides away from a perturbed pass of the model, on top of cfg. The host's own PAG and SLG nodes work "
            "without it: connect them to the sampler's model; they act after the chain.",
            [
                io.Model.Input(
                    "perturbed_model",
                    tooltip="The model with a patch that degrades every pass through it (attention or block patches). "
                    "It gets the positive condition, once per step.",
                ),
                io.Float.Input(
                    "scale",
                    default=3.0,
                    min=-100.0,
                    max=100.0,
                    step=0.1,
                    tooltip="w in D = G + w (c - c_perturbed), added last in any chain; several add up. 0: off. "
                    "1 to 3 usual; too high burns, whatever cfg is. PAG: arXiv 2403.17377.",
                ),
                share_input(
                    "start_percent", 0.0, "Share of the steps from which it acts; before it the pass is skipped."
                ),
                share_input(
                    "end_percent", 1.0, "Share of the steps up to which it acts; after it the pass is skipped."
                ),
            ],
            experimental=True,
        )

    @classmethod
    def validate_inputs(cls, start_percent, end_percent):
        return refused(Perturbed, Source("cond"), 1.0, start_percent, end_percent)

    @classmethod
    def execute(cls, perturbed_model, scale, start_percent, end_percent, guidance=None) -> io.NodeOutput:
        insist(_hooked(perturbed_model))
        return linked(cls, guidance, Perturbed(Source("cond", perturbed_model), scale, start_percent, end_percent))


def _hooked(model) -> str | None:
    """A sentence for a MODEL whose perturbation is the sampler's to run, and would not happen in a pass of its own."""
    found = [name for name in SAMPLER_HOOKS if model.model_options.get(name)]
    if not found:
        return None
    return (
        f"perturbed_model carries {found[0]}, as set by the host's PAG and SLG nodes: that runs its own perturbed pass "
        "when the model samples, and does nothing here. Connect that MODEL to the sampler instead; it joins the "
        "chain's guidance there."
    )
