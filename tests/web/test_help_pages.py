"""Help pages: whoever knows only KSampler understands all but the last part, and every input is there as it is."""

import re

import pytest

from guidance_geometry.dev.fixtures.interfaces import read as frozen
from guidance_geometry.dev.fixtures.node_words import english
from guidance_geometry.tests.plain_words import first_part
from guidance_geometry.tests.project import ROOT

PAGES = [page.stem for page in sorted((ROOT / "web" / "docs").glob("*.md"))]
COMMON = {"guidance", "control_after_generate"}  # the rules before this one, and what the editor adds to a seed
TABLE = re.compile(r"^\| input \|.*\n\|[-|]+\|\n((?:\|.*\n?)+)", re.M)


@pytest.mark.parametrize("page", PAGES)
def test_the_page_lists_the_inputs_of_the_node_in_their_order(host, page):
    rows = "".join(TABLE.findall(first_part(page)))
    listed = [name.strip() for cell in re.findall(r"^\|([^|]+)\|", rows, re.M) for name in cell.split(",")]
    names = [name for name in english()[page]["inputs"] if name not in COMMON]
    assert [name for name in listed if name not in COMMON] == names


def test_the_page_names_every_choice_of_an_input_in_every_language():
    """Of those that are the pack's own: samplers and files differ from one ComfyUI to the next."""
    choices = [
        (node, str(choice))
        for node, said in frozen().items()
        for one in said["inputs"]
        for choice in one.get("options") or []
    ]
    help_pages = ROOT / "web" / "docs"
    said = {
        page: page.read_text(encoding="utf-8")
        for node in frozen()
        for page in (help_pages / f"{node}.md", *(help_pages / node).glob("*.md"))
    }
    missing = [
        (page.name, node, choice)
        for node, choice in choices
        for page, text in said.items()
        if node in (page.stem, page.parent.name) and choice not in text
    ]
    assert missing == []
    assert len(choices) > 150
