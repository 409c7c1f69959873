"""Translations: English is what the nodes say, every other language says all of it."""

import json
from pathlib import Path

import pytest

from guidance_geometry.tools.docs.translations import ENGLISH, english, text_of

LOCALES = Path(__file__).resolve().parents[2] / "locales"
OTHERS = sorted(folder.name for folder in LOCALES.iterdir() if folder.name != "en")


def read(language, file):
    return json.loads((LOCALES / language / file).read_text(encoding="utf-8"))


def leaves(words, where=()):
    """{path: text} of everything that is translated."""
    if isinstance(words, str):
        return {where: words}
    return {path: text for key, item in words.items() for path, text in leaves(item, (*where, key)).items()}


def test_the_english_words_are_those_of_the_nodes(host):
    written = ENGLISH.read_text(encoding="utf-8")
    assert written == text_of(english()), "run `python tools/run.py translations`"


def test_every_input_and_output_of_a_node_has_a_name_and_a_tooltip(host):
    for node, words in english().items():
        assert words["description"], node
        for name, said in [*words["inputs"].items(), *words["outputs"].items()]:
            assert said["name"], (node, name)
            assert said.get("tooltip") or name == "control_after_generate", (node, name)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("file", ["nodeDefs.json", "main.json", "settings.json"])
def test_a_language_translates_the_same_words(language, file):
    mine, english_words = leaves(read(language, file)), leaves(read("en", file))
    assert set(english_words) - set(mine) == set(), "not translated"
    assert set(mine) - set(english_words) == set(), "translated, but not there"
    assert all(text.strip() for text in mine.values())


def test_chinese_descriptions_and_tooltips_are_chinese():
    words = leaves(read("zh", "nodeDefs.json"))
    said = {path: text for path, text in words.items() if path[-1] in ("description", "tooltip", "display_name")}
    assert not {path: text for path, text in said.items() if not any("\u4e00" <= letter <= "\u9fff" for letter in text)}
