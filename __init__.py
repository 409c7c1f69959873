"""Guidance Geometry, the guidance laboratory for ComfyUI: what the host calls (entry point) and serves (web folder)."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Return the pack's extension; host modules are imported here and not before."""
    from .nodes.extension import GuidanceGeometry
    from .nodes.kept import answer_panels

    answer_panels()
    return GuidanceGeometry()
