"""Help pages: whoever knows only KSampler understands all but the last part, and every input is there as it is."""

import re

import pytest

from guidance_geometry.tests.plain_words import WORDS, explained, stumbles
from guidance_geometry.tests.project import ROOT

PAGES = sorted((ROOT / "web" / "docs").glob("*.md"))
COMMON = {"guidance", "control_after_generate"}  # the chain so far, and what the editor adds to a seed
LAST_PART = "\n## For researchers\n"
TABLE = re.compile(r"^\| input \|.*\n\|[-|]+\|\n((?:\|.*\n?)+)", re.M)
GENERATED = re.compile(r"^\| input \| default \| meaning \|\n(\|.*\n?)+", re.M)


def first_part(page):
    return page.read_text(encoding="utf-8").partition(LAST_PART)[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_someone_who_knows_only_ksampler_understands_the_page(page):
    text = first_part(page)
    assert text.count("\n## ") >= 1
    assert stumbles(GENERATED.sub("", text), explained(text)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_lists_the_inputs_of_the_node_in_their_order(page):
    rows = "".join(TABLE.findall(first_part(page)))
    listed = [name.strip() for cell in re.findall(r"^\|([^|]+)\|", rows, re.M) for name in cell.split(",")]
    names = [name for name in WORDS[page.stem]["inputs"] if name not in COMMON]
    assert [name for name in listed if name not in COMMON] == names
