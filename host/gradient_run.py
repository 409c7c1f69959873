"""Gradient terms in one run of the host: with the memory there is, through models under inference mode."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import comfy.model_management
import comfy.model_patcher
from torch import Tensor

from ..guidance.gradients.evaluation import GradientEvaluation, reads_difference
from ..guidance.gradients.run import GradientRun, goes_through_denoiser
from ..guidance.gradients.term import NOISY, STAND_IN
from . import adapter
from .autograd import normal, pages_weights
from .gradient_evaluation import DenoiserCall, HostGradientEvaluation
from .memory_plan import MemoryPlan
from .pictures import picture_of
from .run_models import RunModels

PAGED = (
    f"{STAND_IN}: the host pages the weights, which breaks gradients, and there is no file to reload them from. Start "
    "ComfyUI with --disable-dynamic-vram"
)


class HostGradientRun(GradientRun):
    """The gradient terms of a chain in one run of the host.

    models: what its predictions go through. plan: how gradients go through the denoiser.
    """

    def __init__(self, terms: tuple, models: RunModels):
        self.models, patcher = models, models.guider.model_patcher
        pictures = {term: picture_of(patcher, term.decoder, term.shrink) for term in terms}
        super().__init__(pictures, adapter.data_deviation(patcher) or 1.0, adapter.tell)
        paged = goes_through_denoiser(terms) and any(map(pages_weights, models.patchers()))
        twice = any(term.options.checkpoint for term in self.gradient_terms)
        self.plan = MemoryPlan(twice=twice, backprop=not paged)
        for term in self.gradient_terms:
            if term.effective_evaluation != NOISY:
                pictures[term].stay()
        self.decoders = [*dict.fromkeys(one.patcher for one in pictures.values() if one.patcher is not None)]
        if paged:
            self.tell(PAGED)

    @property
    def backprop(self) -> bool:
        """Until memory has run out."""
        return self.plan.backprop

    def added(self, call: DenoiserCall) -> Tensor:
        """The guided x0-hat of a call plus what the terms add to it; without an active term, the call itself."""
        before = comfy.model_patcher.create_model_options_clone(call.options) if self.normal else {}
        try:
            return self._added(call)
        except (RuntimeError, MemoryError) as error:
            found = self.plan.after(error) if self.normal else None
            if found is None:
                raise
        self.plan, words = found
        if words:
            self.tell(words)
        call.options.clear()
        call.options.update(before)  # what other packs remember of the failed attempt
        comfy.model_management.soft_empty_cache()
        return self.added(call)

    @property
    def normal(self) -> bool:
        """Whether the run's predictions are made outside inference mode.

        All of them, since what caches and patches keep from one that needs no graph is used in the next that does.
        """
        return self.plan.backprop and goes_through_denoiser(tuple(self.names))

    def _added(self, call: DenoiserCall) -> Tensor:
        self.latest = []
        with normal(self.models.networks()) if self.normal else nullcontext():
            call = call._replace(x=call.x.clone(), timestep=call.timestep.clone()) if self.normal else call
            asked = self.asked(call)
            if not asked.asked.terms:
                return call.denoised(call.x, call.timestep)
            found, self.plan = asked.guided()
            return self.remember(found, call.sigma)

    def asked(self, call: DenoiserCall) -> HostGradientEvaluation:
        """An evaluation with the terms that are at work in it, ready to be made."""
        terms = self.active_terms(call.run, call.sigma)
        stand_in = partial(self.active_term, call.run, call.sigma)
        both, alpha = reads_difference(terms), call.run.alpha(call.sigma)
        asked = GradientEvaluation(
            lambda x: call.predict(x, both), call.x, call.sigma, alpha, terms, self.sigma_data, stand_in
        )
        return HostGradientEvaluation(asked, call, self.models, self.plan)
