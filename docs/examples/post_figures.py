"""The figures of the post, drawn from one run of the demo network, without ComfyUI.

    pip install .
    python docs/examples/post_figures.py [FOLDER]

The cells run in a notebook, too.
"""

# %% One run of eight robots. In one of them u is far from c: without the label it is no robot yet
import sys
from pathlib import Path

import torch

import guidance_geometry as gg

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "post-figures")
folder.mkdir(parents=True, exist_ok=True)

denoiser = gg.load_denoiser("pocket-1")
sigmas = gg.karras(20, highest=40.0)
noise = sigmas[0] * torch.randn(8, *denoiser.shape, generator=torch.Generator().manual_seed(2))
trace = gg.record(denoiser, sigmas, cond="robot", gamma=4.0, labels=["robot"] * 8).sample(noise, "ddpm", seed=2)
trace.save(folder / "run.safetensors")

# %% Sampling: predict, take a small step, add some noise, repeat
SAMPLING = ("noise levels", "noisy sample", "prediction", "small step", "added noise", "next prediction", "next step")

# %% Classifier guidance: the direction from x in which the condition becomes more likely. Here it is c - u.
CLASSIFIER = ("gradient", "combined", "scaled gradient", "scaled sum", "gradient and noise")

# %% Classifier-free guidance: predict twice, amplify the difference
GUIDANCE = ("two predictions", "difference", "scaled difference", "step", "step and noise", "step plane")

# %% All of them, at one step of one picture, and the run as a whole
for figure in (*SAMPLING, *CLASSIFIER, *GUIDANCE, "filmstrip", "heat map"):
    film = trace.plot(figure, step=7, sample=6)
    film.save(folder / f"{figure.replace(' ', '-')}.png")
    print(film.caption)

# %% The step plane at every step
trace.plot("run animated", sample=6, size="column").save(folder / "run-animated.webp")
