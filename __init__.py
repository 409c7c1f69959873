"""Guidance Geometry: the guidance laboratory for ComfyUI. The host calls `comfy_entrypoint` and serves `WEB_DIRECTORY`."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Return the pack's extension; host modules are imported here and not before."""
    from .nodes.extension import GuidanceGeometry

    return GuidanceGeometry()
