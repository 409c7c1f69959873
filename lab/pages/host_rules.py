"""The host's own guidance nodes as rules, run through the real host: what its sampler would get for given predictions.

A MODEL whose network answers with the predictions at hand carries the node's patch, and the host's sampling function
does the rest: its batching, pre-CFG patches, CFG and post-CFG patches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...guidance.predictions import Predictions
from ...guidance.run import Run
from ...host.models.native_model import LabelledConfig, LabelledModel, LabelledNetwork, ModelCard
from ...host.models.noise_levels import exact_levels

UNCOND, COND, EMPTY = 0, 1, 2  # labels of the three predictions
ALONE = frozenset({"per item", "no memory"})
SPAN, SPACES, ZERO = ALONE | {"in span"}, frozenset({"same in every space"}), frozenset({"gamma 0 is u"})


class Script:
    """A network that answers with what it was given: {label: x0-hat}."""

    def __init__(self):
        self.answers: dict[int, Tensor] = {}

    def __call__(self, x: Tensor, sigma: Tensor, y: Tensor) -> Tensor:  # [n B, ...] in blocks of one label
        """Answer block by block."""
        return torch.cat([self.answers[int(label)] for label in y[:: len(self.answers[UNCOND])]])


def scripted_model(script: Script, shape: tuple[int, ...], space: str):
    """A MODEL of the host around a script.  shape: of one sample. space: ve or flow"""
    import comfy.model_patcher

    def network(**_: Any) -> LabelledNetwork:
        made = LabelledNetwork(script, torch.float32)
        vars(made)["in_channels"] = shape[0]  # RenormCFG asks for it
        return made

    card = ModelCard("script", ("cond", "empty"), EMPTY, "", None, shape, 0, space)
    model = LabelledModel(
        LabelledConfig(card, torch.float32, None),
        network,
        exact_levels(space),
        card,
        device=torch.device("cpu"),
        bytes_needed=lambda batch, numbers: 0,
        embed_level=lambda sampling, timestep: timestep,
    )
    return comfy.model_patcher.ModelPatcher(model, load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


@dataclass
class HostRule:
    """A node of the host as a rule.

    patch: MODEL -> MODEL with the node's patch. off: the same with knobs that should change nothing, None where it has
    none. claims: what its paper or its tooltip promises. extra: "empty", where it reads a third prediction.
    The patched MODEL is kept for all runs of one shape, as it is when a graph is queued twice.
    """

    text: str
    patch: Callable
    off: Callable | None = None
    claims: frozenset[str] = ALONE
    extra: tuple[str, ...] = ()
    half = False  # the host hands every rule float32
    spaces = ("ve", "flow")
    models: dict = field(default_factory=dict, repr=False)

    @property
    def neutral(self) -> HostRule | None:
        """The node with its neutral knobs."""
        return None if self.off is None else HostRule(self.text, self.off, None, self.claims, self.extra)

    def init(self, run: Run) -> str:
        """The space of the run; a node of the host learns nothing of it."""
        return "flow" if run.flow else "ve"

    def step(self, space: str, p: Predictions, gamma: float) -> tuple[Tensor, str]:
        """What the host's sampling function makes of the predictions."""
        import comfy.samplers

        script, model = self._model(tuple(p.x.shape[1:]), space)
        script.answers = {UNCOND: p.uncond, COND: p.cond, **dict(zip((EMPTY,), p.extra.values(), strict=False))}
        uncond, cond = (_condition(model, label, p.x) for label in (UNCOND, COND))
        model.pre_run()
        try:
            guided = comfy.samplers.sampling_function(
                model.model, p.x, p.sigma, uncond, cond, gamma, model.model_options
            )
        finally:
            model.cleanup()
        return guided, space

    def _model(self, shape: tuple[int, ...], space: str):
        if (shape, space) not in self.models:
            script = Script()
            self.models[shape, space] = script, self.patch(scripted_model(script, shape, space))
        return self.models[shape, space]


def _condition(model, label: int, x: Tensor) -> list[dict]:
    import comfy.sampler_helpers
    import comfy.samplers

    entries = comfy.sampler_helpers.convert_cond([[None, {"class_label": torch.tensor([label])}]])
    return comfy.samplers.encode_model_conds(model.model.extra_conds, entries, x, x.device, "positive")


def host_rules() -> list[HostRule]:
    """The guidance nodes of the host, with their default knobs."""
    from comfy_extras import nodes_post_processing  # noqa: F401, I001  newer hosts: a circle that opens only at this end
    from comfy_extras import (
        nodes_apg,
        nodes_cfg,
        nodes_fresca,
        nodes_latent,
        nodes_lumina2,
        nodes_mahiro,
        nodes_model_advanced,
        nodes_perpneg,
        nodes_tcfg,
    )

    def knobs(node, *values):
        return lambda model: node.execute(model, *values)[0]

    def rescale(multiplier):
        return lambda model: nodes_model_advanced.RescaleCFG().patch(model, multiplier)[0]

    def toned(model):
        operation = nodes_latent.LatentOperationTonemapReinhard.execute(1.0)[0]
        return nodes_latent.LatentApplyOperationCFG.execute(model, operation)[0]

    empty = [[None, {"class_label": torch.tensor([EMPTY])}]]
    fresca, apg, renorm = nodes_fresca.FreSca, nodes_apg.APG, nodes_lumina2.RenormCFG
    return [
        HostRule("RescaleCFG 0.7", rescale(0.7), rescale(0.0), SPAN),
        HostRule("APG eta 1, norm 5", knobs(apg, 1.0, 5.0, 0.0), knobs(apg, 1.0, 0.0, 0.0), SPAN | SPACES),
        HostRule("CFGZeroStar", knobs(nodes_cfg.CFGZeroStar), None, SPAN | {"in plane"}),
        HostRule("TCFG", knobs(nodes_tcfg.TCFG), None, SPAN | {"in plane"}),
        HostRule("RenormCFG 1", knobs(renorm, 100, 1.0), knobs(renorm, 100, 0.0), SPAN | SPACES),
        HostRule("CFGNorm 1", knobs(nodes_cfg.CFGNorm, 1.0), None, ALONE | SPACES),
        HostRule("Mahiro", knobs(nodes_mahiro.Mahiro), None, SPAN | SPACES),
        HostRule("PerpNeg 1", knobs(nodes_perpneg.PerpNeg, empty, 1.0), None, ALONE | SPACES, ("empty",)),
        HostRule("FreSca 1, 1.25, 2", knobs(fresca, 1.0, 1.25, 2), knobs(fresca, 1.0, 1.0, 2), ALONE | SPACES | ZERO),
        HostRule("Tonemap Reinhard 1", toned, None, ALONE | SPACES | ZERO),
    ]
