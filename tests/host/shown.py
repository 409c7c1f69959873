"""Nodes that show a run, as the executor prepares them, and all of them at once."""

from functools import partial
from typing import Any

from comfy_api.latest import io as api

from guidance_geometry.figures import MENU
from guidance_geometry.figures.registry import NOTHING
from guidance_geometry.nodes import compare, export_html, inspector, see, trace_files
from guidance_geometry.trace.file import load

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


def shown_everywhere(trace, folder):
    """Every node that reads a trace gives something, or a sentence that says why it cannot."""
    assert ui_of(inspector.GGInspector.execute(trace))["gg_record"]
    assert in_a_workflow(export_html.GGExportHTML).execute(trace, "page")[0]
    assert see.GGMetrics.execute(trace, "metrics", -1)[1]
    written = in_a_workflow(trace_files.GGSaveTrace).execute(trace, "saved")[1]
    assert load(written).n == trace.n
    still = (word for word in MENU if "animated" not in word)
    pictures = {word: partial(see.GGFigure.execute, trace, **FIGURE | {"figure": word}) for word in still}
    pictures["difference"] = partial(see.GGDifferenceImages.execute, trace)
    pictures["compare"] = partial(compare.GGCompareTraces.execute, trace, trace, -1, "light")
    found = {name: drawn_or_said(draw) for name, draw in pictures.items()}
    assert all(said is None or said.endswith(".") for said in found.values()), found
    return [name for name, said in found.items() if said is None]


def drawn_or_said(draw):
    """None where there is a picture, else why there is none."""
    out = draw()
    assert out[0].isfinite().all()
    pages = [one for one in out.args if not isinstance(one, str)]
    words = [one for one in out.args if isinstance(one, str)]
    has_refused = len(pages) > 1 and all(page is pages[0] for page in pages)
    return next((text for text in [*words, *ui_of(out).get("text", [])] if has_refused or NOTHING in text), None)
