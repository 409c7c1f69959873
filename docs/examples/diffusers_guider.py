"""What guidance does in a diffusers pipeline: its guider is watched, and nothing is changed.

    pip install . diffusers
    python docs/examples/diffusers_guider.py [FOLDER]

The network here is tiny and random, so that nothing is downloaded; the steps are those of any modular pipeline.
"""

# %% A pipeline: the denoising loop of Stable Diffusion XL with a tiny network
import sys
from pathlib import Path

import torch
from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from diffusers.guiders import ClassifierFreeGuidance
from diffusers.modular_pipelines.stable_diffusion_xl.denoise import StableDiffusionXLDenoiseStep

import guidance_geometry as gg

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "diffusers-run")
folder.mkdir(parents=True, exist_ok=True)

torch.manual_seed(0)
unet = UNet2DConditionModel(
    sample_size=16,
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
pipe = StableDiffusionXLDenoiseStep().init_pipeline()
pipe.update_components(
    unet=unet, scheduler=EulerDiscreteScheduler(), guider=ClassifierFreeGuidance(guidance_scale=6.0, start=0.1)
)

# %% What the text encoders would give
shapes = {"prompt_embeds": (1, 7, 16), "pooled_prompt_embeds": (1, 16), "add_time_ids": (1, 6)}
fields = {word + name: torch.randn(shape) for name, shape in shapes.items() for word in ("", "negative_")}
pipe.scheduler.set_timesteps(20)
latents = pipe.scheduler.init_noise_sigma * torch.randn(1, 4, 16, 16)

# %% Watch one run
with gg.watch_guider(pipe.guider, pipe.scheduler, model={"name": "tiny random SDXL"}) as watch:
    pipe(latents=latents, timesteps=pipe.scheduler.timesteps, num_inference_steps=20, denoiser_input_fields=fields)
watch.trace.save(folder / "run.safetensors")

# %% Look at it. A real pipeline gives `decode` its VAE, for pictures of latents.
trace = gg.load(folder / "run.safetensors")
print(trace)
for step in range(0, trace.n, 5):
    strength, tug = (float(trace.column(name)[step, 0]) for name in ("M1", "M6t"))
    print(f"step {step:2}  {trace.stage[step]:9}  guidance strength {strength:.3f}  tug {tug:+.3f}")
trace.plot("step plane", step=10).save(folder / "step-plane.png")
