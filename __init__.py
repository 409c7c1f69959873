"""Guidance Geometry, the guidance laboratory for ComfyUI: what the host calls (entry point) and serves (web folder)."""

import logging
from functools import reduce
from importlib import import_module
from importlib.util import find_spec

OLDEST_HOST = "0.3.60"  # the first release with all of NEEDED
NEEDED = (  # without the first a host never calls the entry point
    ("comfy_api.latest", "ComfyExtension"),
    ("comfy.patcher_extension", "WrappersMP.PREDICT_NOISE"),  # where rules act
    ("comfy.pixel_space_convert", "PixelspaceConversionVAE"),  # the VAE of models whose latents are pixels
)


def lacking() -> str:
    """What this pack needs of its host and does not find; empty on a host that fits, and where there is none."""
    if find_spec("comfy") is None:
        return ""
    return next((f"{module}.{name}" for module, name in NEEDED if not has(module, name)), "")


def has(module: str, name: str) -> bool:
    """Whether the host has a module with something of this dotted name."""
    try:
        return reduce(getattr, name.split("."), import_module(module)) is not None
    except (ImportError, AttributeError):
        return False


def complaint(part: str) -> str:
    """One line for the log of a host that is too old."""
    try:
        version = import_module("comfyui_version").__version__
    except ImportError:
        version = "an older one"
    return (
        f"Guidance Geometry needs ComfyUI {OLDEST_HOST} or newer and found {version}, which has no {part}. "
        "Its nodes are not loaded. Update ComfyUI."
    )


async def comfy_entrypoint():
    """Return the pack's extension; host modules are imported here and not before."""
    from .extension import GuidanceGeometry
    from .host.addresses import answer_panels
    from .host.taps import watch_prompts

    answer_panels()
    watch_prompts()
    return GuidanceGeometry()


if part := lacking():
    logging.error(complaint(part))
    NODE_CLASS_MAPPINGS = {}  # read by every host, and before the entry point: a pack of no nodes is no failure
else:
    WEB_DIRECTORY = "./web"
