"""Nodes that show a run, as the executor prepares them."""

from typing import Any

from comfy_api.latest import io as api

FIGURE = {"figure": "step plane", "step": -1, "sample": 0, "size": "blog 960x540", "theme": "light"}
FIGURE |= {"save": "none", "filename_prefix": "figure"}
WORKFLOW = {"id": "w", "nodes": []}
PROMPT = {"1": {"class_type": "GGFigure"}}


def ui_of(output) -> Any:
    """What a node's output shows in the editor."""
    return output.ui


def in_a_workflow(node):
    """The class as the executor prepares it, with the hidden inputs of an editor's job."""

    class Prepared(node):
        hidden = api.HiddenHolder(
            unique_id="1",
            prompt=PROMPT,
            extra_pnginfo={"workflow": WORKFLOW},
            dynprompt=None,
            auth_token_comfy_org="",
            api_key_comfy_org="",
        )

    return Prepared
