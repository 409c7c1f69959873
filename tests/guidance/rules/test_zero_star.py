from dataclasses import replace

import pytest
import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.zero_star import ZeroStar
from guidance_geometry.guidance.run import Run
from guidance_geometry.tests.toys import (
    FLOW_RUN,
    RUN,
    toy,
)


def at(p, sigma):
    return replace(p, sigma=torch.full_like(p.sigma, sigma))


def moves(rule, family, run):
    chain, p = Chain((rule,)), toy(family)
    state, found = chain.init(run), []
    for sigma in run.sigmas[:-1]:
        guided, state = chain.step(state, at(p, sigma), 4.0)
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
        seen = at(p if "uncond" in chain.needs(state, sigma, gamma) else replace(p, uncond=None), sigma)
        guided, state = chain.step(state, seen, gamma)
        found.append(not torch.equal(guided, p.x))
    assert found == [True] * 4


@pytest.mark.parametrize("gammas", [(1.0, 1.5), (1.5, 1.0)])
def test_the_first_stage_decides_for_all_stages_of_its_step(gammas):
    chain, p = Chain((ZeroStar(1),)), toy("flow")
    state = chain.init(FLOW_RUN)
    guided, following = chain.step(state, at(p, 1.0), gammas[0])
    further = chain.stage(state, following, at(p, 0.75), gammas[1])
    assert torch.equal(guided, p.x) == torch.equal(further, p.x) == (gammas[0] != 1)


@pytest.mark.parametrize(
    "rule",
    [
        ZeroStar(2).within(0.5, 1.0),
        ZeroStar(2).within(0.0, 0.75).within(0.5, 1.0),
    ],
)
def test_a_run_that_has_begun_to_move_does_not_stop(rule):
    assert moves(rule, "flow", FLOW_RUN) == [True] * 4
    assert Chain((rule,)).waits(FLOW_RUN) == 0


def test_a_window_ends_the_wait_too():
    for rule in (ZeroStar(3).within(0.0, 0.5), ZeroStar(3).within(0.0, 0.5).within(0.0, 0.75)):
        assert moves(rule, "flow", FLOW_RUN) == [False, False, True, True]
        assert Chain((rule,)).waits(FLOW_RUN) == 2
