"""The page about rules says what its numbers say, and has every rule of the pack; ComfyUI's nodes take part."""

import json
from functools import cached_property

import pytest
import torch
from jsonschema import Draft202012Validator

from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.lab.studies import which_rule
from guidance_geometry.lab.studies.galaxies import HIGHEST, Galaxies, GalaxyWorld
from guidance_geometry.library.arena.cells import Cells, Setting
from guidance_geometry.library.arena.entrants import pack_entrants
from guidance_geometry.library.arena.run import Size, hold
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


class TwoSurveys:
    """In the place of the downloaded networks: the exact denoiser of a mixture of two labels."""

    guided, shape = "hsc", (1, 8, 8)
    draw = Galaxies.draw

    def __init__(self):
        self.mixture = make_mixture(self.shape, 2, 0)
        self.facts = {"space": "ve", "sigma_data": 1.0}

    def __call__(self, x, sigma, cond=None):
        return self.mixture.denoised(x, sigma, label=torch.full((len(x),), int(cond != self.guided)))


class NothingFetched(GalaxyWorld):
    @cached_property
    def network(self):
        return TwoSurveys()


def test_networks_that_nobody_here_trained_take_part_with_one_label(tmp_path):
    world, rules = NothingFetched(), pack_entrants()
    assert world.sigmas[0] == pytest.approx(HIGHEST, rel=1e-5)
    names = ("Rescale", "Negative", "PerpNeg", "ConditionAnnealing")
    found = hold(world, [which_rule.PLAIN_GUIDANCE, *map(rules.get, names)], Cells(tmp_path), Size(1, 0), print)
    assert {row["rule"] for row in found["rows"]} == {"cfg", "Rescale"}
    assert "another label" in found["failed"]["Negative"]
    assert "another label" in found["failed"]["PerpNeg"]
    assert "embedding" in found["failed"]["ConditionAnnealing"]
    away = {row["cfg"]: row["distance"][0] for row in found["plain"]}
    assert abs(away[1.0]) < 0.2 < away[8.0]


def test_worlds_that_were_not_run_again_stay_on_the_page_if_they_were_run_alike(found):
    world = {**found["worlds"][0], "chosen": 5.0}
    joined = which_rule.with_others({**found, "worlds": [world]}, found)
    assert [one["world"] for one in joined["worlds"]] == [one["world"] for one in found["worlds"]]
    assert joined["worlds"][0]["chosen"] == 5.0
    assert joined["worlds"][1] is found["worlds"][1]
    with pytest.raises(ValueError, match="seeds"):
        which_rule.with_others({**found, "seeds": 99, "worlds": [world]}, found)
    which_rule.with_others({**found, "seeds": 99}, found)
