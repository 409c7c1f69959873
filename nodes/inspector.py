"""The inspector: hands a run's numbers and thumbnails to the panel in the editor, and passes the trace on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .. import host
from ..host.editor.view_node import ViewNode
from ..host.editor.widgets import HIDDEN, SEE, TRACE_IN, TRACE_OUT, VAE_IN

if TYPE_CHECKING:
    from ..trace.trace import Trace

MOST_PICTURES = 64


class GGInspector(ViewNode):
    """The panel that shows a run while it happens and afterwards."""

    name = "Guidance Inspector"
    search_words = ("burn", "plot cfg", "guidance scale", "noise level", "preview", "what if")
    category = SEE
    description = (
        "Shows what guidance does, step by step, while the sampler runs and afterwards, and where cfg lies beside your "
        "choices and the curve of your model. Try another cfg without sampling again."
    )
    is_output_node = True
    not_idempotent = True
    inputs = (
        TRACE_IN,
        VAE_IN,
        io.Int.Input(
            "pictures",
            default=8,
            min=0,
            max=MOST_PICTURES,
            optional=True,
            tooltip="How many steps are shown as pictures, evenly over the run; 0 shows none. With a VAE each step "
            "decodes four pictures for each of up to 8 samples.",
        ),
    )
    outputs = (TRACE_OUT,)
    hidden_inputs = HIDDEN

    @classmethod
    def execute(cls, trace: Trace, vae: io.Vae.Type | None = None, pictures: int = 8) -> io.NodeOutput:
        workflow = ((cls.hidden.extra_pnginfo if cls.hidden else None) or {}).get("workflow") or {}
        job = host.editor.jobs.running_job()
        facts = {"workflow_id": workflow.get("id"), "prompt_id": job and job.prompt_id}
        record = host.editor.panel_record.record_with_parts(trace, vae, pictures) | facts
        host.editor.run_store.keep_shown(trace)
        return io.NodeOutput(trace, ui={"gg_record": [host.editor.panel_record.portable(record)]})
