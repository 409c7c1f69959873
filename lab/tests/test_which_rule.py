"""The page about rules says what its numbers say, and has every rule of the pack; ComfyUI's nodes take part."""

import json

import pytest
from jsonschema import Draft202012Validator

from guidance_geometry.lab.studies import which_rule
from guidance_geometry.library.arena.cells import Cells, Setting
from guidance_geometry.library.arena.entrants import pack_entrants
from guidance_geometry.library.arena.worlds import worlds
from guidance_geometry.tests.project import ROOT


@pytest.fixture(scope="module")
def found():
    return json.loads(which_rule.NUMBERS.read_text(encoding="utf-8"))


def test_the_page_and_the_help_pages_are_those_of_the_numbers(found):
    assert which_rule.PAGE.read_text(encoding="utf-8") == which_rule.page(found)
    lines = which_rule.help_lines(found)
    assert {place.stem for place in lines if place.parent == which_rule.HELP} >= {"GGAdaptiveProjected", "GGSkim"}
    assert [place for place, text in lines.items() if place.read_text(encoding="utf-8") != text] == []


def test_the_numbers_are_what_their_schema_says_and_every_rule_is_among_them(found):
    schema = json.loads((ROOT / "docs" / "which-rule.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(found)
    for world in found["worlds"]:
        assert pack_entrants().keys() <= {row["rule"] for row in world["rows"]} | world["failed"].keys()


def test_a_node_of_comfyui_takes_part(host, tmp_path):
    nodes = {one.name: one for one in which_rule.host_entrants()}
    assert len(nodes) > 8
    world, cells = worlds()["exact"], Cells(tmp_path)
    setting = Setting(8.0, 0, 4)
    one = cells.at(world, nodes["ComfyUI: RescaleCFG 0.7"], setting)
    plain = cells.at(world, which_rule.PLAIN_GUIDANCE, setting)
    assert plain.scale == pytest.approx(8, abs=1e-3)
    assert 1 < one.scale < 8
