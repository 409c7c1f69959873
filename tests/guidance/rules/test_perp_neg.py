import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.tests.toys import RUN, guide, largest_error, toy


def test_gamma_one_is_cond_and_asks_for_nothing_else():
    p, chain = toy(names=("empty",)), Chain((PerpNeg("e"),))
    assert torch.equal(guide(PerpNeg("e"), p, 1.0), p.cond)
    assert chain.needs(chain.init(RUN), 2.0, 1.0) == {"cond"}
    assert chain.needs(chain.init(RUN), 2.0, 4.0) == {"cond", "uncond", "0 empty"}


def test_without_the_empty_prompt_it_is_plain_guidance():
    p = toy()
    assert largest_error(guide(PerpNeg("e"), p, 4.0), list(p.uncond + 4.0 * (p.cond - p.uncond))) < 1e-14
