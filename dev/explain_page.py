"""The page that needs no install: one HTML file with Pocket Flow, its code and the lesson. `python3 dev.py page-demo`.

Standard library only: the site is built where no torch is.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from ..figures.web_modules import PREFIX, WEB, modules
from .places import ROOT, pack_version

NAME = "guidance.html"
FOLDER = WEB / "explain"
MODEL = ROOT / "assets" / "denoisers" / "pocket-flow-1.safetensors"
LEFT_OUT = "vae.encoder."  # the page makes pictures and takes none
_IMPORT = re.compile(rf'^import \{{([^}}]+)\}} from "{PREFIX}([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function\*?|class) (\w+))", re.MULTILINE)
_ENDS_SCRIPT = re.compile(r"</script|<!--", re.IGNORECASE)


def explain_page() -> str:
    """The whole file as text.  Raises ValueError for code that a script element cannot hold."""
    code = bundle(modules("main.mjs", FOLDER, WEB / "lib"), "main.mjs")
    if found := _ENDS_SCRIPT.search(code):
        raise ValueError(f"The code holds {found[0]!r}, which would end the script. Write it in another way.")
    return Template((FOLDER / "page.html").read_text(encoding="utf-8")).substitute(
        version=pack_version(),
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        weights=base64.b64encode(weights()).decode(),
        code=code,
    )


def weights() -> bytes:
    """The network and the decoder of its VAE, in half precision, as a safetensors file."""
    file = MODEL.read_bytes()
    start = 8 + int.from_bytes(file[:8], "little")  # behind the length of the header, and the header
    entries, kept, body = json.loads(file[8:start]), {}, b""
    for name, entry in entries.items():
        if name == "__metadata__" or name.startswith(LEFT_OUT):
            continue
        first, last = entry["data_offsets"]
        kept[name] = entry | {"data_offsets": [len(body), len(body) + last - first]}
        body += file[start + first : start + last]
    header = json.dumps(kept).encode()
    header += b" " * (-len(header) % 8)  # tensors begin at a multiple of 8
    return len(header).to_bytes(8, "little") + header + body


def bundle(sources: Mapping[str, str], entry: str) -> str:
    """Modules as one script for a page and its workers: each is a function that returns what it exports.

    A worker on a page from a disk can import no module, so there is none.  Raises ValueError for modules in a circle.
    """
    done: dict[str, str] = {}

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"{' -> '.join((*path, name))} is a circle of imports. Take one of them away.")
        if name not in done:
            for _, imported in _IMPORT.findall(sources[name]):
                add(imported, (*path, name))
            done[name] = wrap_module(name, sources[name])

    add(entry, ())
    return "\n".join(['"use strict";', "(() => {", *done.values(), f"{variable_of(entry)}.begin(globalThis);", "})();"])


def wrap_module(name: str, source: str) -> str:
    """A module as a constant that holds what it exports; what it imports is taken out of other such constants."""
    names = ", ".join(_EXPORT.findall(source))
    body = _IMPORT.sub(lambda one: f"const {{{one[1].replace(' as ', ': ')}}} = {variable_of(one[2])};\n", source)
    return f"const {variable_of(name)} = (() => {{\n{_EXPORT.sub('', body)}\nreturn {{ {names} }};\n}})();"


def variable_of(name: str) -> str:
    """The constant that holds a module."""
    return "module_" + re.sub(r"\W", "_", name.removesuffix(".mjs"))


def main() -> None:
    """Write the page where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "output" / NAME, help="default: output/guidance.html")
    path = parser.parse_args().output
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(explain_page(), encoding="utf-8")
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB. Open it in any browser; it needs no network.")


if __name__ == "__main__":
    main()
