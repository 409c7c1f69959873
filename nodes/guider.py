"""The guider of this pack: the host's CFG guider, with gamma and the rules taken from a guidance chain."""

from __future__ import annotations

import comfy.samplers

from ..guidance.chain import PLAIN, Guidance
from ..guidance.schedules import Run
from . import host


class ChainGuider(comfy.samplers.CFGGuider):
    """A GUIDER that samples with a guidance chain; with an empty chain it is the host's CFG, bit for bit.

    gamma: the scale in force at the latest evaluation. One difference is wanted: where the negative covers only part of
    the schedule, the rest is sampled with c alone, while the host would use gamma * c there.
    """

    def __init__(self, model_patcher, guidance: Guidance = PLAIN):
        super().__init__(model_patcher)
        self.guidance, self.gamma, self.state = guidance, 1.0, None

    def inner_sample(self, noise, latent_image, device, sampler, sigmas, *args, **kwargs):
        """Make the state of this run, then sample as the host does."""
        self.state = self.guidance.init(Run(tuple(float(s) for s in sigmas)))
        try:
            return super().inner_sample(noise, latent_image, device, sampler, sigmas, *args, **kwargs)
        finally:
            self.state = None

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006  the host's signature
        """Guided x0-hat at one noise level, in one batched evaluation of the host."""
        sigma = float(timestep[0])
        scale = getattr(self.guidance, "scale", None)
        self.gamma = scale(self.state, sigma, self.cfg) if scale else self.cfg
        negative = self.conds.get("negative", None)
        if negative and not host.is_active(negative, sigma):
            model_options = with_cond_for_uncond(model_options)
        return comfy.samplers.sampling_function(
            self.inner_model, x, timestep, negative, self.conds["positive"], self.gamma, model_options, seed
        )


def with_cond_for_uncond(model_options: dict) -> dict:
    """Options of a call in which the missing unconditional prediction is the conditional one, so that guidance is c."""

    def fill(args):
        cond, _, *rest = args["conds_out"]
        return [cond, cond, *rest]

    return {**model_options, "sampler_pre_cfg_function": [fill, *model_options.get("sampler_pre_cfg_function", [])]}
