"""A pack of a node beside ours, as the source of its file: a SAMPLER that never ends."""

SOURCE = """
from itertools import count

from comfy.model_management import interrupt_current_processing
from comfy.samplers import KSAMPLER


def endless(model, x, sigmas, extra_args, callback, disable):
    for i in count():
        denoised = model(x, sigmas[0].expand(len(x)), **(extra_args or {}))
        callback({"x": x, "i": i, "sigma": sigmas[0], "sigma_hat": sigmas[0], "denoised": denoised})
        if i == 40:
            interrupt_current_processing()  # as the user's button does


class Endless:
    RETURN_TYPES, FUNCTION, CATEGORY = ("SAMPLER",), "give", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def give(self):
        return (KSAMPLER(endless),)


NODE_CLASS_MAPPINGS = {"TestEndless": Endless}
"""
