"""Custom nodes of a test host: tiny random models in the place of what the loaders of stock templates read."""

import sys
import zlib
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch

PACK = "fixtures_of_the_pack"
CATEGORY = "test"


def families():
    """The module of the families, from the pack that lies beside this file."""
    if PACK not in sys.modules:
        sys.modules[PACK] = ModuleType(PACK)
        sys.modules[PACK].__path__ = [str(next(Path(__file__).parent.glob("*/dev/fixtures")))]
    return import_module(f"{PACK}.stock_families")


class Text:
    """A CLIP: the text is a seed."""

    def __init__(self, family):
        self.family = family

    def tokenize(self, text, **_):
        return text

    def encode_from_tokens_scheduled(self, tokens, **_):
        return families().text(self.family, zlib.crc32(tokens.encode()))


class Pictures:
    """A VAE: three channels of the latent, eight times as large.  [B, C, (T,) H, W] -> [B, (T,) 8 H, 8 W, 3]"""

    def decode(self, latent, **_):
        colours = latent[:, :3].movedim(1, -1).sigmoid()
        return colours.repeat_interleave(8, -3).repeat_interleave(8, -2)

    decode_tiled = decode

    def temporal_compression_decode(self):
        return 4

    def spacial_compression_decode(self):
        return 8


class Loader:
    """Everything of a family."""

    FUNCTION, CATEGORY, RETURN_TYPES = "load", CATEGORY, ("MODEL", "CLIP", "VAE")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"family": ("STRING",)}}

    def load(self, family):
        with torch.inference_mode(False):
            return families().family(family), Text(family), Pictures()


class NamedLoader(Loader):
    """The same with the name of a file, by which models are told apart, and predictions of a picture's size."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"ckpt_name": ("STRING",), "family": ("STRING",)}}

    def load(self, ckpt_name, family):
        model, *others = super().load(family)
        model.set_model_unet_function_wrapper(self.sized)
        return model, *others

    @staticmethod
    def sized(predict, given):
        x0 = predict(given["input"], given["timestep"], **given["c"])
        return x0 / x0.square().mean().sqrt()


class ModelLoader(Loader):
    RETURN_TYPES = ("MODEL",)

    def load(self, family):
        return super().load(family)[:1]


class TextLoader(Loader):
    RETURN_TYPES = ("CLIP",)

    def load(self, family):
        return (Text(family),)


class PictureLoader(Loader):
    RETURN_TYPES = ("VAE",)

    def load(self, family):
        return (Pictures(),)


class Patch:
    """A LoRA that changes nothing."""

    FUNCTION, CATEGORY, RETURN_TYPES = "patch", CATEGORY, ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def patch(self, model):
        return (model.clone(),)


NODE_CLASS_MAPPINGS = {
    "TestCheckpoint": Loader,
    "TestNamedCheckpoint": NamedLoader,
    "TestModel": ModelLoader,
    "TestText": TextLoader,
    "TestPictures": PictureLoader,
    "TestPatch": Patch,
}
