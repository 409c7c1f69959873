"""A pack of nodes beside ours, as the source of its file: a switch, a sampler node, and a SAMPLER that never ends."""

SOURCE = """
class AnyType(str):
    def __ne__(self, other):
        return False


class Switch:
    RETURN_TYPES, FUNCTION, CATEGORY = (AnyType("*"), AnyType("*")), "give", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def give(self, model):
        return model, None


class Sampler:
    RETURN_TYPES, FUNCTION, CATEGORY = ("LATENT",), "give", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",)}, "optional": {"model": ("MODEL",)}}

    def give(self, latent, model=None):
        return ({**latent, "samples": latent["samples"] + (model is not None)},)


class Endless:
    RETURN_TYPES, FUNCTION, CATEGORY = ("SAMPLER",), "give", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def give(self):
        from itertools import count
        from comfy.model_management import interrupt_current_processing
        from comfy.samplers import KSAMPLER

        def endless(model, x, sigmas, extra_args, callback, disable):
            for i in count():
                denoised = model(x, sigmas[0].expand(len(x)), **(extra_args or {}))
                callback({"x": x, "i": i, "sigma": sigmas[0], "sigma_hat": sigmas[0], "denoised": denoised})
                if i == 40:
                    interrupt_current_processing()  # as the user's button does

        return (KSAMPLER(endless),)


NODE_CLASS_MAPPINGS = {"TestSwitch": Switch, "TestSampler": Sampler, "TestEndless": Endless}
"""
