"""Rules in a part of the run (tests/invariants holds every kind to its formula there), and the wait of CFG-Zero*."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN, Chain, Foreign
from guidance_geometry.guidance.gradients.term import GradientTerm, WatchTerm
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.guidance.rules.formula import Formula
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.kinds import Source
from guidance_geometry.guidance.rules.negative import Negative
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.schedule import ScaleSchedule
from guidance_geometry.guidance.rules.zero_star import ZeroStar
from guidance_geometry.guidance.run import Run
from guidance_geometry.tests.toys import FLOW_RUN, RUN, toy

GAMMA = 4.0
ENERGY: Any = SimpleNamespace(text="cat", noise_aware=False, judge=False, classifiers=())
THEIRS = Foreign(SimpleNamespace(text="another pack's", init=None, step=None))
PLACES = (0, 1, 2, 3)  # outer steps of RUN


def at(step) -> Any:
    """Predictions at the beginning of an outer step of RUN."""
    p = toy(seed=step, dtype=torch.float32)
    return replace(p, sigma=torch.full((2,), RUN.sigmas[step]), alpha=torch.ones(2))


def test_a_memory_begins_in_the_window_and_waits_behind_it():
    rule = AdaptiveProjected(momentum=-0.6)
    chain = Chain((rule.within(0.25, 0.75),))
    state, bare = chain.init(RUN), Chain((rule,))
    begun = bare.init(RUN)
    for step in PLACES:
        before = state.rules
        guided, state = chain.step(state, at(step), GAMMA)
        if step in (1, 2):
            expected, begun = bare.step(begun, at(step), GAMMA)
            assert torch.equal(guided, expected)
        else:
            assert state.rules[0] is before[0]


def test_further_stages_belong_to_the_step_even_at_the_next_ones_level():
    chain, whole = Chain((Rescale().within(0.0, 0.5),)), Chain((Rescale(),))
    state = chain.init(RUN)
    for step in PLACES[:-1]:
        _, following = chain.step(state, at(step), GAMMA)
        p = at(step + 1)
        acting = whole if step < 2 else PLAIN
        assert torch.equal(
            chain.stage(state, following, p, GAMMA), acting.stage(acting.init(RUN), acting.init(RUN), p, GAMMA)
        )
        state = following
    scale = Chain((ScaleSchedule("list", values=(9.0,)).within(0.0, 0.25),))
    begun = scale.init(RUN)
    assert scale.scale(begun.inside(8.0), 4.0, 2.0) == 9.0
    assert scale.scale(begun, 4.0, 2.0) == 2.0


@pytest.mark.parametrize("other", [Formula("c"), Negative(("red",), (0.5,)), THEIRS])
def test_two_that_combine_in_one_step_are_refused_by_name(other):
    chain = PLAIN.then(Angle().within(0.0, 0.6))
    with pytest.raises(ValueError, match=r"'ADG up to 60 deg, 0 .. 0.6 of the steps' and .* do not overlap"):
        chain.then(other.within(0.5, 1.0))
    with pytest.raises(ValueError, match="do not overlap"):
        chain.then(other)
    assert len(chain.then(other.within(0.6, 1.0)).rules) == 2


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.5), (0.8, 0.2), (float("nan"), 0.5), (0.0, 1.5), (-0.1, 0.5)])
def test_a_window_that_is_none_is_refused(start, end):
    for rule in (Rescale(), Perturbed(Source("cond", object())), WatchTerm(ENERGY), THEIRS):
        with pytest.raises(ValueError, match="is not part of the run"):
            rule.within(start, end)


def test_a_rule_with_a_window_of_its_own_keeps_it():
    rule = Perturbed(Source("cond", object()), start=0.25, end=0.5)
    assert rule.within(0.0, 0.4).window == (0.25, 0.4)
    with pytest.raises(ValueError, match=r"acts from 0.25 to 0.5 .* Make them overlap"):
        rule.within(0.5, 1.0)
    term = GradientTerm(ENERGY, start=0.2, end=0.6, evaluation="x0").within(0.4, 1.0)
    assert (term.start, term.end) == (0.4, 0.6)


def at_level(p, sigma):
    return replace(p, sigma=torch.full_like(p.sigma, sigma))


def moves(rule, family, run):
    chain, p = Chain((rule,)), toy(family)
    state, found = chain.init(run), []
    for sigma in run.sigmas[:-1]:
        guided, state = chain.step(state, at_level(p, sigma), 4.0)
        found.append(not torch.equal(guided, p.x))
    return found


def test_a_flow_run_from_pure_noise_waits_for_its_first_steps():
    assert moves(ZeroStar(2), "flow", FLOW_RUN) == [False, False, True, True]
    assert moves(ZeroStar(0), "flow", FLOW_RUN) == [True] * 4


def test_a_continued_run_and_a_run_with_growing_noise_do_not_wait():
    assert moves(ZeroStar(2), "flow", Run((0.5, 0.25, 0.0), flow=True)) == [True] * 2
    assert moves(ZeroStar(2), "ve", RUN) == [True] * 4


def test_steps_that_are_not_guided_count():
    """Guidance that sets in later is not held back then: the wait belongs to the start of the run."""
    chain, p = Chain((Interval("percent", 0.5, 1.0), ZeroStar(1))), toy("flow")
    state, found = chain.init(FLOW_RUN), []
    for sigma in FLOW_RUN.sigmas[:-1]:
        gamma = chain.scale(state, sigma, 4.0)
        seen = at_level(p if "uncond" in chain.needs(state, sigma, gamma) else replace(p, uncond=None), sigma)
        guided, state = chain.step(state, seen, gamma)
        found.append(not torch.equal(guided, p.x))
    assert found == [True] * 4


@pytest.mark.parametrize("gammas", [(1.0, 1.5), (1.5, 1.0)])
def test_the_first_stage_decides_for_all_stages_of_its_step(gammas):
    chain, p = Chain((ZeroStar(1),)), toy("flow")
    state = chain.init(FLOW_RUN)
    guided, following = chain.step(state, at_level(p, 1.0), gammas[0])
    further = chain.stage(state, following, at_level(p, 0.75), gammas[1])
    assert torch.equal(guided, p.x) == torch.equal(further, p.x) == (gammas[0] != 1)


@pytest.mark.parametrize("rule", [ZeroStar(2).within(0.5, 1.0), ZeroStar(2).within(0.0, 0.75).within(0.5, 1.0)])
def test_a_run_that_has_begun_to_move_does_not_stop(rule):
    assert moves(rule, "flow", FLOW_RUN) == [True] * 4
    assert Chain((rule,)).waits(FLOW_RUN) == 0


def test_a_window_ends_the_wait_too():
    for rule in (ZeroStar(3).within(0.0, 0.5), ZeroStar(3).within(0.0, 0.5).within(0.0, 0.75)):
        assert moves(rule, "flow", FLOW_RUN) == [False, False, True, True]
        assert Chain((rule,)).waits(FLOW_RUN) == 2
