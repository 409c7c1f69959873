from dataclasses import replace

import pytest
import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.rules.negative import Negative
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.tests.toys import RUN, guide, largest_error, toy

TWO, THREE = "condition 2", "condition 3"


@pytest.mark.parametrize(
    ("rule", "further"), [(Negative(("m",), (1.5,), "InstructPix2Pix"), TWO), (PerpNeg("e"), "empty")]
)
def test_gamma_one_is_cond_and_asks_for_nothing_else(rule, further):
    p, chain = toy(names=(further,)), Chain((rule,))
    assert torch.equal(guide(rule, p, 1.0), p.cond)
    assert chain.needs(chain.init(RUN), 2.0, 1.0) == {"cond"}
    assert chain.needs(chain.init(RUN), 2.0, 4.0) == {"cond", "uncond", f"0 {further}"}


def test_a_weight_of_zero_costs_no_evaluation():
    rule = Negative(("a", "b"), (0.0, 0.5))
    assert list(rule.sources) == [THREE]
    assert Negative(("a",), (0.0,)).neutral


@pytest.mark.parametrize("form", ["sum", "InstructPix2Pix", "nested"])
def test_a_condition_that_is_not_active_counts_as_u(form):
    p, rule = toy(), Negative(("m",), (1.5,), form)
    assert torch.equal(guide(rule, p, 4.0), guide(rule, replace(p, extra={TWO: p.uncond}), 4.0))
    gamma = 6.0 if form == "nested" else 4.0
    assert largest_error(guide(rule, p, 4.0), list(p.uncond + gamma * (p.cond - p.uncond))) < 1e-14
