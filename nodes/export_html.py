"""A run as one HTML file that explains itself."""

from __future__ import annotations

from typing import ClassVar

from comfy_api.latest import io

from ..figures.html import RECORD_BYTES, page
from ..files.writing import write_atomically
from ..host.adapter import PACK_VERSION
from ..host.panel_record import keep_pictures, report_on
from ..host.saving import bad_prefix, entry_of, next_path, with_provenance
from ..host.trace_pictures import pictures_of
from ..host.view_node import ViewNode
from ..host.widgets import HIDDEN, SEE, TRACE_IN, VAE_IN, prefix_input
from ..trace.checks import check
from ..trace.record import run_record
from ..trace.trace import Trace

PIXELS = "PixelFormat"
DIRECT, DECODED = 20, 8  # steps with pictures: as they are, or through a VAE


class GGExportHTML(ViewNode):
    """The inspector's panel and the run it shows, in a file for those who have no editor."""

    checks: ClassVar = {"filename_prefix": bad_prefix}

    name = "Guidance Page (one file)"
    category = SEE
    description = (
        "Writes the run as one HTML file: the inspector's views, pictures, another scale tried out, "
        "and what it all says in words. It opens in any browser, without a network and without ComfyUI."
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
    def execute(cls, trace, filename_prefix, vae=None, pictures=DIRECT) -> io.NodeOutput:
        path = next_path(filename_prefix, ".html")
        data, kept = make_page(with_provenance(cls, trace), vae, pictures)
        write_atomically(path, [data])
        words = f"{path.name}: {len(data) / 1000:,.0f} kB, {kept}. Open it in a browser."
        return io.NodeOutput(str(path), ui={"text": [words], "gg_files": [entry_of(path)]})


def make_page(trace: Trace, vae, pictures: int) -> tuple[bytes, str]:
    """The file, and what it holds in a few words."""
    sheets: dict[str, bytes] = {}

    def keep(data: bytes, ending: str) -> dict:
        name = f"sheet-{len(sheets)}{ending}"
        sheets[name] = data
        return {"filename": name}

    pixels = (trace.header.get("latent") or {}).get("format") == PIXELS  # a VAE only passes them on
    most = DIRECT if pixels or pictures_of(trace, vae).decode is None else DECODED
    kept = {"pictures": keep_pictures(trace, vae, min(pictures, most), keep), "problems": check(trace)}
    record = run_record(trace, RECORD_BYTES) | kept | report_on(trace) | {"host": trace.header.get("host") or {}}
    sources = {name: trace.header.get(name) for name in ("workflow", "prompt")}
    present = {name: value for name, value in sources.items() if value is not None}
    text = page(record, sheets, present, PACK_VERSION)
    count = f"pictures of {len(sheets)}" if sheets else "no pictures"
    return text.encode(), f"{len(record['steps'])} of {trace.n} steps, {count}"
