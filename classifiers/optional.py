"""Libraries that some classifiers need and that only the user's own environment may bring."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def library(name: str, what: str) -> ModuleType:
    """Import torchvision or transformers when a file needs it.  what: that file, for the message.

    Raises ValueError where it is not installed, or does not work with the installed torch.
    """
    try:
        return import_module(name)
    except (ImportError, RuntimeError) as error:
        raise ValueError(
            f"{what} needs {name}, which cannot be used here ({error}). "
            f"Install {name} into ComfyUI's environment, or choose a classifier that comes with this pack."
        ) from error
