"""Custom nodes of a test host: samplers whose model comes inside of something, as packs hand it on."""

import sys

import torch
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


def sampled(model, positive, negative, seed, latent):
    """Four steps of the host's own sampler."""
    return HOST.common_ksampler(model, seed, 4, 3.0, "euler", "karras", positive, negative, latent)


def loaded():
    """A model and its conditions, which no wire has brought."""
    model = HOST.NODE_CLASS_MAPPINGS["GGLoadDenoiser"].execute("pocket-1", "auto", "auto", "default")[0]
    return model, *HOST.NODE_CLASS_MAPPINGS["GGClassLabel"].execute(model, "3").args[:2]


class Provider:
    """What samples, with the model inside."""

    def __init__(self, *given):
        self.given = given

    def sample(self, seed, latent):
        """A latent from a latent."""
        return sampled(*self.given, seed=seed, latent=latent)


@node(WHOLE, ("TEST_TUPLE",))
def pack_tuple(model, positive, negative):
    return ((model, positive, negative),)


@node({"pipe": ("TEST_TUPLE",)}, ("MODEL", "CONDITIONING", "CONDITIONING"))
def unpack_tuple(pipe):
    return pipe


@node({"pipe": ("TEST_TUPLE",), **RUN}, ("TEST_TUPLE", "LATENT"))
def sample_tuple(pipe, seed, latent):
    return pipe, *sampled(*pipe, seed=seed, latent=latent)


@node(WHOLE, ("TEST_TABLE",))
def pack_table(**given):
    return (given,)


@node({}, ("TEST_TABLE",))
def load_table():
    return ({"extra": {"inside": [loaded()]}},)


@node({"pipe": ("TEST_TABLE",)}, ("MODEL",))
def unpack_table(pipe):
    return (pipe["model"],)


@node({"pipe": ("TEST_TABLE",), **RUN}, ("LATENT",))
def sample_table(pipe, seed, latent):
    given = pipe["extra"]["inside"][0] if "extra" in pipe else pipe.values()
    return sampled(*given, seed=seed, latent=latent)


@node(WHOLE, ("TEST_PROVIDER",))
def provide(model, positive, negative):
    return (Provider(model, positive, negative),)


@node({"pipe": ("TEST_TUPLE",)}, ("TEST_PROVIDER",))
def provide_from_tuple(pipe):
    return (Provider(*pipe),)


@node({}, ("TEST_PROVIDER",))
def load_provider():
    return (Provider(*loaded()),)


@node({"provider": ("TEST_PROVIDER",), **RUN}, ("LATENT",))
def sample_provider(provider, seed, latent):
    return provider.sample(seed, latent)


@node({"model": ("MODEL",), **RUN}, ("LATENT",))
def own_loop(model, seed, latent):
    bar = ProgressBar(4)
    for _ in range(4):
        bar.update(1)
    return ({**latent, "samples": torch.zeros_like(latent["samples"]) + seed},)


@node({**WHOLE, **RUN}, ("LATENT",))
def own_quiet_loop(model, positive, negative, seed, latent):
    return ({**latent, "samples": torch.zeros_like(latent["samples"]) + seed},)


@node({"pipe": ("TEST_TUPLE",), "seed": ("INT",)}, ("IMAGE",))
def draw_nothing(pipe, seed):
    return (torch.zeros(1, 8, 8, 3),)


NODE_CLASS_MAPPINGS = {
    f"TestPipe_{kind.__name__}": kind for kind in list(globals().values()) if hasattr(kind, "RETURN_TYPES")
}
