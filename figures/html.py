"""One HTML file from a run: the panel's own modules, its numbers and its pictures; nothing is fetched from anywhere."""

from __future__ import annotations

import base64
import gzip
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from ..guidance.printing import count_of
from ..trace.guidance_effect import ALIKE, alike
from ..trace.portable import ascii_json
from ..verdict.sentences import about, percent

WEB = Path(__file__).resolve().parents[1] / "web"
RECORD_BYTES = 4_000_000  # of the numbers; steps of longer runs are left out evenly, and the page says so
ENTRY = "page.mjs"
PREFIX = "gg/"  # of a module's name in the page's import map; a data URI cannot resolve a relative one
_IMPORT = re.compile(r'(\b(?:from|import)\s+)"\.(?:|\./lib)/([a-z0-9-]+\.mjs)"')
_TYPES = re.compile(  # of no use to a reader: lines of them, and those before a statement
    r"^(?:// @ts-check| *\* @[a-z]+ .*| */\*\* @[a-z]+ [^*]*\*/)\n|/\*\* @[a-z]+ [^*]*\*/ ", re.MULTILINE
)
_RELATIVE = re.compile(r"""\b(?:from|import)\s*\(?\s*["']\.{1,2}/[^"']*["']""")


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


def modules(entry: str = ENTRY, *folders: Path) -> dict[str, str]:
    """Sources of a module and of all it imports, by file name, without types; imports become names of the import map.

    folders: where modules lie, web/lib unless given; no name is in two of them. Raises ValueError for a name that is,
    and for an import of another form, which a page could not resolve.
    """
    texts, waiting = {}, [entry]
    while waiting:
        name = waiting.pop()
        if name in texts:
            continue
        source = _TYPES.sub("", _module_file(name, folders or (WEB / "lib",)).read_text(encoding="utf-8"))
        texts[name] = _IMPORT.sub(rf'\1"{PREFIX}\2"', source)
        waiting += [imported for _, imported in _IMPORT.findall(source)]
        left = _RELATIVE.search(texts[name])
        if left:
            raise ValueError(f'{name} has {left[0]}; a page can inline imports of the form from "./name.mjs" only.')
    return texts


def _module_file(name: str, folders: Sequence[Path]) -> Path:
    """The file of a module.  Raises ValueError where it is in no folder, or in two."""
    files = [folder / name for folder in folders if (folder / name).is_file()]
    if len(files) != 1:
        raise ValueError(f"{name} is in {len(files)} of {', '.join(map(str, folders))}. Give it one place.")
    return files[0]


def name_imports(sources: Mapping[str, str]) -> dict[str, str]:
    """Modules by the name they are imported under."""
    return {PREFIX + name: source for name, source in sources.items()}


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
