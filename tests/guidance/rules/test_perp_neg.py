import math

import pytest
import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.tests.toys import FAMILIES, RUN, SHAPES, guide, items, largest_error, toy


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("gamma", "weight"), [(0.0, 1.0), (3.0, 1.0), (7.5, 2.5), (3.0, 0.0)])
def test_every_item_is_guided_by_its_own_projection(family, shape, gamma, weight):
    p = toy(family, shape, names=("empty",))
    expected = []
    for item in items(p):
        pull, push = item["c"] - item["empty"], item["u"] - item["empty"]
        share = math.fsum((push * pull).tolist()) / math.fsum((pull * pull).tolist())
        expected.append(item["empty"] + gamma * (pull - weight * (push - share * pull)))
    assert largest_error(guide(PerpNeg("e", weight), p, gamma), expected) < 1e-12


def test_a_negative_that_says_the_same_as_the_positive_takes_nothing_away():
    p = toy(names=("empty",))
    p.uncond[:] = p.extra["empty"] + 0.5 * (p.cond - p.extra["empty"])
    expected = p.extra["empty"] + 5.0 * (p.cond - p.extra["empty"])
    assert largest_error(guide(PerpNeg("e"), p, 5.0), list(expected)) < 1e-13


def test_gamma_one_is_cond_and_asks_for_nothing_else():
    p, chain = toy(names=("empty",)), Chain((PerpNeg("e"),))
    assert torch.equal(guide(PerpNeg("e"), p, 1.0), p.cond)
    assert chain.needs(chain.init(RUN), 2.0, 1.0) == {"cond"}
    assert chain.needs(chain.init(RUN), 2.0, 4.0) == {"cond", "uncond", "0 empty"}


def test_three_equal_predictions_stay():
    p = toy(names=("empty",))
    p.uncond[:], p.extra["empty"][:] = p.cond, p.cond
    assert torch.equal(guide(PerpNeg("e"), p, 5.0), p.cond)


def test_without_the_empty_prompt_it_is_plain_guidance():
    p = toy()
    assert largest_error(guide(PerpNeg("e"), p, 4.0), list(p.uncond + 4.0 * (p.cond - p.uncond))) < 1e-14
