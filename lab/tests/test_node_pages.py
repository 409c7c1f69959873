"""Tables of inputs, rows of lists, entries of papers and translated words are those of the nodes."""

import re

from guidance_geometry.guidance.registry import every_energy, every_rule
from guidance_geometry.lab.pages.node_pages import (
    bibliography,
    pages_to_write,
)


def test_the_pages_are_written_from_the_nodes(host):
    pages = pages_to_write()
    stale = [place.name for place, text in pages.items() if not place.exists() or place.read_text("utf-8") != text]
    assert stale == [], "run `python lab node_pages`"
    assert len(pages) > 30


def test_every_paper_is_cited_once_with_all_that_are_made_from_it():
    entries = re.findall(r"% (.+)\n@misc\{\w+\d{4}-([\d.]+),\n(?:  \w+ = \{.+\},\n){5}\}\n", bibliography())
    stated = [(paper.arxiv, one.name) for one in every_rule().values() for paper in one.papers]
    stated += [(paper.arxiv, one.name) for one in every_energy().values() for paper in one.papers]
    assert len(stated) > 20
    assert sorted((number, name) for names, number in entries for name in names.split("; ")) == sorted(stated)
