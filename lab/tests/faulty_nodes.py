"""Nodes of a pack with every fault that the fuzzer must be able to see, and one that does what it should."""

import os
import time

import comfy.model_management


class Sound:
    """Says what is wrong, or answers."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "faulty", "work", ("INT", "FAULTY"), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 1, "min": -10})}, "optional": {"before": ("FAULTY",)}}

    def work(self, value, before=None):
        if value < 0:
            raise ValueError("value is below 0. Give 0 or more.")
        return (value, Unprintable())


class Unprintable:
    """A value whose text raises."""

    def __repr__(self):
        raise RuntimeError("no words for this")


class Raw(Sound):
    """Looks up what is not there."""

    def work(self, value, before=None):
        return ({}[value], None)


class Library(Sound):
    """Lets an error of a library through."""

    def work(self, value, before=None):
        return (int("x"), None)


class Killer(Sound):
    """Fails with a value that cannot be printed among its inputs: the host's worker does not survive that."""


class Hoarder(Sound):
    """Takes memory for a while."""

    def work(self, value, before=None):
        held = [bytearray(os.urandom(1 << 20)) * 40 for _ in range(20)]
        time.sleep(1)
        return (len(held), None)


class Hanging(Sound):
    """Never ends, whoever asks."""

    def work(self, value, before=None):
        while True:
            time.sleep(0.1)


class Slow(Sound):
    """Never ends, but stops when it is asked to."""

    def work(self, value, before=None):
        while True:
            time.sleep(0.1)
            comfy.model_management.throw_exception_if_processing_interrupted()


class Validating(Sound):
    """Fails before it is queued."""

    @classmethod
    def VALIDATE_INPUTS(cls, value):
        return {}[value]


FAULTY = (Sound, Raw, Library, Killer, Hoarder, Hanging, Slow, Validating)
NODE_CLASS_MAPPINGS = {f"Faulty{kind.__name__}": kind for kind in FAULTY}
