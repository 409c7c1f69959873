from dataclasses import replace

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.rules.contract import Source
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.tests.toys import FAMILIES, RUN, SHAPES, guide, items, largest_error, toy

WORSE = Source("cond", object())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", SHAPES, ids=["audio", "image", "video"])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 4.0])
def test_the_way_from_the_perturbed_pass_is_added_to_cfg(family, shape, gamma):
    p = toy(family, shape, names=("perturbed",))
    expected = [i["u"] + gamma * (i["c"] - i["u"]) + 3.0 * (i["c"] - i["perturbed"]) for i in items(p)]
    assert largest_error(guide(Perturbed(WORSE), p, gamma), expected) <= 1e-6


def test_it_acts_without_the_unconditional_prediction():
    p = replace(toy(names=("perturbed",)), uncond=None)
    expected = [i["c"] + 3.0 * (i["c"] - i["perturbed"]) for i in items(replace(p, uncond=p.cond))]
    assert largest_error(guide(Perturbed(WORSE), p, 1.0), expected) <= 1e-6


def test_the_pass_is_asked_for_inside_the_window_alone_at_any_scale():
    chain = PLAIN.then(Perturbed(WORSE, start=0.25, end=0.75))
    state = chain.init(RUN)
    assert [chain.needs(state, sigma, 1.0) for sigma in RUN.sigmas[:-1]] == [
        {"cond"},
        {"cond", "0 perturbed"},
        {"cond", "0 perturbed"},
        {"cond"},
    ]


def test_rules_behind_it_see_the_sum():
    p = toy(names=("perturbed",))
    inner = replace(p, extra={"0 perturbed": p.extra["perturbed"]})
    chain = PLAIN.then(Perturbed(WORSE)).then(Rescale())
    assert not torch.equal(chain.step(chain.init(RUN), inner, 4.0)[0], guide(Perturbed(WORSE), p, 4.0))


def test_no_weight_is_plain_guidance_and_half_precision_stays():
    p = toy(names=("perturbed",), dtype=torch.float16)
    assert Perturbed(WORSE, 0.0).neutral
    assert torch.equal(guide(Perturbed(WORSE, 0.0), p, 4.0), p.uncond + (p.cond - p.uncond) * 4.0)
    assert guide(Perturbed(WORSE), p, 4.0).dtype == torch.float16


def test_a_window_that_is_upside_down_is_refused():
    with pytest.raises(ValueError, match="upside down"):
        Perturbed(WORSE, start=0.8, end=0.2)
