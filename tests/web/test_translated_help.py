"""Help pages in another language: the same parts, tables, code, links and numbers as in English, in the editor's words.

The editor takes NODE/LANGUAGE.md for exactly the language that is set, and NODE.md where there is no such page.
"""

import json
import re

import pytest

from guidance_geometry.dev.fixtures.node_words import english as english_words
from guidance_geometry.tests.project import ROOT

HELP, LOCALES = ROOT / "web" / "docs", ROOT / "locales"
PAGES = sorted(HELP.glob("*/*.md"))
LANGUAGES = sorted({page.stem for page in PAGES})
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)]+)\)")
ROWS = re.compile(r"(?:^\|.*\n)+", re.M)
NUMBER = re.compile(r"(?<![a-z])\d+(?:[.,]\d+)*")  # M10, and not t0
WORDS = re.compile(r"[A-Za-z]+(?: [a-z]+){2,}")  # what a node says in English alone, or a title
BRACKETS = re.compile(r" \(|\uff08")


def words_of(language):
    if language == "en":
        return english_words()
    return json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))


def tables_in(text):
    """Each table as rows of cells, without the line below its head."""
    return [
        [row[2:-2].split(" | ") for row in table.splitlines() if not row.startswith("|---")]
        for table in ROWS.findall(f"{text}\n")
    ]


def structure(text):
    prose = FENCE.sub("", text)
    spoken = LINK.sub(lambda link: link[2], CODE.sub("", prose))
    return {
        "headings": re.findall(r"^#+(?= )", prose, re.M),
        "items": re.findall(r"^(?:-|\d+\.)(?= )", prose, re.M),
        "tables": [(len(rows), {len(cells) for cells in rows}) for rows in tables_in(prose)],
        "blocks": FENCE.findall(text),
        "code": sorted(CODE.findall(prose)),
        "links": sorted((sign, target) for sign, _, target in LINK.findall(prose)),
        "numbers": sorted(NUMBER.findall(spoken)),
    }


def inputs_and_outputs(text, node, english):
    """First cells of the tables whose English head is `input` or `output`, each with the names in `node` beside it."""
    named = {one["name"]: one["name"] for one in english["outputs"].values()} | {key: key for key in english["inputs"]}
    named |= {one["name"]: node["outputs"][key]["name"] for key, one in english["outputs"].items()}
    named |= {key: one["name"] for key, one in node["inputs"].items()}
    rows = [row for table in tables_in(text) if table[0][0] in ("input", "output") for row in table[1:]]
    return [[(name, named.get(name, name)) for name in row[0].split(", ")] for row in rows]


def as_said(pairs):
    """Both names; the one that the editor shows alone where it begins with the other."""
    both = [said if said.casefold().startswith(name.casefold()) else f"{name}\uff0c{said}" for name, said in pairs]
    return "\uff1b".join(both)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name} {page.stem}")
def test_a_translated_page_says_what_the_english_one_says(page):
    mine, original = page.read_text("utf-8"), page.parent.with_suffix(".md").read_text("utf-8")
    assert structure(mine) == structure(original)
    assert [words for words in WORDS.findall(LINK.sub("", mine)) if words not in original] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name} {page.stem}")
def test_inputs_outputs_and_nodes_have_the_names_that_the_editor_shows(host, page):
    mine, original = page.read_text("utf-8"), page.parent.with_suffix(".md").read_text("utf-8")
    words, english = words_of(page.stem), words_of("en")
    node = page.parent.name
    kinds = [table[0][0] in ("input", "output") for table in tables_in(original)]
    cells = [row[0] for table, kind in zip(tables_in(mine), kinds, strict=True) if kind for row in table[1:]]
    assert cells == [as_said(pairs) for pairs in inputs_and_outputs(original, words[node], english[node])]

    title = mine.partition("\n")[0].removeprefix("# ")
    assert words[node]["display_name"].startswith(title)
    mine, original = (CODE.sub("", FENCE.sub("", text)) for text in (mine, original))
    short = {
        BRACKETS.split(english[one]["display_name"])[0]: BRACKETS.split(words[one]["display_name"])[0]
        for one in english
    }
    any_name = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, sorted(short, key=len, reverse=True)))})(?!\w)")
    assert sorted(short[name] for name in {*any_name.findall(original)} if short[name] not in mine) == []
    left = {name for name in any_name.findall(mine) if short[name] != name and f"*{name}*" not in mine}
    assert left == set(), "in English"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_numbers_of_every_description_and_tooltip_are_those_of_the_english_one(host, language):
    english, mine = words_of("en"), words_of(language)
    said = [(english[node]["description"], mine[node]["description"]) for node in english]
    for node, side in ((node, side) for node in english for side in ("inputs", "outputs")):
        there = mine[node][side]
        said += [
            (one["tooltip"], there[key]["tooltip"]) for key, one in english[node][side].items() if "tooltip" in one
        ]
    numbers = [(words, *(sorted(NUMBER.findall(text.replace("^2", ""))) for text in words)) for words in said]
    assert [words for words, wanted, there in numbers if wanted != there] == []
