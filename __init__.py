"""Guidance Geometry, the guidance laboratory for ComfyUI: what the host calls (entry point) and serves (web folder)."""

import logging
import sys
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

OWN_NODE = "GGGuidedSampler"  # by which a copy of this pack is known
TWICE = (  # two copies record past each other
    "Guidance Geometry is installed twice: the copy in {other} is at work, and the one in {own} adds nothing. "
    "Remove one of the two folders and restart."
)
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


def other_copy() -> str:
    """The folder of another copy of this pack that the host has loaded already, empty where there is none."""
    loaded = getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {}).get(OWN_NODE)
    is_own = loaded is None or str(loaded.__module__).startswith(f"{__name__}.")
    return "" if is_own else str(getattr(loaded, "RELATIVE_PYTHON_MODULE", loaded.__module__)).rpartition(".")[2]


async def comfy_entrypoint():
    """Return the pack's extension; host modules are imported here and not before."""
    from .extension import GuidanceGeometry
    from .host.editor.addresses import answer_panels
    from .host.editor.taps import watch_prompts

    answer_panels()
    watch_prompts()
    return GuidanceGeometry()


if part := lacking():
    logging.error(complaint(part))
    NODE_CLASS_MAPPINGS = {}  # read by every host, and before the entry point: a pack of no nodes is no failure
elif other := other_copy():
    logging.warning(TWICE.format(other=other, own=Path(__file__).parent.name))
    NODE_CLASS_MAPPINGS = {}
else:
    WEB_DIRECTORY = "./web"
