"""The guider of this pack: the host's CFG guider, with gamma and the rules taken from a guidance chain."""

from __future__ import annotations

import comfy.samplers

from ..guidance.chain import PLAIN, Guidance, chain_of
from .guided_run import own_conditions, sample_guided


class ChainGuider(comfy.samplers.CFGGuider):
    """A GUIDER that samples with a guidance chain; with an empty chain it is the host's CFG, bit for bit."""

    def __init__(self, model_patcher, guidance: Guidance = PLAIN):
        super().__init__(model_patcher)
        self.guidance = guidance

    def sample(self, *args, **kwargs):
        """Sample as the host does; the chain's further conditions go the way of positive and negative."""
        self.inner_set_conds(own_conditions(chain_of(self.guidance).sources))
        return super().sample(*args, **kwargs)

    def outer_sample(self, *args, **kwargs):
        """The host's, around a run of the chain."""
        return sample_guided(super().outer_sample, self, self.guidance, *args, **kwargs)


def chain_guider(model, positive, negative, cfg: float, guidance) -> ChainGuider:
    """A guider over both conditions with its scale set."""
    guider = ChainGuider(model, guidance)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return guider
