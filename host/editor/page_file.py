"""A run as one HTML file that explains itself."""

from __future__ import annotations

from comfy.sd import VAE

from ...figures.html import RECORD_BYTES, page
from ...guidance.printing import count_of
from ...trace.checks import check
from ...trace.record import run_record
from ...trace.trace import Trace
from ..limits import DECODED, DIRECT
from ..models.adapter import PACK_VERSION
from ..models.trace_pictures import pictures_of
from .panel_record import keep_pictures, report_on

PIXELS = "PixelFormat"


def make_page(trace: Trace, vae: VAE | None, pictures: int) -> tuple[bytes, str]:
    """The file, and what it holds in a few words."""
    sheets: dict[str, bytes] = {}

    def keep(data: bytes, ending: str) -> dict:
        name = f"sheet-{len(sheets)}{ending}"
        sheets[name] = data
        return {"filename": name}

    pixels = (trace.header.get("latent") or {}).get("format") == PIXELS  # a VAE only passes them on
    most = DIRECT if pixels or pictures_of(trace, vae).decode is None else DECODED
    shown = {"pictures": keep_pictures(trace, vae, min(pictures, most), keep), "problems": check(trace)}
    record = run_record(trace, RECORD_BYTES) | shown | report_on(trace) | {"host": trace.header.get("host") or {}}
    sources = {name: trace.header.get(name) for name in ("workflow", "prompt")}
    present = {name: value for name, value in sources.items() if value is not None}
    text = page(record, sheets, present, PACK_VERSION)
    count = f"pictures of {len(sheets)}" if sheets else "no pictures"
    return text.encode(), f"{len(record['steps'])} of {count_of(trace.n, 'step')}, {count}"
