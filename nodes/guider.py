"""The guider of this pack: the host's CFG guider, with gamma and the rules taken from a guidance chain."""

from __future__ import annotations

import comfy.samplers
import torch

from ..guidance.chain import PLAIN, Guidance
from ..guidance.predictions import Predictions
from ..guidance.schedules import Run
from . import host


class ChainGuider(comfy.samplers.CFGGuider):
    """A GUIDER that samples with a guidance chain; with an empty chain it is the host's CFG, bit for bit.

    gamma: the scale in force at the latest evaluation. One difference is wanted: where the negative covers only part of
    the schedule, the rest is sampled with c alone, while the host would use gamma * c there.
    """

    def __init__(self, model_patcher, guidance: Guidance = PLAIN):
        super().__init__(model_patcher)
        self.guidance, self.gamma = guidance, 1.0
        self.state, self.following = None, None

    def inner_sample(self, noise, latent_image, device, sampler, sigmas, denoise_mask, callback, *args, **kwargs):
        """Make the state of this run, sample as the host does, and drop the state, also after an interrupt.

        The state advances with the sampler's callback, which follows the evaluation of an outer step: further stages of
        a step read it and leave it.
        """
        self.state = self.following = self.guidance.init(
            Run(tuple(float(s) for s in sigmas), host.is_flow(self.model_patcher))
        )

        def advance(*info):
            self.state = self.following
            return callback(*info) if callback else None

        try:
            return super().inner_sample(
                noise, latent_image, device, sampler, sigmas, denoise_mask, advance, *args, **kwargs
            )
        finally:
            self.state, self.following = None, None

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006  the host's signature
        """Guided x0-hat at one noise level, in one batched evaluation of the host."""
        sigma = float(timestep[0])
        scale = getattr(self.guidance, "scale", None)
        self.gamma = scale(self.state, sigma, self.cfg) if scale else self.cfg
        negative = self.conds.get("negative", None)
        reaches = host.is_active(negative, sigma)
        if not getattr(self.guidance, "is_cfg", False):
            model_options = self._with_rule(model_options, reaches)
        if negative and not reaches:
            model_options = with_cond_for_uncond(model_options)
        return comfy.samplers.sampling_function(
            self.inner_model, x, timestep, negative, self.conds["positive"], self.gamma, model_options, seed
        )

    def _with_rule(self, model_options: dict, reaches: bool) -> dict:
        """Options of a call whose guided prediction is the chain's."""
        if "sampler_cfg_function" in model_options:
            raise ValueError(
                "The MODEL carries another guidance rule already (a sampler_cfg_function, such as Rescale CFG). "
                "Only one can apply: remove that node, or the guidance chain."
            )

        def guide(args):
            return args["input"] - self._guided(args, reaches)

        return {**model_options, "sampler_cfg_function": guide, "disable_cfg1_optimization": True}

    def _guided(self, args: dict, reaches: bool) -> torch.Tensor:
        alpha = 1 - args["sigma"] if host.is_flow(self.model_patcher) else torch.ones_like(args["sigma"])
        uncond = args["uncond_denoised"] if reaches else None
        p = Predictions(args["input"], args["sigma"], alpha, uncond, args["cond_denoised"])
        guided, self.following = self.guidance.step(self.state, p, self.gamma)
        return guided


def with_cond_for_uncond(model_options: dict) -> dict:
    """Options of a call in which the missing unconditional prediction is the conditional one, so that guidance is c."""

    def fill(args):
        cond, _, *rest = args["conds_out"]
        return [cond, cond, *rest]

    return {**model_options, "sampler_pre_cfg_function": [fill, *model_options.get("sampler_pre_cfg_function", [])]}
