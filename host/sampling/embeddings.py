"""What the host's networks are told of the condition, where a rule of the chain changes that from step to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import comfy.utils
from torch import Tensor

from ...guidance.chain import Runner
from ...guidance.vectors import put_beside
from ...samplers.loop import step_noise
from ..models import adapter
from ..models.native_model import AbsentLabel, LabelledModel
from .run_models import WORDS, RunModels

TEXT, LABEL = "c_crossattn", "y"  # by which a model's own conditions name what its network reads
NO_EMBEDDING = (
    "A rule of the guidance chain changes the embedding of the prompt (CADS). {name} reads {names}, and none that is "
    "known here. Remove the rule, or sample with a model of text."
)


class ConditionEmbeddings:
    """The conditions of a run as a chain changes them, for the time of one evaluation.

    draw: noise of an item and a step, by the run's seed; None before the first evaluation.

    Only the sampler's positive changes, in every model that is asked about it: pooled text, masks, areas and
    ControlNets stay as they are, and so does the negative.
    """

    def __init__(self, runner: Runner, models: RunModels):
        self.runner, self.models = runner, models
        self.draw: Callable[..., Tensor] | None = None

    def override(self, x: Tensor, seed: int | None) -> ExitStack:
        """A context in which the models of the run are told what the chain makes of the condition.  x [B, ...]"""
        runner, changes, guider = self.runner, ExitStack(), self.models.guider
        if runner.chain.embeds and self.draw is None:
            self.draw = step_noise(x, seed or 0)
        if runner.chain.embeds_at(runner.run, runner.sigma):
            asked = [(guider.inner_model, guider.conds), *((o.patcher.model, o.conds) for o in self.models.others)]
            every = [
                (conds, self._change_entries(model, conds, len(x))) for model, conds in asked
            ]  # all, before any is changed
            for conds, changed in every:
                changes.enter_context(adapter.override(conds, changed))
        return changes

    def _change_entries(self, model: Any, conds: Mapping[str, Any], batch: int) -> dict[str, list[dict]]:
        """Conditions by name, of which the positive is the chain's; labels become embeddings, to share its batch."""
        changed = {}
        for name, entries in conds.items():
            if entries and (name == WORDS["cond"] or isinstance(model, LabelledModel)):
                embed = self._embed if name == WORDS["cond"] else lambda place, y: y
                changed[name] = [
                    change_entry(model, entry, batch, partial(embed, place)) for place, entry in enumerate(entries)
                ]
        return changed

    def _embed(self, entry: int, y: Tensor) -> Tensor:  # [B, ...] -> [B, ...]
        """The chain's embedding of an entry of the condition."""
        runner, draw = self.runner, self.draw
        assert draw is not None
        step = runner.run.step(runner.sigma)

        def noise(place: int) -> Tensor:
            return put_beside(draw(y.shape[1:], step, place, entry), y.float())

        return runner.chain.embed(runner.run, runner.sigma, y, noise)


def change_entry(model: Any, entry: dict, batch: int, embed: Callable[[Tensor], Tensor]) -> dict:
    """An entry of a condition with another embedding.  Raises ValueError where its model reads none."""
    conds, labelled = entry["model_conds"], isinstance(model, LabelledModel)
    name = LABEL if labelled else TEXT
    held = conds.get(name)
    if isinstance(held, AbsentLabel):
        return entry
    if held is None:
        names = ", ".join(sorted(conds)) or "no condition"
        raise ValueError(NO_EMBEDDING.format(name=type(model).__name__, names=names))
    y = comfy.utils.repeat_to_batch_size(held.cond, batch)
    y = model.label_vectors(y) if labelled else y
    return {**entry, "model_conds": {**conds, name: type(held)(embed(y))}}
