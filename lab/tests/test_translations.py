"""Translations: English is what the nodes say, and no other language says more; what is missing falls back."""

import pytest

from guidance_geometry.dev.fixtures.interfaces import read as frozen
from guidance_geometry.dev.fixtures.node_words import english
from guidance_geometry.lab.pages.translations import LOCALES, NODES, missing_words, read

OTHERS = sorted(folder.name for folder in LOCALES.iterdir() if folder.name != "en")


def test_every_input_and_output_of_a_node_has_a_name_and_a_tooltip(host):
    for node, words in english().items():
        assert words["description"], node
        for name, said in [*words["inputs"].items(), *words["outputs"].items()]:
            assert said["name"], (node, name)
            assert said.get("tooltip") or name == "control_after_generate", (node, name)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("file", [NODES, "main.json", "settings.json"])
def test_a_language_translates_nothing_that_is_not_there(host, language, file):
    mine = read(language, file)
    assert mine.keys() - read("en", file).keys() == set(), "translated, but not there"
    assert all(text.strip() for text in mine.values())


@pytest.mark.parametrize("language", OTHERS)
def test_what_a_release_says_is_translated(host, language):
    released, nodes = set(frozen()), f"{language}/{NODES}"
    missing = [place.split(": ") for place in missing_words(language)]
    assert [place for file, place in missing if file != nodes or place.split(".")[0] in released] == []


def test_every_menu_that_nodes_stand_in_has_a_name(host):
    from guidance_geometry.extension import every_node

    menus = {part for node in every_node() for part in node.define_schema().category.split("/")}
    assert menus - {path[1] for path in read("en", "main.json") if path[0] == "nodeCategories"} == set()
