"""Help pages list the node's inputs and choices as they are; a translation has the parts, code, links and numbers.

The editor takes NODE/LANGUAGE.md for exactly the language that is set, and NODE.md where there is no such page.
"""

import re

import pytest

from guidance_geometry.dev.fixtures.interfaces import read as frozen
from guidance_geometry.dev.fixtures.node_words import english
from guidance_geometry.tests.plain_words import first_part
from guidance_geometry.tests.project import ROOT

HELP = ROOT / "web" / "docs"
PAGES = [page.stem for page in sorted(HELP.glob("*.md"))]
TRANSLATED = sorted(HELP.glob("*/*.md"))
COMMON = {"guidance", "control_after_generate"}  # the rules before this one, and what the editor adds to a seed
TABLE = re.compile(r"^\| input \|.*\n\|[-|]+\|\n((?:\|.*\n?)+)", re.M)
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)]+)\)")
NUMBER = re.compile(r"(?<![a-z])\d+(?:[.,]\d+)*")  # M10, and not t0


@pytest.mark.parametrize("page", PAGES)
def test_the_page_lists_the_inputs_of_the_node_in_their_order(host, page):
    rows = "".join(TABLE.findall(first_part(page)))
    listed = [name.strip() for cell in re.findall(r"^\|([^|]+)\|", rows, re.M) for name in cell.split(",")]
    names = [name for name in english()[page]["inputs"] if name not in COMMON]
    assert [name for name in listed if name not in COMMON] == names


def test_the_page_names_every_choice_of_an_input_in_every_language():
    """Of those that are the pack's own: samplers and files differ from one ComfyUI to the next."""
    missing, found = [], 0
    for node, said in frozen().items():
        choices = [str(choice) for one in said["inputs"] for choice in one.get("options") or []]
        found += len(choices)
        for page in (HELP / f"{node}.md", *(HELP / node).glob("*.md")):
            text = page.read_text(encoding="utf-8")
            missing += [(page.name, node, choice) for choice in choices if choice not in text]
    assert missing == []
    assert found > 150


def structure(text):
    prose = FENCE.sub("", text)
    spoken = LINK.sub(lambda link: link[2], CODE.sub("", prose))
    return {
        "headings": re.findall(r"^#+(?= )", prose, re.M),
        "items": re.findall(r"^(?:-|\d+\.)(?= )", prose, re.M),
        "rows": [len(row.split(" | ")) for row in re.findall(r"^\|.*", prose, re.M)],
        "blocks": FENCE.findall(text),
        "code": sorted(CODE.findall(prose)),
        "links": sorted((sign, target) for sign, _, target in LINK.findall(prose)),
        "numbers": sorted(NUMBER.findall(spoken)),
    }


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: f"{page.parent.name} {page.stem}")
def test_a_translated_page_says_what_the_english_one_says(page):
    assert structure(page.read_text("utf-8")) == structure(page.parent.with_suffix(".md").read_text("utf-8"))
