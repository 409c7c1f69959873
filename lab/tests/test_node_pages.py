"""Tables of inputs, rows of lists, entries of papers and translated words are those of the nodes."""

import re
from types import SimpleNamespace

from guidance_geometry.guidance.knobs import Paper
from guidance_geometry.guidance.registry import every_energy, every_rule
from guidance_geometry.lab.pages.node_pages import (
    HELP,
    IN_TABLES,
    bibliography,
    bibtex,
    default_of,
    inputs_table,
    pages_to_write,
    plain,
)


def test_the_pages_are_written_from_the_nodes(host):
    pages = pages_to_write()
    stale = [place.name for place, text in pages.items() if not place.exists() or place.read_text("utf-8") != text]
    assert stale == [], "run `python lab node_pages`"
    assert len(pages) > 30


def test_the_help_page_of_a_rule_has_a_table_of_its_inputs(host):
    from guidance_geometry.extension import nodes_in

    for language, words in IN_TABLES.items():
        under = "" if language == "en" else f"/{language}"
        pages = {node.__name__: HELP / f"{node.__name__}{under}.md" for node in nodes_in("rules")}
        head = f"\n| {words['head']} |\n"
        without = [name for name, page in pages.items() if page.exists() and head not in page.read_text("utf-8")]
        assert without == ["GGFormula"], "its page explains the formula's names instead"


def test_a_row_shows_the_default_with_its_range_and_leaves_signs_alone():
    share = SimpleNamespace(id="share", io_type="FLOAT", default=0.5, min=0.0, max=1.0, tooltip="|d| < <u, v>*")
    chain = SimpleNamespace(id="guidance", io_type="GG_GUIDANCE", optional=True, tooltip="The chain.")
    table = inputs_table(SimpleNamespace(inputs=[share, chain]))
    assert (
        table == f"| {IN_TABLES['en']['head']} |\n|---|---|---|\n| share | 0.5 (0 to 1) | \\|d\\| &lt; &lt;u, v>\\* |"
    )
    assert plain("a|b") == "a\\|b"


def test_defaults_are_said_in_words():
    def said(kind, default=None, optional=False):
        return default_of(SimpleNamespace(io_type=kind, default=default, optional=optional), IN_TABLES["en"])

    assert [said("BOOLEAN", True), said("STRING", ""), said("COMBO", "x0")] == ["on", "empty", "x0"]
    assert [said("MODEL"), said("IMAGE", optional=True)] == ["MODEL", "IMAGE, optional"]


def test_a_paper_becomes_an_entry_that_a_bibliography_can_read():
    entry = bibtex(Paper("Fan et al. 2025", "2503.18886", "CFG-Zero*: Guidance"))
    assert entry.splitlines() == [
        "@misc{fan2025-2503.18886,",
        "  author = {Fan and others},",
        "  title = {{CFG-Zero*: Guidance}},",
        "  year = {2025},",
        "  eprint = {2503.18886},",
        "  archivePrefix = {arXiv},",
        "}",
    ]


def test_every_paper_is_cited_once_with_all_that_are_made_from_it():
    entries = re.findall(r"% (.+)\n@misc\{\w+\d{4}-([\d.]+),\n(?:  \w+ = \{.+\},\n){5}\}\n", bibliography())
    stated = [(paper.arxiv, one.name) for one in every_rule().values() for paper in one.papers]
    stated += [(paper.arxiv, one.name) for one in every_energy().values() for paper in one.papers]
    assert len(stated) > 20
    assert sorted((number, name) for names, number in entries for name in names.split("; ")) == sorted(stated)
