"""Custom nodes of a test host: samplers whose model comes in a tuple, as packs hand it on; an endless one."""

import sys
from itertools import count

import torch
from comfy.model_management import interrupt_current_processing
from comfy.samplers import KSAMPLER
from comfy.utils import ProgressBar

HOST = sys.modules["nodes"]

WHOLE = {"model": ("MODEL",), "positive": ("CONDITIONING",), "negative": ("CONDITIONING",)}
RUN = {"seed": ("INT", {"default": 1}), "latent": ("LATENT",)}


def node(inputs, outputs):
    """A node class of one function: what it takes, and the types of what it gives."""

    def made(function):
        def give(self, **given):
            return function(**given)

        members = {"RETURN_TYPES": outputs, "FUNCTION": "give", "CATEGORY": "test", "give": give}
        members["INPUT_TYPES"] = classmethod(lambda cls: {"required": inputs})
        return type(function.__name__, (), members)

    return made


@node(WHOLE, ("TEST_TUPLE",))
def pack_tuple(model, positive, negative):
    return ((model, positive, negative),)


@node({"pipe": ("TEST_TUPLE",), **RUN}, ("TEST_TUPLE", "LATENT"))
def sample_tuple(pipe, seed, latent):
    model, positive, negative = pipe
    return pipe, *HOST.common_ksampler(model, seed, 4, 3.0, "euler", "karras", positive, negative, latent)


@node({"model": ("MODEL",), **RUN}, ("LATENT",))
def own_loop(model, seed, latent):
    bar = ProgressBar(4)
    for _ in range(4):
        bar.update(1)
    return ({**latent, "samples": torch.zeros_like(latent["samples"]) + seed},)


def never_ending(model, x, sigmas, extra_args, callback, disable):
    for i in count():
        denoised = model(x, sigmas[0].expand(len(x)), **(extra_args or {}))
        callback({"x": x, "i": i, "sigma": sigmas[0], "sigma_hat": sigmas[0], "denoised": denoised})
        if i == 40:
            interrupt_current_processing()  # as the user's button does


@node({}, ("SAMPLER",))
def endless():
    return (KSAMPLER(never_ending),)


NODE_CLASS_MAPPINGS = {
    f"TestPipe_{kind.__name__}": kind for kind in list(globals().values()) if hasattr(kind, "RETURN_TYPES")
}
