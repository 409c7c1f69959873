"""CFG++ as a scale against the host's own CFG++ samplers, and where the scale saves evaluations."""

import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy.k_diffusion.sampling import sample_euler_ancestral_cfg_pp

from guidance_geometry.host.blog_sampler import BlogSampler
from guidance_geometry.host.guided_run import ChainGuider
from guidance_geometry.nodes.rules.plus_plus import GGPlusPlus

from .runs import SEED, guided, ksampler

STEPS = 8


def chain(step_of="euler", eta=1.0):
    return GGPlusPlus.execute(step_of, eta)[0]


ANCESTRAL = "euler_ancestral"
STEP_OF = [("euler", "ve", "euler"), ("euler_cfg_pp", "ve", "measured"), ("ddim", "flow", "measured")]
STEP_OF += [(ANCESTRAL, "ve", "measured"), (ANCESTRAL, "ve", ANCESTRAL)]


@pytest.mark.parametrize(("sampler", "model", "step_of"), STEP_OF)
def test_the_scale_makes_a_step_the_one_of_the_paper_and_knows_its_noise(
    labelled, empty_latent, sampler, model, step_of
):
    arguments, twin = (*labelled[model], empty_latent(model)), ANCESTRAL if sampler == ANCESTRAL else "euler"
    theirs = ksampler(*arguments, f"{twin}_cfg_pp", steps=STEPS, cfg=0.6)
    ours = guided(*arguments, sampler, steps=STEPS, cfg=0.6, guidance=chain(step_of))[0]["samples"]
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize(
    ("model", "eta", "first"), [("ve", 1.0, 0), ("ve", 0.5, 0), ("flow", 1.0, 0), ("flow", 0.5, 1)]
)
def test_ddim_with_this_scale_is_euler_ancestral_cfg_pp(labelled, empty_latent, model, eta, first):
    """The host's CFG++ sampler splits its noise as DDIM does, also on flow; both draw the same noise here.

    first: index of the level that both start from. At sigma = 1 on flow the host takes all noise, whatever eta is.
    """
    patcher, positive, negative = labelled[model]
    latent = empty_latent(model)["samples"]
    sigmas = comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), "simple", STEPS)[first:]
    results = []
    for sampler, guider, options in (
        (sample_euler_ancestral_cfg_pp, comfy.samplers.CFGGuider(patcher), {"eta": eta}),
        (BlogSampler("gg_ddim", eta), ChainGuider(patcher, chain("ddim", eta)), {}),
    ):
        draws = torch.Generator().manual_seed(1)
        options["noise_sampler"] = lambda *_, draws=draws: torch.randn(latent.shape, generator=draws)
        guider.set_conds(positive, negative)
        guider.set_cfg(0.6)
        start = comfy.sample.prepare_noise(latent, SEED)
        results.append(guider.sample(start, latent, comfy.samplers.KSAMPLER(sampler, options), sigmas, seed=SEED))
    theirs, ours = results
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
