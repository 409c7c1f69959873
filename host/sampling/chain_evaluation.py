"""One evaluation of a guidance chain inside the host: which predictions are asked for, and where its rules act.

The order is the host's: its batched evaluation, the MODEL's pre-CFG patches, then the chain, then the MODEL's post-CFG
patches and what the sampler added to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import comfy.samplers
import torch
from torch import Tensor

from ...guidance.chain import Runner
from ...guidance.predictions import Predictions
from ..models import adapter
from .embeddings import ConditionEmbeddings
from .run_models import WORDS, RunModels, evaluate

PLAIN = 1e-4  # of a value, or in itself where the value is small, up to which two are the same
OWN_WAY = (
    "{name} mixes positive and negative in its own way, so rules on its MODEL cannot act. Use KSampler, SamplerCustom, "
    "CFGGuider or CFG Guider + Guidance Chain, or remove Guidance on any KSampler."
)


class ChainEvaluation:
    """The guided x0-hat of a chain in each evaluation of the host, without gradient terms.

    runner: of the chain; its `begin` is called before.
    sources: of the chain's further predictions, by name.
    embeddings: of the condition, as the chain changes it.
    combines_itself: whether the guider has its own way from its predictions to D.
    has_uncond: whether u was evaluated, in the latest evaluation.
    proved: with which values of has_uncond a guider that combines itself was seen to take the host's way.
    lacked_negative: whether any evaluation found the negative empty or ended.

    One difference from the host is wanted: where the negative covers only part of the schedule, the rest is sampled
    with c alone, while the host would use gamma * c there.
    """

    def __init__(self, runner: Runner, models: RunModels):
        self.runner, self.models, self.sources = runner, models, runner.chain.sources
        self.combines_itself = adapter.combines_itself(models.guider)
        self.embeddings = ConditionEmbeddings(runner, models)
        self.has_uncond = True
        self.proved: set[bool] = set()
        self.lacked_negative = False

    @property
    def stage(self) -> str:
        """What the latest evaluation was, a word of the trace."""
        return "step" if self.has_uncond else self.runner.stage or "cond_only"

    def __call__(  # x [B, ...] -> [B, ...]
        self, x: Tensor, timestep: Tensor, model_options: dict, seed: int | None
    ) -> Tensor:
        """Evaluate what the chain needs, and guide by it."""
        guider, runner = self.models.guider, self.runner
        needs, negative = runner.needs(guider.cfg), guider.conds.get("negative")
        wants_uncond = "uncond" in needs or model_options.get("disable_cfg1_optimization", False)
        self.has_uncond = wants_uncond and adapter.is_active(negative, runner.sigma)
        self.lacked_negative = self.lacked_negative or (wants_uncond and negative is not None and not self.has_uncond)
        gammas, changes = set(runner.gammas), {}
        plain = runner.chain.is_cfg and len(gammas) == 1 and not self.combines_itself
        if not plain:
            changes = self._rule_changes(model_options, needs)
            negative = negative if self.has_uncond else None
        if not self.has_uncond and (wants_uncond or not plain):
            changes |= cond_for_uncond(model_options)
        with self.embeddings.override(x, seed):
            if self.combines_itself:
                return self._ask_guider(changes, x, timestep, model_options, seed)
            conds = guider.conds["negative"] if negative is not None else None, guider.conds["positive"]
            with adapter.override(model_options, changes):
                return comfy.samplers.sampling_function(
                    guider.inner_model, x, timestep, *conds, min(gammas), model_options, seed
                )

    def _ask_guider(
        self, changes: dict[str, Any], x: Tensor, timestep: Tensor, model_options: dict, seed: int | None
    ) -> Tensor:
        """The guided x0-hat through a guider's own way, which has to be the host's guidance from end to end.

        Nothing is run dry for that: what a guider remembers could not be put back. Raises ValueError where it is not.
        """
        guider, entries, ends = self.models.guider, list[Mapping](), list[Tensor]()

        def enter(args: Mapping) -> Tensor:
            entries.append(args)
            return args["denoised"]

        def leave(args: Mapping) -> Tensor:
            ends.append(args["denoised"])
            return args["denoised"]

        place = "sampler_post_cfg_function"
        with adapter.override(model_options, changes | {place: [enter, *changes[place], leave]}):
            guided = guider.predict_noise(x, timestep, model_options, seed)
        once = len(entries) == 1 and guided is ends[0] and math.isclose(entries[0]["cond_scale"], guider.cfg)
        if not once or not (self.has_uncond in self.proved or self._is_plain(entries[0])):
            raise ValueError(OWN_WAY.format(name=type(guider).__name__))
        return guided

    def _is_plain(self, given: Mapping[str, Any]) -> bool:
        """Whether what a guider came to is D = u + cfg (c - u), also where both are nan.

        It is asked once of a call with both predictions, and once before that of one with c alone, because it waits.
        """
        u, c = given["uncond_denoised"], given["cond_denoised"]
        self.proved |= {False, self.has_uncond}
        plain = u + (c - u) * given["cond_scale"]
        return torch.allclose(given["denoised"], plain, rtol=PLAIN, atol=PLAIN, equal_nan=True)

    def _rule_changes(self, options: dict, needs: frozenset[str]) -> dict[str, Any]:
        """What is changed in the options of a call whose guided prediction is the chain's."""
        extra: dict[str, Tensor] = {}
        guide = partial(self._guide, extra, "uncond" in needs and self.has_uncond)
        changes: dict[str, Any] = {"disable_cfg1_optimization": True}
        changes["sampler_post_cfg_function"] = [guide, *options.get("sampler_post_cfg_function", [])]
        names = [name for name in self.sources if name in needs]
        if names or self.combines_itself:
            before = options.get("sampler_calc_cond_batch_function")
            changes["sampler_calc_cond_batch_function"] = partial(self._evaluate_further, extra, names, before)
        return changes

    def _evaluate_further(
        self, extra: dict[str, Tensor], names: list[str], before: Callable | None, args: dict
    ) -> list[Tensor]:
        """c and u, and into `extra` the further predictions: those of the run's own model in the same batch.

        before: another patch's evaluation of c and u, which then stays theirs. A further condition that does not cover
        this noise level counts as u, so that it changes nothing.
        """
        model, pair, x, level, options = (args[k] for k in ("model", "conds", "input", "sigma", "model_options"))
        pair, sigma = pair if self.has_uncond else [pair[0], None], self.runner.sigma
        args, further = {**args, "conds": pair}, self._further(names)
        unlike = {name: c for name, c in further.items() if not any(c is p for p in pair)}
        fresh = {name: c for name, c in unlike.items() if adapter.is_active(c, sigma)}
        first = [None, None] if before else pair
        c, u, *others = evaluate(model, first, [*fresh.values()], x, level, options)
        c, u = before(args) if before else (c, u)
        u = c if pair[1] is None else u
        extra.update((name, c if cond is pair[0] else u) for name, cond in further.items())
        extra |= dict(zip(fresh, others, strict=True))
        for other in self.models.others:
            absent = {name: u for name in names if name in other.conditions}
            extra |= absent | other.predictions(names, x, level, sigma, options)
        return [c, u]

    def _further(self, names: list[str]) -> dict[str, list[dict]]:
        """Further conditions for the run's own model, by name."""
        conds = self.models.guider.conds
        conditions = {name: self.sources[name].conditioning for name in names if self.sources[name].model is None}
        return {name: conds[WORDS[word] if isinstance(word, str) else name] for name, word in conditions.items()}

    def _guide(self, extra: Mapping[str, Tensor], needs_uncond: bool, args: dict) -> Tensor:
        """The chain, as the first post-CFG patch."""
        sigma, cond = args["sigma"], args["cond_denoised"]
        alpha = 1 - sigma if self.runner.run.flow else torch.ones_like(sigma)
        uncond = args["uncond_denoised"] if needs_uncond and args["uncond"] is not None else None
        return self.runner.guide(Predictions(args["input"], sigma, alpha, uncond, cond, extra))


def cond_for_uncond(options: dict) -> dict[str, Any]:
    """What is changed for a call in which c stands for the missing unconditional prediction, so that guidance is c."""

    def fill(args: dict) -> list[Tensor]:
        cond, _, *further = args["conds_out"]
        return [cond, cond, *further]

    return {"sampler_pre_cfg_function": [fill, *options.get("sampler_pre_cfg_function", [])]}
