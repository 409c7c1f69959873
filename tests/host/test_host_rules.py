"""Rules against the host's own nodes, where those are right: whole runs of exact mixtures and of Pocket."""

import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy.k_diffusion.sampling import sample_euler_ancestral_cfg_pp
from comfy_extras import nodes_apg, nodes_cfg, nodes_model_advanced, nodes_tcfg
from comfy_extras.nodes_custom_sampler import Guider_DualCFG
from comfy_extras.nodes_perpneg import Guider_PerpNeg

from guidance_geometry.host.sampling.blog_sampler import BlogSampler
from guidance_geometry.host.sampling.guided_run import ChainGuider
from guidance_geometry.nodes.rules.plus_plus import GGPlusPlus
from guidance_geometry.nodes.start import GGClassLabel

from .rule_knobs import chain
from .runs import SEED, guided, ksampler

GAMMA = 3.0
TOLERANCE = 5e-5  # of the largest number: six steps of float32 in another order


def far(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


def patched(name, model):
    """A MODEL with the host's rule of this name."""
    if name == "GGTangential":
        return nodes_tcfg.TCFG.execute(model)[0]
    if name == "GGRescale":
        return nodes_model_advanced.RescaleCFG().patch(model, 0.7)[0]
    if name == "GGLocationNorm":
        return nodes_cfg.CFGNorm.execute(model, 1.0)[0]
    return nodes_apg.APG.execute(model, 0.3, 2.0, -0.4)[0]


APG = {"eta": 0.3, "threshold": 2.0, "momentum": -0.4, "threshold_unit": "absolute", "space": "x0"}
KNOBS = {
    "GGTangential": {"space": "ode"},
    "GGRescale": {"phi": 0.7, "space": "v"},
    "GGLocationNorm": {"strength": 1.0, "match": False, "space": "x0"},
    "GGAdaptiveProjected": APG,
}


@pytest.mark.parametrize(
    ("model", "name"),
    [("pocket", "GGTangential"), ("ve", "GGRescale"), ("pocket", "GGLocationNorm"), ("flow", "GGAdaptiveProjected")],
)
def test_a_run_is_the_hosts_where_the_host_is_right(labelled, empty_latent, model, name):
    patcher, positive, negative = labelled[model]
    latent = empty_latent(model)
    scale = GAMMA - (name == "GGAdaptiveProjected")  # the host's APG is guidance at cfg + 1
    theirs = ksampler(patched(name, patcher), positive, negative, latent, "euler", cfg=scale)
    ours = guided(*labelled[model], latent, "euler", cfg=GAMMA, guidance=chain(name, KNOBS[name]))[0]["samples"]
    assert far(ours, theirs) <= TOLERANCE
    assert far(ours, ksampler(*labelled[model], latent, "euler", cfg=GAMMA)) > 100 * TOLERANCE


def conditions(patcher):
    """Positive, negative and a third condition of a mixture or of Pocket, for one image."""
    return *GGClassLabel.execute(patcher, "0").args, GGClassLabel.execute(patcher, "1")[0]


def run_of(guider, latent):
    """Samples of a GUIDER of the host with this test's seed, steps and sampler."""
    sampling = guider.model_patcher.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, "karras", 6)
    noise = comfy.sample.prepare_noise(latent["samples"], SEED)
    sampler = comfy.samplers.sampler_object("euler")
    return guider.sample(noise, latent["samples"], sampler, sigmas, seed=SEED).cpu()


@pytest.mark.parametrize(("model", "form"), [("pocket", "InstructPix2Pix"), ("flow", "nested")])
def test_two_scales_are_the_hosts_dual_guider(labelled, empty_latent, model, form):
    patcher, latent = labelled[model][0], empty_latent(model, 1)
    positive, null, middle = conditions(patcher)
    guider = Guider_DualCFG(patcher)
    guider.set_conds(positive, middle, null)
    guider.set_cfg(GAMMA, 1.5, nested=form == "nested")
    guidance = chain("GGNegative", {"second": middle, "second_weight": 1.5, "form": form})
    ours = guided(patcher, positive, null, latent, "euler", cfg=GAMMA, guidance=guidance)[0]["samples"]
    assert far(ours, run_of(guider, latent)) <= TOLERANCE


@pytest.mark.parametrize("model", ["pocket", "ve"])
def test_perp_neg_is_the_hosts_for_one_image(labelled, empty_latent, model):
    """In the mixtures a sample is in the end surely of its class: c = e, where the host divides zero by zero."""
    patcher, latent = labelled[model][0], empty_latent(model, 1)
    positive, empty, negative = conditions(patcher)
    guider = Guider_PerpNeg(patcher)
    guider.set_conds(positive, negative, empty)
    guider.set_cfg(GAMMA, 1.3)
    guidance = chain("GGPerpNeg", {"empty": empty, "weight": 1.3})
    ours = guided(patcher, positive, negative, latent, "euler", cfg=GAMMA, guidance=guidance)[0]["samples"]
    theirs = run_of(guider, latent)
    assert ours.isfinite().all()
    assert theirs.isnan().all() if model != "pocket" else far(ours, theirs) <= TOLERANCE


STEPS = 8
ANCESTRAL = "euler_ancestral"
STEP_OF = [("euler", "ve", "euler"), ("euler_cfg_pp", "ve", "measured"), ("ddim", "flow", "measured")]
STEP_OF += [(ANCESTRAL, "ve", "measured"), (ANCESTRAL, "ve", ANCESTRAL)]


@pytest.mark.parametrize(("sampler", "model", "step_of"), STEP_OF)
def test_the_scale_makes_a_step_that_of_the_paper(labelled, empty_latent, sampler, model, step_of):
    """And knows its noise."""
    arguments, twin = (*labelled[model], empty_latent(model)), ANCESTRAL if sampler == ANCESTRAL else "euler"
    theirs = ksampler(*arguments, f"{twin}_cfg_pp", steps=STEPS, cfg=0.6)
    ours = guided(*arguments, sampler, steps=STEPS, cfg=0.6, guidance=GGPlusPlus.execute(step_of, 1.0)[0])[0]["samples"]
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
        (BlogSampler("gg_ddim", eta), ChainGuider(patcher, GGPlusPlus.execute("ddim", eta)[0]), {}),
    ):
        draws = torch.Generator().manual_seed(1)
        options["noise_sampler"] = lambda *_, draws=draws: torch.randn(latent.shape, generator=draws)
        guider.set_conds(positive, negative)
        guider.set_cfg(0.6)
        start = comfy.sample.prepare_noise(latent, SEED)
        results.append(guider.sample(start, latent, comfy.samplers.KSAMPLER(sampler, options), sigmas, seed=SEED))
    theirs, ours = results
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
