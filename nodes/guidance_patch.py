"""A guidance chain on a MODEL, for samplers that have no guidance input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.patcher_extension
from comfy_api.latest import io

from .. import host
from ..host.editor.checks import CheckedNode
from ..host.editor.rule_nodes import chain_with
from ..host.editor.wires import Guidance as GuidanceWire
from ..host.server import KEY
from .sampling import CATEGORY, MODEL

if TYPE_CHECKING:
    from ..guidance.chain import Guidance

OUTER = comfy.patcher_extension.WrappersMP.OUTER_SAMPLE


def patch_model(model: io.Model.Type, guidance: Guidance):
    """A clone of a MODEL whose every run uses the chain; each run has its own state, and none is kept on the MODEL.

    Raises ValueError when another rule or chain is on the MODEL already.
    """
    chain = chain_with(guidance)
    if model.wrappers.get(OUTER, {}).get(KEY):
        raise ValueError(
            "The MODEL already has a guidance chain. Put both chains on one guidance wire, and patch the MODEL once."
        )
    host.sampling.guided_run.refuse_second_rule(model.model_options, chain)

    def outer_sample(executor: comfy.patcher_extension.WrapperExecutor, *args, **named):
        guider: Any = executor.class_obj
        refuse_foreign(guider)
        return host.sampling.guided_run.sample_guided(executor, guider, chain, *args, **named)

    clone = model.clone()
    clone.add_wrapper_with_key(OUTER, KEY, outer_sample)
    return clone


def refuse_foreign(guider: io.Guider.Type) -> None:
    """Raise ValueError for a guider that does not come to the place where rules act."""
    if host.models.adapter.goes_past_rules(guider):
        raise ValueError(host.sampling.chain_evaluation.OWN_WAY.format(name=type(guider).__name__))


class GGGuidancePatch(CheckedNode):
    """A guidance chain for any KSampler."""

    name = "Guidance on any KSampler"
    search_words = ("cfg", "negative", "model patch", "cfg function")
    category = CATEGORY
    description = (
        "Puts a guidance chain on a model: any sampler that uses the model applies the chain, at its "
        "own cfg. Place it after every other model patch."
    )
    inputs = (
        MODEL,
        GuidanceWire.Input("guidance", tooltip="The chain of schedules and rules; gamma is the sampler's cfg."),
    )
    outputs = (io.Model.Output(tooltip="The same model; sampling with it goes through the chain."),)

    @classmethod
    def execute(cls, model: io.Model.Type, guidance: Guidance) -> io.NodeOutput:
        return io.NodeOutput(patch_model(model, guidance))
