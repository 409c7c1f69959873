"""Small networks with random weights, under the names of the published files that templates ask for."""

from contextlib import contextmanager

import torch

from guidance_geometry.dev.fixtures.tiny_folders import lively
from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.models.classifiers.adm import SIZES, AdmClassifier
from guidance_geometry.models.denoisers.adm import ADM
from guidance_geometry.models.networks.imagenet import LABELS
from guidance_geometry.tests.tiny_edm2 import edm2_weights

EDM2 = {"multipliers": (1, 1), "side": 8, "depth": 1, "attends": (4,), "labels": len(LABELS), "channels": 4}
ADM_256 = {"width": 32, "widths": [32] * 5 + [64], "depth": 1, "attends": [], "outputs": 6, "heads": 0}


def vae():
    """The smallest that the host takes for a VAE of Stable Diffusion 1's latents: its tiny one."""
    from comfy.taesd.taesd import TAESD

    return lively(TAESD()).state_dict()


def denoiser():
    """The thinnest ADM of six levels, by which the loader knows that it draws 256 x 256."""
    return lively(ADM.network(ADM_256 | {"together": True}, 0)).state_dict()


def classifier():
    """The thinnest noise-aware classifier of that size."""
    (size,) = (size for size in SIZES if size.side == 256)
    return lively(AdmClassifier(size, width=64)).state_dict()


STAND_INS = {
    "denoisers/edm2-img512-s-2147483-0.070.safetensors": lambda: edm2_weights(0, width=128, **EDM2),
    "denoisers/edm2-img512-xs-0134217-0.125.safetensors": lambda: edm2_weights(1, width=64, **EDM2),
    "vae/vae-ft-mse-840000-ema-pruned.safetensors": vae,
    "denoisers/256x256_diffusion_uncond.safetensors": denoiser,
    "classifiers/256x256_classifier.safetensors": classifier,
}


@contextmanager
def in_models(folder):
    """The files in their places in a host's folder of models, for a while."""
    try:
        with torch.no_grad():
            for name, make in STAND_INS.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                write_safetensors(folder / name, make(), {})
        yield
    finally:
        for name in STAND_INS:
            (folder / name).unlink(missing_ok=True)
