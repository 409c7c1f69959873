"""The modules of web/ as texts that one file can hold. Standard library only: a site is built where no torch is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

WEB = Path(__file__).resolve().parents[1] / "web"
ENTRY = "page.mjs"
PREFIX = "gg/"  # of a module's name in the page's import map; a data URI cannot resolve a relative one
_IMPORT = re.compile(r'(\b(?:from|import)\s+)"\.(?:|\./lib)/([a-z0-9-]+\.mjs)"')
_TYPES = re.compile(  # of no use to a reader: lines of them, and those before a statement
    r"^(?:// @ts-check| *\* @[a-z]+ .*| */\*\* @[a-z]+ [^*]*\*/)\n|/\*\* @[a-z]+ [^*]*\*/ ", re.MULTILINE
)
_RELATIVE = re.compile(r"""\b(?:from|import)\s*\(?\s*["']\.{1,2}/[^"']*["']""")


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
