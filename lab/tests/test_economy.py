"""The page about skipped passes says what its numbers say, and the preset keeps what it promises."""

import json

import pytest

from guidance_geometry.lab.markdown import page, section_in
from guidance_geometry.lab.pages.economy_page import (
    FIGURE,
    HEADING,
    NUMBERS,
    PAGE,
    POINTS,
    SHARE,
    draw_economy,
    named,
    words,
)
from guidance_geometry.lab.pages.economy_rows import CHAINS, FULL, PRESET, PROBE, Row


@pytest.fixture(scope="module")
def rows():
    return [Row(**row) for row in json.loads(NUMBERS.read_text(encoding="utf-8"))]


def test_the_section_is_that_of_its_numbers(rows):
    assert section_in(PAGE, HEADING) == page(f"## {HEADING}", words(rows))
    assert FIGURE.exists()


def test_the_rows_are_the_chains_that_the_tool_measures(rows):
    assert [(row.chain, row.text) for row in rows] == [(row.chain, CHAINS[row.chain].text) for row in rows]
    assert {row.samples for row in rows} == {2000, PROBE}


def test_the_preset_saves_a_third_of_the_passes_at_the_quality_of_full_guidance(rows):
    full, row = named(rows, FULL), named(rows, PRESET)
    assert row.passes <= 0.65
    assert abs(row.accuracy - full.accuracy) <= POINTS
    assert abs(row.frechet / full.frechet - 1) <= SHARE


def test_no_words_of_the_figure_meet(rows):
    texts = draw_economy(rows).texts()
    meeting = [(a, b) for i, (a, one) in enumerate(texts) for b, other in texts[i + 1 :] if one.meets(other)]
    assert meeting == []
