"""The page about rules says what its numbers say, holds every rule of the pack, and each control is one."""

import json

import numpy as np
import pytest
import torch

from guidance_geometry.guidance.registry import every_rule
from guidance_geometry.lab.studies.rules_on_pocket import rule_effects, what_a_rule_does
from guidance_geometry.lab.studies.rules_on_pocket.rule_runs import (
    LEFT_OUT,
    SLOPPY,
    Ground,
    acts,
    along,
    grounds,
    paper_rules,
    run_of,
)


@pytest.fixture(scope="module")
def found():
    return what_a_rule_does.worlds_of(json.loads(what_a_rule_does.NUMBERS.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def small():
    return Ground(grounds()[SLOPPY].world, 20, 1, 8, (4.0,))


def test_the_page_is_that_of_its_numbers(found):
    assert what_a_rule_does.PAGE.read_text(encoding="utf-8") == what_a_rule_does.page(found)
    assert what_a_rule_does.PARTS.exists()
    assert what_a_rule_does.SCALES.exists()


def test_every_rule_of_the_pack_is_in_every_world_or_the_page_says_why_not(found, small):
    assert paper_rules().keys() | LEFT_OUT.keys() == every_rule().keys()
    assert not paper_rules().keys() & LEFT_OUT.keys()
    assert [world.name for world in found] == list(what_a_rule_does.TITLES)
    for world in found:
        assert [row.rule for row in world.rows] == list(paper_rules())
        assert [row.text for row in world.rows] == [rule_effects.text_of(name, small) for name in paper_rules()]


def test_every_rule_acts_there(small):
    for name, one in paper_rules().items():
        seen = acts([run_of(small, one, 0)])
        acted = np.isfinite(seen["scale"])
        moved = (seen["across"][acted] > 1e-6).any() or (abs(seen["scale"][acted] - one.gamma) > 1e-6).any()
        assert acted.any(), name
        assert moved or not acted.all(), name


@pytest.mark.parametrize("name", ["Interval", "PlusPlus"])
def test_the_control_of_a_schedule_is_the_schedule(name, small):
    one = paper_rules()[name]
    made = run_of(small, one, 0)
    assert torch.allclose(made.end, run_of(small, along(acts([made]), one), 0).end, atol=1e-6)


def test_the_control_of_a_rule_acts_at_its_scales_and_has_nothing_across(small):
    one = paper_rules()["AdaptiveProjected"]
    seen = acts([run_of(small, one, 0)])
    control = acts([run_of(small, along(seen, one), 0)])
    known = np.isfinite(control["scale"]).all(axis=1) & np.isfinite(seen["scale"]).all(axis=1)
    assert np.allclose(control["scale"][known], np.median(seen["scale"], axis=1)[known, None], atol=1e-6)
    assert np.nanmax(control["across"]) < 1e-9
    assert np.nanmax(seen["across"]) > 0.01
