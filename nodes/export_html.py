"""A run as one HTML file that explains itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from comfy_api.latest import io

from .. import files, host
from ..host.editor.view_node import ViewNode
from ..host.editor.widgets import HIDDEN, SEE, TRACE_IN, VAE_IN, bad_prefix, prefix_input
from ..host.limits import DECODED, DIRECT

if TYPE_CHECKING:
    from ..trace.trace import Trace


class GGExportHTML(ViewNode):
    """The inspector's panel and the run it shows, in a file for those who have no editor."""

    checks: ClassVar = {"filename_prefix": bad_prefix}

    name = "Guidance Page (one file)"
    search_words = ("html", "share a run", "export")
    category = SEE
    description = (
        "Writes the run as one HTML file: the inspector's views, pictures, and what they say in words. It opens in "
        "any browser, without a network and without ComfyUI."
    )
    is_output_node = True
    inputs = (
        TRACE_IN,
        VAE_IN,
        prefix_input("guidance_page", "the pages in output"),
        io.Int.Input(
            "pictures",
            default=DIRECT,
            min=0,
            max=DIRECT,
            optional=True,
            tooltip=f"Steps to show as pictures, evenly over the run; with a VAE {DECODED} at most. Fewer make "
            "a smaller file, 0 shows none.",
        ),
    )
    outputs = (io.String.Output(display_name="path", tooltip="The file that was written."),)
    hidden_inputs = HIDDEN

    @classmethod
    def execute(
        cls, trace: Trace, filename_prefix: str, vae: io.Vae.Type | None = None, pictures: int = DIRECT
    ) -> io.NodeOutput:
        path = host.editor.saving.next_path(filename_prefix, ".html")
        page, summary = host.editor.page_file.make_page(host.editor.saving.add_provenance(cls, trace), vae, pictures)
        files.writing.write_atomically(path, [page])
        words = f"{path.name}: {len(page) / 1000:,.0f} kB, {summary}. Open it in a browser."
        return io.NodeOutput(str(path), ui={"text": [words], "gg_files": [host.editor.saving.entry_of(path)]})
