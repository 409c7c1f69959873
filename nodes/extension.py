"""What the host loads: the list of all nodes."""

from __future__ import annotations

from importlib import import_module

from comfy_api.latest import ComfyExtension

ROOMS = (
    "start",
    "sampling",
    "guidance_patch",
    "blog_samplers",
    "records",
    "rules",
    "load_classifier",
    "train_classifier",
    "energies",
    "classifier_guidance",
    "see",
    "compare",
    "inspector",
    "export_html",
    "lab",
)


class GuidanceGeometry(ComfyExtension):
    """The pack."""

    async def get_node_list(self):
        """All node classes, room by room."""
        return [node for room in ROOMS for node in import_module(f".{room}", __package__).NODES]
