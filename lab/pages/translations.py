"""The English words of all nodes, where the editor looks for them: `python lab translations` writes the file.

They are read from the nodes' own schemas, in the host's format: display name, description, and a name and a tooltip for
every input and output. The format has no place for the options of a combo. What another language lacks is listed: the
editor shows it in English.
"""

from __future__ import annotations

import argparse
import json

from ...dev.inside import enter_host
from ...dev.places import HOST, ROOT

LOCALES = ROOT / "locales"
ENGLISH = LOCALES / "en" / "nodeDefs.json"
SEED_WIDGET = {"control_after_generate": {"name": "control after generate"}}  # the editor adds it below a seed


def english() -> dict[str, dict]:
    """{node id: its words}, as the host would send them."""
    from ...extension import every_node

    return {node.define_schema().node_id: words_of(node.GET_NODE_INFO_V1()) for node in every_node()}


def words_of(info: dict) -> dict:
    """Words of one node from the host's description of it."""
    inputs = {}
    for group in info["input"].values():
        for name, (_, *options) in group.items() if group else ():
            inputs[name] = _named(name, *(option.get("tooltip") for option in options))
            inputs |= SEED_WIDGET if any(option.get("control_after_generate") for option in options) else {}
    inputs = {name: words for name, words in inputs.items() if name not in info["input"].get("hidden", {})}
    outputs = zip(info["output_name"], info["output_tooltips"], strict=True)
    words = {"display_name": info["display_name"], "description": info["description"], "inputs": inputs}
    return words | {"outputs": {str(k): _named(*pair) for k, pair in enumerate(outputs)}}


def _named(name: str, tooltip: str | None = None) -> dict[str, str]:
    return {"name": name} | ({"tooltip": tooltip} if tooltip else {})


def text_of(words: dict) -> str:
    """The file's text."""
    return json.dumps(words, indent=2, ensure_ascii=False) + "\n"


def leaves(words: dict | str, where: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """{path: text} of everything that is translated."""
    if isinstance(words, str):
        return {where: words}
    return {path: text for key, item in words.items() for path, text in leaves(item, (*where, key)).items()}


def read(language: str, file: str) -> dict[tuple[str, ...], str]:
    """{path: text} of one file of a language."""
    return leaves(json.loads((LOCALES / language / file).read_text(encoding="utf-8")))


def of_node(node: str, language: str) -> dict:
    """Words of one node in a language that has all of them."""
    return json.loads((LOCALES / language / ENGLISH.name).read_text(encoding="utf-8"))[node]


def missing_words(language: str) -> list[str]:
    """Where the English words stand that a language lacks."""
    files = sorted(file.name for file in ENGLISH.parent.glob("*.json"))
    missing = [(file, path) for file in files for path in read("en", file).keys() - read(language, file).keys()]
    return sorted(f"{language}/{file}: {'.'.join(path)}" for file, path in missing)


def main() -> None:
    """Write the file, and list what other languages lack."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    enter_host(HOST)
    ENGLISH.write_text(text_of(english()), encoding="utf-8")
    print(f"{ENGLISH.relative_to(ROOT)}: {ENGLISH.stat().st_size:,} bytes")
    others = sorted(folder.name for folder in LOCALES.iterdir() if folder != ENGLISH.parent)
    for place in (place for language in others for place in missing_words(language)):
        print(f"shown in English, {place}")


if __name__ == "__main__":
    main()
