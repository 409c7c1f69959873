"""A diffusers pipeline, watched through its guider: its own numbers, and not one of them changed."""

from typing import Any

import pytest
import torch

from guidance_geometry.library.guiders import watch_guider

STEPS = 6


@pytest.fixture(scope="module")
def unet():
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=4,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=64,
    )


def pipeline(unet, scheduler, guider):
    """The modular SDXL denoising loop, and a function that runs it once."""
    from diffusers.modular_pipelines.stable_diffusion_xl.denoise import StableDiffusionXLDenoiseStep

    pipe = StableDiffusionXLDenoiseStep().init_pipeline()
    pipe.update_components(unet=unet, scheduler=scheduler, guider=guider)
    pipe.set_progress_bar_config(disable=True)
    draws = torch.Generator().manual_seed(0)
    shapes = {"prompt_embeds": (2, 7, 16), "pooled_prompt_embeds": (2, 16), "add_time_ids": (2, 6)}
    fields = {word + name: torch.randn(s, generator=draws) for name, s in shapes.items() for word in ("", "negative_")}

    def sampled() -> Any:
        scheduler.set_timesteps(STEPS)
        latents = scheduler.init_noise_sigma * torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        inputs = {"latents": latents, "timesteps": scheduler.timesteps, "num_inference_steps": STEPS}
        return pipe(**inputs, denoiser_input_fields=fields, output="latents")

    return pipe, sampled


def guiders():
    return pytest.importorskip("diffusers").guiders


def schedulers():
    diffusers = pytest.importorskip("diffusers")
    return {
        "euler": diffusers.EulerDiscreteScheduler(),
        "v": diffusers.EulerDiscreteScheduler(prediction_type="v_prediction"),
        "ddim": diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=True),
        "flow": diffusers.FlowMatchEulerDiscreteScheduler(),
    }


@pytest.mark.parametrize("name", ["v", "ddim", "flow"])
def test_the_record_is_of_the_run_that_was(unet, name):
    scheduler = schedulers()[name]
    if name == "flow":
        scheduler.scale_model_input = lambda latents, t: latents  # SDXL's loop asks for it
        scheduler.init_noise_sigma = 1.0
    pipe, sampled = pipeline(unet, scheduler, guiders().ClassifierFreeGuidance(guidance_scale=5.0))
    plain = sampled()
    with watch_guider(pipe.guider, pipe.scheduler) as watch:
        found = sampled()
    assert torch.equal(found, plain)
    assert torch.equal(sampled(), plain)
    assert "forward" not in vars(pipe.guider)
    trace = watch.trace
    assert (trace.n, trace.stage, trace.header["cfg"]) == (STEPS, ["step"] * STEPS, 5.0)
    levels = trace.steps
    ratio = levels["sigma_next"] / levels["sigma"]  # each of these is the Euler step in its coordinates
    kappa = levels["alpha_next"] - levels["alpha"] * ratio
    assert torch.allclose(levels["kappa"][:-1], kappa[:-1], atol=1e-3)  # the last move may drown in float32's rounding
    assert (trace.record.dot("D-G", "D-G") <= 1e-8 * trace.record.dot("u", "u")).all()
    assert torch.allclose(trace.tensors["end"].float(), plain, rtol=2e-3, atol=2e-3)


def test_guidance_that_begins_late_and_a_rule_of_theirs(unet):
    late = guiders().ClassifierFreeGuidance(guidance_scale=4.0, start=0.5, use_original_formulation=True)
    pipe, sampled = pipeline(unet, schedulers()["euler"], late)
    with watch_guider(pipe.guider, pipe.scheduler) as watch:
        sampled()
    assert watch.trace.stage == ["cond_only"] * 3 + ["step"] * 3
    assert watch.trace.steps["gamma"].tolist() == [1.0] * 3 + [5.0] * 3
    assert (watch.trace.record.dot("D-G", "D-G")[3:] < 1e-8 * watch.trace.record.dot("u", "u")[3:]).all()
    pipe, sampled = pipeline(
        unet, schedulers()["euler"], guiders().AdaptiveProjectedGuidance(guidance_scale=4.0, eta=0.0)
    )
    with watch_guider(pipe.guider, pipe.scheduler, model={"name": "tiny"}) as watch:
        sampled()
    assert watch.trace.header["chain"] == "AdaptiveProjectedGuidance"
    assert (watch.trace.record.dot("D-G", "D-G") > 1e-4 * watch.trace.record.dot("delta", "delta")).any()


def test_what_acted_is_measured_and_a_third_prediction_is_a_further_pass():
    """A guider that guides by 3 whatever it says, and away from a third prediction; watched step by step."""
    scheduler = schedulers()["euler"]
    scheduler.set_timesteps(STEPS)
    draws = torch.Generator().manual_seed(3)

    class Skipping:
        guidance_scale = 7.0

        def forward(self, pred_cond, pred_uncond, pred_cond_skip):
            return pred_uncond + 3 * (pred_cond - pred_uncond) + 1.5 * (pred_cond - pred_cond_skip)

    guider = Skipping()
    with watch_guider(guider, scheduler) as watch:
        x = scheduler.init_noise_sigma * torch.randn(2, 4, 8, 8, generator=draws)
        for t in scheduler.timesteps:
            names = ("pred_cond", "pred_uncond", "pred_cond_skip")
            predictions = {name: torch.randn(x.shape, generator=draws) for name in names}
            x = scheduler.step(guider.forward(**predictions), t, x, return_dict=False)[0]
    trace = watch.trace
    assert trace.steps["gamma"].tolist() == [3.0] * STEPS
    assert trace.steps["scale skip"].tolist() == [1.5] * STEPS
    assert (trace.column("M19") - 3).abs().max() <= 1e-6 * 3
    assert trace.column("M19a").max() == 0
    assert (trace.header["cfg"], trace.header["passes"]) == (7.0, {"skip": STEPS})
