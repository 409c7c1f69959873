"""The page about rules says what its numbers say, holds every rule of the pack, and each control is one."""

import json
import math

import numpy as np
import pytest
import torch

from guidance_geometry.guidance.registry import every_rule
from guidance_geometry.lab.verdict import rule_effects, rule_figures, what_a_rule_does
from guidance_geometry.lab.verdict.evidence import real_statistics
from guidance_geometry.lab.verdict.objectives import Seen
from guidance_geometry.lab.verdict.rule_runs import LEFT_OUT, SLOPPY, Ground, acts, along, grounds, paper_rules, run_of
from guidance_geometry.lab.verdict.runs import SAMPLERS
from guidance_geometry.lab.verdict.twins import Mislabelled, four_corners


@pytest.fixture(scope="module")
def found():
    return what_a_rule_does.worlds_of(json.loads(what_a_rule_does.NUMBERS.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def small():
    return Ground(grounds()[SLOPPY].world, SAMPLERS["A"], 1, 8, (4.0,))


def test_the_page_is_that_of_its_numbers(found):
    assert what_a_rule_does.PAGE.read_text(encoding="utf-8") == what_a_rule_does.page(found)
    assert what_a_rule_does.PARTS.exists()
    assert what_a_rule_does.SCALES.exists()


def test_numbers_are_read_as_they_were_stored(found):
    again = what_a_rule_does.numbers_json(found)
    assert again == what_a_rule_does.NUMBERS.read_text(encoding="utf-8")


def test_every_rule_of_the_pack_is_in_every_world_or_the_page_says_why_not(found, small):
    assert paper_rules().keys() | LEFT_OUT.keys() == every_rule().keys()
    assert not paper_rules().keys() & LEFT_OUT.keys()
    assert [world.name for world in found] == list(what_a_rule_does.TITLES)
    for world in found:
        assert [row.rule for row in world.rows] == list(paper_rules())
        assert [row.text for row in world.rows] == [rule_effects.text_of(name, small) for name in paper_rules()]


@pytest.mark.parametrize("name", list(paper_rules()))
def test_every_rule_acts_there(name, small):
    one = paper_rules()[name]
    seen, plain = acts([run_of(small, one, 0)]), one.gamma
    acted = np.isfinite(seen["scale"])
    assert acted.any()
    assert (seen["across"][acted] > 1e-6).any() or (abs(seen["scale"][acted] - plain) > 1e-6).any() or not acted.all()


@pytest.mark.parametrize("name", ["Interval", "ScaleSchedule", "PlusPlus"])
def test_the_control_of_a_schedule_is_the_schedule(name, small):
    one = paper_rules()[name]
    made = run_of(small, one, 0)
    control = run_of(small, along(acts([made]), one), 0)
    assert torch.allclose(made.end, control.end, atol=1e-6)


def test_the_control_of_a_rule_acts_at_its_scales_and_has_nothing_across(small):
    one = paper_rules()["AdaptiveProjected"]
    seen = acts([run_of(small, one, 0)])
    control = acts([run_of(small, along(seen, one), 0)])
    known = np.isfinite(control["scale"]).all(axis=1) & np.isfinite(seen["scale"]).all(axis=1)
    assert np.allclose(control["scale"][known], np.median(seen["scale"], axis=1)[known, None], atol=1e-6)
    assert np.nanmax(control["across"]) < 1e-9
    assert np.nanmax(seen["across"]) > 0.01


def test_the_ideal_network_for_sloppy_labels_is_that_of_the_verdict():
    ground = Ground(Mislabelled("two dimensions", four_corners()), SAMPLERS["A"], 1, 8, (4.0,))
    uncond, cond = ground.world.predictions(0, ground.count)(ground.start(0), 2.0)
    assert torch.allclose(ground.predict(ground.start(0), 2.0, None), uncond)
    assert torch.allclose(ground.predict(ground.start(0), 2.0, ground.labels), cond)


@pytest.mark.parametrize("wrong", [0, 1])
def test_all_resamples_at_once_are_measured_as_one_by_one(wrong):
    """Also where of one label hardly any is recognised."""
    draws = torch.Generator().manual_seed(0)
    labels, real = torch.arange(200) % 10, real_statistics()
    features = real.class_means[labels].float() + torch.randn(200, real.mean.numel(), generator=draws)
    named = torch.where(labels == 3, torch.where(torch.arange(200) > 13, wrong * 4 + (1 - wrong) * 3, 3), labels)
    seen, chosen = Seen(features, named), torch.cat([torch.arange(100), torch.arange(100)])
    times = torch.stack([torch.ones(200), torch.bincount(chosen, minlength=200)]).double()
    accuracy, distance = rule_effects.losses(seen, real, times)
    for place, one in enumerate((seen.numbers(real), seen.numbers(real, chosen))):
        assert float(accuracy[place]) == pytest.approx(one["accuracy"])
        assert float(distance[place]) == pytest.approx(one["recognised"], rel=1e-6)


def test_lengths_of_the_figure_are_those_of_the_vectors():
    draws = torch.Generator().manual_seed(0)
    u, c, guided = torch.randn(3, 40, generator=draws, dtype=torch.float64)
    delta, push = c - u, guided - c
    along_c = (push @ delta) / (delta @ delta)
    across = push - along_c * delta
    one = rule_figures.Push("", 8.0, float(1 + along_c), float(across @ across / (push @ push)))
    assert one.height == pytest.approx(float(across.norm() / delta.norm()))


def test_early_and_late_weigh_steps_and_leave_out_what_is_unknown():
    values = np.array([[1.0, 5.0], [3.0, math.nan], [100.0, math.nan]])
    weights = np.array([[1.0, 1.0], [3.0, 1.0], [0.0, 1.0]])
    assert rule_effects.typical(values, weights) == pytest.approx((2.5 + 5.0) / 2)
    assert math.isnan(rule_effects.typical(np.full((2, 2), math.nan), weights[:2]))


def test_no_words_of_the_figures_meet(found):
    for canvas in what_a_rule_does.drawings(found):
        texts = canvas.texts()
        meeting = [(a, b) for i, (a, one) in enumerate(texts) for b, other in texts[i + 1 :] if one.meets(other)]
        assert meeting == []


def test_a_rule_without_a_doubt_is_marked():
    assert what_a_rule_does.gain((0.3, 0.1, 0.5)) == "**+0.30 (+0.10 to +0.50)**"
    assert what_a_rule_does.gain((-0.3, -0.5, 0.1)) == "\u22120.30 (\u22120.50 to +0.10)"
    assert what_a_rule_does.gain((0.001, 0.0005, 0.004)) == "0.00 (0.00 to 0.00)", "what is written as nothing"
