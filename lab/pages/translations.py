"""What other languages lack of the nodes' words: `python lab translations` lists it; the editor shows it in English.

The English words are those of the nodes' own schemas, in the host's format of translations: display name, description,
and a name and a tooltip for every input and output. The format has no place for the options of a combo.
"""

from __future__ import annotations

import argparse
import json

from ...dev.fixtures.node_words import english
from ...dev.inside import enter_host
from ...dev.places import HOST, ROOT

LOCALES = ROOT / "locales"
NODES = "nodeDefs.json"


def leaves(words: dict | str, where: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """{path: text} of everything that is translated."""
    if isinstance(words, str):
        return {where: words}
    return {path: text for key, item in words.items() for path, text in leaves(item, (*where, key)).items()}


def read(language: str, file: str) -> dict[tuple[str, ...], str]:
    """{path: text} of one file of a language; the words of the nodes are English without a file."""
    if (language, file) == ("en", NODES):
        return leaves(english())
    return leaves(json.loads((LOCALES / language / file).read_text(encoding="utf-8")))


def of_node(node: str, language: str) -> dict:
    """Words of one node in a language that has all of them."""
    return json.loads((LOCALES / language / NODES).read_text(encoding="utf-8"))[node]


def missing_words(language: str) -> list[str]:
    """Where the English words stand that a language lacks."""
    files = sorted({NODES, *(file.name for file in (LOCALES / "en").glob("*.json"))})
    missing = [(file, path) for file in files for path in read("en", file).keys() - read(language, file).keys()]
    return sorted(f"{language}/{file}: {'.'.join(path)}" for file, path in missing)


def main() -> None:
    """List what other languages lack."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    enter_host(HOST)
    others = sorted({folder.name for folder in LOCALES.iterdir()} - {"en"})
    for place in (place for language in others for place in missing_words(language)):
        print(f"shown in English, {place}")


if __name__ == "__main__":
    main()
