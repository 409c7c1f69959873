"""One HTML file from a run: the panel's own modules, its numbers and its pictures; nothing is fetched from anywhere."""

from __future__ import annotations

import base64
import gzip
import html
from collections.abc import Mapping
from string import Template

from ..guidance.printing import count_of
from ..trace.guidance_effect import ALIKE, alike
from ..trace.portable import ascii_json
from ..verdict.sentences import about, percent
from .web_modules import WEB, modules, name_imports

RECORD_BYTES = 4_000_000  # of the numbers; steps of longer runs are left out evenly, and the page says so


def page(record: Mapping, sheets: Mapping[str, bytes], sources: Mapping, version: str) -> str:
    """The whole file as text.

    record: from `run_record`, with "pictures" whose steps name their sheet. sheets: {name: JPEG}. sources: workflow and
    prompt, as far as they may be shown. version: of the pack. Text of the run is escaped wherever it goes.
    """
    words = html.escape(summary(record))
    return Template((WEB / "page" / "page.html").read_text(encoding="utf-8")).substitute(
        title=f"Guidance: {words}",
        run=words,
        style=(WEB / "page" / "page.css").read_text(encoding="utf-8"),
        modules=pack_json(name_imports(modules())),
        record=script_json(record),
        sheets=script_json({name: data_uri("image/jpeg", data) for name, data in sheets.items()}),
        sources=script_json(sources),
        version=html.escape(version),
    )


def summary(record: Mapping) -> str:
    """The run in one line."""
    model = (record.get("model") or {}).get("name") or "unnamed model"
    batch = record.get("batch")
    parts = [model, record.get("sampler"), count_of(record["n"], "step"), _scale(record)]
    parts += [count_of(batch, "sample")] if batch is not None else []
    return " \u00b7 ".join(str(part) for part in parts if part)


def _scale(record: Mapping) -> str:
    """The cfg of a run; where that is not plain guidance, like which scale it acted, and what went across."""
    cfg, acted = record.get("cfg"), (record.get("report") or {}).get("effective") or {}
    scale, across = acted.get("scale"), acted.get("across") or 0.0
    if cfg is None or scale is None or (alike(scale, cfg) and across <= ALIKE):
        return "" if cfg is None else f"\u03b3 {cfg:g}"
    steady = all(alike(acted.get(end) or scale, scale) for end in ("least", "most"))
    words = f"cfg {cfg:g} acts like {about(scale)}" + ("" if steady else " on average")
    return words + (f", {percent(across)} % of the push goes across" if across > ALIKE else "")


def pack_json(value: object) -> str:
    """JSON as gzip, which browsers read, in base64: text without a letter that could end a script element."""
    return base64.b64encode(gzip.compress(ascii_json(value).encode(), mtime=0)).decode()


def data_uri(kind: str, data: bytes) -> str:
    """Bytes as an address."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def script_json(value: object) -> str:
    """JSON that may stand inside a script element: no text in it can end that element or open a comment."""
    text = ascii_json(value)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
