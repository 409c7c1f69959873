"""One evaluation of a guidance chain inside the host: which predictions are asked for, and where its rules act.

The order is the host's: its batched evaluation, the MODEL's pre-CFG patches, then the chain, then the MODEL's post-CFG
patches and what the sampler added to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import comfy.samplers
import torch
from torch import Tensor

from ..guidance.parts import PartedChain, PartStates
from ..guidance.predictions import Predictions
from ..guidance.run import Run
from . import adapter
from .other_model import WORDS
from .run_models import RunModels


class ChainEvaluation:
    """The guided x0-hat of a chain at one noise level, without gradient terms.

    run: where this stands. state: of the chain when the outer step began. following: when the next one begins.
    gammas: the scale in force, of each part of the sample. stage: what was evaluated, a word of the trace.
    in_place_of_u: the prediction [B, ...] that guided in the place of u, where u was not evaluated.
    It may be called again, as after an attempt that failed: each time it starts from `state`.
    One difference from the host is wanted: where the negative covers only part of the schedule, the rest is sampled
    with c alone, while the host would use gamma * c there.
    """

    def __init__(
        self, chain: PartedChain, models: RunModels, run: Run, sigma: float, state: PartStates, following: PartStates
    ):
        self.chain, self.models, self.run, self.sigma = chain, models, run, sigma
        self.state, self.following = state, following
        self.gammas, self.stage = (1.0,), "step"
        self.in_place_of_u: Tensor | None = None

    @property
    def outer(self) -> float:
        """Noise level at which the outer step began."""
        return self.sigma if self.run.began is None else self.run.began

    def next(self, sigma: float, begins: bool) -> ChainEvaluation:
        """The evaluation after this one.  begins: an outer step; else it is a further stage of the same step."""
        run = replace(self.run, began=None if begins else self.outer)
        state = self.following if begins else self.state
        return ChainEvaluation(self.chain, self.models, run, sigma, state, self.following)

    def __call__(self, x: Tensor, timestep: Tensor, model_options: dict, seed) -> Tensor:  # x [B, ...] -> [B, ...]
        """Evaluate what the chain needs, and guide by it."""
        guider, sigma, self.in_place_of_u = self.models.guider, self.sigma, None
        self.gammas = self.chain.scales(self.state.inside(self.run.began), sigma, guider.cfg)
        needs = self.chain.needs(self.state, self.outer, self.gammas)
        asked = "uncond" in needs or model_options.get("disable_cfg1_optimization", False)
        negative, (gamma, *others) = guider.conds.get("negative"), sorted(set(self.gammas))
        plain = self.chain.chain.is_cfg and not others
        evaluated = asked and adapter.is_active(negative, sigma)
        changes = {} if plain else self._ruled(model_options, needs)
        if not plain:
            negative = negative if evaluated else None
        if not evaluated and (asked or not plain):
            changes |= cond_for_uncond(model_options)
        self.stage = "step" if evaluated else "cond_only"
        with adapter.changed(model_options, changes):
            return comfy.samplers.sampling_function(
                guider.inner_model, x, timestep, negative, guider.conds["positive"], gamma, model_options, seed
            )

    def _ruled(self, options: dict, needs: frozenset[str]) -> dict[str, Any]:
        """What is changed in the options of a call whose guided prediction is the chain's."""
        extra: dict[str, Tensor] = {}
        guide = partial(self._guided, extra, "uncond" in needs)
        changes: dict[str, Any] = {"disable_cfg1_optimization": True}
        changes["sampler_post_cfg_function"] = [guide, *options.get("sampler_post_cfg_function", [])]
        names = [name for name in self.chain.chain.sources if name in needs]
        if names:
            before = options.get("sampler_calc_cond_batch_function")
            changes["sampler_calc_cond_batch_function"] = partial(self._evaluated, extra, names, before)
        return changes

    def _evaluated(self, extra: dict[str, Tensor], names: list[str], before, args: dict) -> list[Tensor]:
        """c and u, and into `extra` the further predictions: those of the run's own model in the same batch.

        before: another patch's evaluation of c and u, which then stays theirs. A further condition that does not cover
        this noise level counts as u, so that it changes nothing.
        """
        model, pair, x, level, options = (args[k] for k in ("model", "conds", "input", "sigma", "model_options"))
        further = self._further(names)
        fresh = {
            name: c for name, c in further.items() if not any(c is p for p in pair) and adapter.is_active(c, self.sigma)
        }
        first = [] if before else pair
        found = comfy.samplers.calc_cond_batch(model, [*first, *fresh.values()], x, level, options)
        c, u = before(args) if before else found[:2]
        u = c if pair[1] is None else u
        extra.update((name, c if cond is pair[0] else u) for name, cond in further.items())
        extra |= dict(zip(fresh, found[len(first) :], strict=True))
        for other in self.models.others:
            absent = {name: u for name in names if name in other.conditions}
            extra |= absent | other.predictions(names, x, level, options)
        return [c, u]

    def _further(self, names: list[str]) -> dict[str, list[dict]]:
        """Further conditions for the run's own model, by name."""
        conds, sources = self.models.guider.conds, self.chain.chain.sources
        asked = {name: sources[name].conditioning for name in names if sources[name].model is None}
        return {name: conds[WORDS[word] if isinstance(word, str) else name] for name, word in asked.items()}

    def _guided(self, extra: Mapping[str, Tensor], needs_uncond: bool, args: dict) -> Tensor:
        """The chain, as the first post-CFG patch."""
        sigma, cond = args["sigma"], args["cond_denoised"]
        alpha = 1 - sigma if self.run.flow else torch.ones_like(sigma)
        uncond = args["uncond_denoised"] if needs_uncond and args["uncond"] is not None else None
        if uncond is None and (found := self.chain.chain.in_place_of_u(extra)) is not None:
            self.in_place_of_u = found.detach().clone()
        p = Predictions(args["input"], sigma, alpha, uncond, cond, extra)
        if self.run.began is not None:
            guided = self.chain.stage(self.state, self.following, p, self.gammas)
        else:
            guided = self._first(p)
        if self.stage == "cond_only" and guided is not cond:
            self.stage = "reuse"
        return guided

    def _first(self, p: Predictions) -> Tensor:
        """The chain in the first evaluation of an outer step, whose state counts."""
        guided, self.following = self.chain.step(self.state, p, self.gammas)
        if torch.is_grad_enabled():  # a memory must not hold this step's graph
            _, self.following = self.chain.step(self.state, p.detached(), self.gammas)
        return guided


def cond_for_uncond(options: dict) -> dict[str, Any]:
    """What is changed for a call in which c stands for the missing unconditional prediction, so that guidance is c."""

    def fill(args):
        cond, _, *rest = args["conds_out"]
        return [cond, cond, *rest]

    return {"sampler_pre_cfg_function": [fill, *options.get("sampler_pre_cfg_function", [])]}
