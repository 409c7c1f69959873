"""Guidance away from a perturbed pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ...guidance.rules.kinds import Source
from ...guidance.rules.perturbed import Perturbed
from ...host.editor.checks import insist
from ...host.editor.knob_inputs import refusal_of
from ...host.editor.rule_nodes import RuleNode, extend_chain

if TYPE_CHECKING:
    from ...guidance.chain import Guidance

SAMPLER_HOOKS = ("sampler_post_cfg_function", "sampler_calc_cond_batch_function")


class GGPerturbed(RuleNode):
    """A perturbed MODEL as what guidance leads away from, beside the negative."""

    owner = Perturbed

    @classmethod
    def validate_inputs(cls, start_percent: float | None, end_percent: float | None) -> str | None:
        return refusal_of(Perturbed, Source("cond"), 1.0, start_percent, end_percent)

    @classmethod
    def execute(
        cls,
        perturbed_model: io.Model.Type,
        scale: float,
        start_percent: float,
        end_percent: float,
        guidance: Guidance | None = None,
    ) -> io.NodeOutput:
        insist(_sampler_hook(perturbed_model))
        return extend_chain(
            cls, guidance, Perturbed(Source("cond", perturbed_model), scale, start_percent, end_percent)
        )


def _sampler_hook(model: io.Model.Type) -> str | None:
    """A sentence for a MODEL whose perturbation is the sampler's to run, and would not happen in a pass of its own."""
    hooks = [name for name in SAMPLER_HOOKS if model.model_options.get(name)]
    if not hooks:
        return None
    return (
        f"perturbed_model carries {hooks[0]}, as set by the host's PAG and SLG nodes: that runs its own perturbed pass "
        "when the model samples, and does nothing here. Connect that MODEL to the sampler instead; it joins the "
        "chain's guidance there."
    )
